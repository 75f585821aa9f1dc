//! What services say to each other: types that the caller and the callee both compile.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ids::LoginId, time::Instant};

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

/// The answer of `GET /internal/revocations`: every login that must still be refused.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Revocations {
    /// In no particular order.
    pub revoked: Vec<Revocation>,
}
