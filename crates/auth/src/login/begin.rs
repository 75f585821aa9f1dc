//! The beginning of a login, however somebody proved who they are.

use chassis::problem::{Outcome, Problem};
use chrono::{DateTime, Duration, Utc};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    ids::{LoginId, UserId},
    principal::{Principal, Role},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    end,
    new_login::{self, Begun, NewLogin},
    refresh_token::RefreshToken,
    store,
};
use crate::{
    account::store::User,
    app::App,
    audit::{Entry, Waiting},
    visitor::Visitor,
};

/// Most logins of one person that count at the same time: more than anybody has devices, few enough to read through.
const MOST_AT_ONCE: i64 = 200;

/// How long a login lasts without being used, and at most.
#[derive(Clone, Copy, Debug)]
pub struct Lasting {
    /// Without an exchange of its refresh token.
    pub idle: Duration,
    /// However often it is exchanged.
    pub at_most: Duration,
}

impl Lasting {
    /// Returns how long a login of this role lasts: an administrator's is worth more to a thief.
    pub const fn of(role: Role) -> Self {
        match role {
            Role::Admin => Self { idle: Duration::hours(12), at_most: Duration::days(7) },
            Role::User | Role::Organizer => Self { idle: Duration::days(30), at_most: Duration::days(90) },
        }
    }
}

/// How somebody proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By a password.
    Password,
    /// By a Google account.
    Google,
}

impl Method {
    /// Returns the name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Google => "google",
        }
    }
}

/// The tokens of a login.
#[derive(Serialize, ToSchema)]
pub struct TokensView {
    /// Access token (JWT), for `Authorization: Bearer`.
    pub access_token: String,
    /// The same, under the name some clients read.
    pub token: String,
    /// Always `bearer`.
    pub token_type: &'static str,
    /// Seconds until the access token ends.
    pub expires_in: u64,
    /// For `POST /auth/refresh`; each exchange gives a new one.
    pub refresh_token: String,
}

/// Writes a new login and issues its tokens; call in the transaction that proved who it is.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn begin(
    app: &App,
    conn: &mut AsyncPgConnection,
    user: &User,
    method: Method,
    visitor: &Visitor,
) -> Outcome<TokensView> {
    let now = app.ground.clock.now();
    let principal = Principal { user_id: UserId(user.id), login_id: app.ground.clock.id(), role: user.role() };
    let lasting = Lasting::of(principal.role);
    let login = NewLogin {
        expires_at: now + app.config.jwt_expires_in,
        idle_expires_at: now + lasting.idle,
        absolute_expires_at: now + lasting.at_most,
        ..NewLogin::new(principal.user_id, principal.login_id, method.name(), now)
    };
    new_login::insert(conn, &login.from(visitor)).await?;
    end_surplus(app, conn, principal.user_id, now).await?;
    tokens(app, principal, 0, now)
}

/// Writes a new login of whoever showed the password of `hash`, with its audit entry, and issues its tokens; returns
/// nothing when the account is gone or has another password by now. The account is taken as it is now: what ended its
/// logins while the password was checked must not miss this one.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn begin_with_password(
    app: &App,
    conn: &mut AsyncPgConnection,
    (user_id, hash): (UserId, &str),
    visitor: &Visitor,
) -> Outcome<Option<(User, TokensView)>> {
    let now = app.ground.clock.now();
    let login_id = app.ground.clock.id::<LoginId>();
    let login = NewLogin {
        expires_at: now + app.config.jwt_expires_in,
        ..NewLogin::new(user_id, login_id, Method::Password.name(), now)
    };
    let entry = Waiting::new(app, Entry::of(user_id.0, "logged_in").from(visitor))?;
    let begun = new_login::begin_with_password(conn, hash, login.from(visitor), entry, MOST_AT_ONCE).await?;
    let Some(Begun { user, is_one_too_many }) = begun else { return Ok(None) };
    if is_one_too_many {
        // Apart from the login: should this fail, the next login does it.
        conn.transaction(async |conn| end_surplus(app, conn, user_id, now).await).await?;
        app.outbox.wake();
    }
    let principal = Principal { user_id, login_id, role: user.role() };
    Ok(Some((user, tokens(app, principal, 0, now)?)))
}

async fn end_surplus(app: &App, conn: &mut AsyncPgConnection, user_id: UserId, now: DateTime<Utc>) -> Outcome<usize> {
    let surplus = store::end_surplus(conn, user_id, MOST_AT_ONCE, now).await?;
    end::announce(app, conn, surplus, now).await
}

/// Issues the tokens of a login that has been refreshed `counter` times.
///
/// # Errors
/// Returns an unexpected problem when a token cannot be signed.
pub fn tokens(app: &App, principal: Principal, counter: u32, now: DateTime<Utc>) -> Outcome<TokensView> {
    let life = app.config.jwt_expires_in;
    let access_token = app.tokens.issue(principal, counter, now, life).map_err(Problem::unexpected)?;
    let refresh_token = RefreshToken { login_id: principal.login_id, counter }.write(&app.refresh_mac);
    let token = access_token.clone();
    Ok(TokensView { access_token, token, token_type: "bearer", expires_in: life.as_secs(), refresh_token })
}
