//! The end of logins, and its announcement.

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use domain::contract::{REVOCATIONS, Revocation};

use super::store;
use crate::app::App;

/// Makes sure that every gateway hears of ended logins, and hears of them again when it starts; call in the transaction
/// that ended them, and [`wake`](chassis::outbox::Outbox::wake) the outbox after its commit.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn announce(
    app: &App,
    conn: &mut AsyncPgConnection,
    ended: Vec<Revocation>,
    now: DateTime<Utc>,
) -> Outcome<usize> {
    if ended.is_empty() {
        return Ok(0);
    }
    store::remember_revoked(conn, &ended, now).await?;
    for revocation in &ended {
        app.outbox.put(conn, REVOCATIONS, revocation).await?;
    }
    Ok(ended.len())
}
