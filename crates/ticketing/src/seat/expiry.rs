//! Letting go of holds that have ended, in every replica.
//!
//! Nobody's purchase waits for this: a hold that has ended counts as free everywhere. Sweeping makes the tables say so
//! too, and tells whoever looks on. Replicas share the work without meeting, because each skips what another has locked,
//! and a seat that somebody else has taken meanwhile is left alone.

use std::time::Duration;

use chassis::{lifecycle::Lifecycle, outbox::Outbox, pg::Pg, prepared::Prepare, problem::Outcome};
use diesel::{
    QueryableByName, sql_query,
    sql_types::{Array, BigInt, Bool, Integer, Nullable, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::ids::{TicketTypeId, UserId};
use uuid::Uuid;

use crate::order::waiting;

/// Reservations per statement: few enough that their row locks last milliseconds.
const BATCH: u16 = 500;

/// What one sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, QueryableByName)]
pub struct Swept {
    /// Reservations that are now expired.
    #[diesel(sql_type = BigInt)]
    pub reservations: i64,
    /// Seats that are now available.
    #[diesel(sql_type = BigInt)]
    pub seats: i64,
    /// Tickets that are now back in stock.
    #[diesel(sql_type = BigInt)]
    pub tickets: i64,
}

/// Starts the loop that sweeps every `pause`.
pub fn start(lifecycle: &Lifecycle, pg: Pg, outbox: Outbox, pause: Duration) {
    lifecycle.spawn_loop("hold_expiry", move |stop| {
        let (pg, outbox) = (pg.clone(), outbox.clone());
        async move {
            while !stop.is_cancelled() {
                let swept = sweep(&pg).await;
                let offered = waiting::offer(&pg).await.unwrap_or_default();
                if offered > 0 || swept.as_ref().is_ok_and(|swept| swept.reservations > 0) {
                    outbox.wake();
                }
                match swept {
                    Ok(swept) if swept.reservations == i64::from(BATCH) => continue,
                    Ok(_) => {}
                    Err(problem) => tracing::warn!(code = problem.code(), "expired holds wait for the database"),
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    });
}

/// Expires due reservations and releases the seats and tickets that are still theirs; at most one batch.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn sweep(pg: &Pg) -> Outcome<Swept> {
    expire(&*pg.conn().await?, None, &[], false).await
}

/// Expires due reservations of these ticket types and these people, at most one batch, and waits for whoever is at
/// them: somebody wants what they hold.
///
/// # Errors
/// Returns a problem when the database is away or a lock is not free in time.
pub(crate) async fn expire_for(conn: &AsyncPgConnection, types: &[TicketTypeId], buyers: &[UserId]) -> Outcome<Swept> {
    expire(conn, Some(types), buyers, true).await
}

async fn expire(
    mut conn: &AsyncPgConnection,
    types: Option<&[TicketTypeId]>,
    buyers: &[UserId],
    waits: bool,
) -> Outcome<Swept> {
    let types = types.map(|types| types.iter().map(|wanted| wanted.0).collect::<Vec<Uuid>>());
    let swept: Swept = sql_query("SELECT expired AS reservations, seats, tickets FROM expire_holds($1, $2, $3, $4)")
        .bind::<Integer, _>(i32::from(BATCH))
        .bind::<Nullable<Array<SqlUuid>>, _>(types)
        .bind::<Array<SqlUuid>, _>(buyers.iter().map(|buyer| buyer.0).collect::<Vec<_>>())
        .bind::<Bool, _>(waits)
        .prepared()
        .get_result(&mut conn)
        .await?;
    if swept.reservations > 0 {
        metrics::counter!("reservations_expired_total").increment(swept.reservations.unsigned_abs());
        metrics::counter!("seats_released_total").increment(swept.seats.unsigned_abs());
        metrics::counter!("tickets_released_total").increment(swept.tickets.unsigned_abs());
        tracing::debug!(reservations = swept.reservations, seats = swept.seats, tickets = swept.tickets, "holds ended");
    }
    Ok(swept)
}
