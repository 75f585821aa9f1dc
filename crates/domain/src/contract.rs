//! What services say to each other: types that the caller and the callee both compile.

mod focus;
mod memo;

use std::collections::BTreeMap;

pub use focus::{FOCUS_COMPLETED, FocusByDay, FocusCompleted, FocusOfDay, FocusSession};
pub use memo::{MemoToWrite, MemoWritten};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    ids::LoginId,
    principal::{Principal, Service},
    time::Instant,
};

/// A login that was ended before its access token's time; sent on the channel [`REVOCATIONS`] and kept by the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revocation {
    /// The login.
    pub login_id: LoginId,
    /// When no access token of it is valid any more, so that it may be forgotten.
    pub expires_at: Instant,
}

/// The Redis channel (and outbox topic) of [`Revocation`].
pub const REVOCATIONS: &str = "revocations";

/// The query of `GET /internal/revocations`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct RevocationsSince {
    /// Only what ended since then; everything that must still be refused when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Instant>,
}

/// The answer of `GET /internal/revocations`: the logins that must be refused.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Revocations {
    /// In no particular order.
    pub revoked: Vec<Revocation>,
    /// What to ask `since` next time. A little in the past: what is being committed now may bear an earlier time.
    #[serde(default)]
    pub as_of: Option<Instant>,
}

/// The body of `POST /internal/logins/seen`: which logins a gateway has seen at work, at most [`SEEN_MAX`] at once.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct LoginsSeen {
    /// In no particular order.
    pub seen: Vec<LoginSeen>,
}

/// Most logins of one [`LoginsSeen`].
pub const SEEN_MAX: usize = 1_000;

/// A login at work. That the tokens of a rotation are used proves that they arrived: the refresh token before them is
/// worth nothing from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginSeen {
    /// The login.
    pub login_id: LoginId,
    /// How often it had been refreshed when the access token was issued.
    pub refresh_counter: u32,
    /// When.
    pub at: Instant,
}

/// The answer of `POST /internal/logins/seen`.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct LoginsNoted {
    /// Logins that were there to be noted.
    pub noted: u64,
}

/// The body of `POST /internal/ws-tickets/redeem`. The answer is the [`Principal`] it was
/// given to; a ticket that is used, expired or made up is refused with 401 `invalid_ticket`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TicketRedemption {
    /// The ticket, as the client shows it.
    pub ticket: String,
}

/// The body of `POST /internal/tokens/verify`: an access token that a client showed where the gateway does not look.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenVerification {
    /// The token, as the client shows it.
    pub token: String,
}

/// The answer of `POST /internal/tokens/verify`; whatever is not a valid access token is refused with 401
/// `invalid_token`. Whether its login has ended since is told by [`Revocations`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VerifiedToken {
    /// Who it speaks for.
    pub principal: Principal,
    /// When it ends.
    pub expires_at: Instant,
}

/// The answer of `GET /internal/users/{id}/card`: what may be shown of a person to whoever comes to their session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserCard {
    /// Display name.
    pub name: String,
}

/// A ticket for one socket or stream: the answer of `POST /auth/ws-ticket`, and of the routes that give one out.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StreamTicket {
    /// As `Sec-WebSocket-Protocol: ticket.<ticket>` or `?ticket=<ticket>`.
    pub ticket: String,
    /// Seconds until it ends.
    pub expires_in: u32,
}

/// The answer of `GET /internal/events/{event_id}/ticket-holders/{user_id}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TicketHolder {
    /// Whether the person has a confirmed ticket to the event.
    pub has_ticket: bool,
}

/// The answer of `GET /internal/users/{id}/export`: all that one service knows about a person.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UserExport {
    /// Whose knowledge it is.
    pub service: Service,
    /// By kind of thing; each service describes its own.
    pub data: serde_json::Value,
}

/// The answer of `DELETE /internal/users/{id}`. Asked again it goes on where it was, and when there is nothing left it
/// says so with nothing erased.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct UserErasure {
    /// Whose work it is.
    pub service: Service,
    /// Whether nothing of the person is left; `false` asks for another call.
    pub is_finished: bool,
    /// How many of what were erased by this call.
    pub erased: BTreeMap<String, u64>,
}
