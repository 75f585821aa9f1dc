//! The work of an erasure: one service is asked until nothing is left.

use chassis::problem::{Outcome, Problem};
use diesel_async::AsyncConnection;
use domain::contract::UserErasure;
use serde_json::Value;

use super::{erase::Erasure, store};
use crate::app::App;

/// Calls of one delivery; what is left then waits for the next.
const CALLS: usize = 20;

/// Lets a service erase what it has of a person.
///
/// # Errors
/// Returns a problem when the service is away or has more to erase; the outbox asks again.
pub async fn erase(app: &App, payload: &Value) -> Outcome<()> {
    let erasure: Erasure = serde_json::from_value(payload.clone()).map_err(Problem::unexpected)?;
    let (id, peer) = (erasure.user_id.to_string(), app.peer(erasure.service)?);
    for _ in 0..CALLS {
        let answer: UserErasure = peer.delete(None, &["internal", "users", &id]).await.map_err(Problem::from)?;
        let finished_at = answer.is_finished.then(|| app.ground.clock.now());
        let part = (erasure.receipt_id, erasure.service.name());
        let mut conn = app.ground.pg.conn().await?;
        conn.transaction(async |conn| store::note_erased(conn, part, &answer.erased, finished_at).await).await?;
        if answer.is_finished {
            return Ok(());
        }
    }
    Err(Problem::unavailable(format!("{} has more to erase", erasure.service)))
}
