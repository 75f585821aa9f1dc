//! Letting go of holds that have ended, in every replica.
//!
//! Nobody's purchase waits for this: a hold that has ended counts as free everywhere. Sweeping makes the tables say so
//! too. Replicas share the work without meeting, because each skips what another has locked, and a seat that somebody
//! else has taken meanwhile is left alone.

use std::time::Duration;

use chassis::{lifecycle::Lifecycle, pg::Pg, problem::Outcome};
use diesel::{
    QueryableByName, sql_query,
    sql_types::{BigInt, Integer},
};
use diesel_async::RunQueryDsl;

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
}

/// Starts the loop that sweeps every `pause`.
pub fn start(lifecycle: &Lifecycle, pg: Pg, pause: Duration) {
    lifecycle.spawn_loop("hold_expiry", move |stop| {
        let pg = pg.clone();
        async move {
            while !stop.is_cancelled() {
                match sweep(&pg).await {
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

/// Expires due reservations and releases the seats that are still theirs; at most one batch.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn sweep(pg: &Pg) -> Outcome<Swept> {
    let mut conn = pg.conn().await?;
    let swept: Swept = sql_query(
        "WITH due AS ( \
             SELECT id FROM reservations WHERE status = 'pending' AND expires_at <= clock_timestamp() \
             ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED), \
         expired AS ( \
             UPDATE reservations r SET status = 'expired', updated_at = clock_timestamp() \
             FROM due WHERE r.id = due.id RETURNING r.id), \
         theirs AS MATERIALIZED ( \
             SELECT s.id FROM expired e \
             JOIN reservation_seats k ON k.reservation_id = e.id \
             JOIN seats s ON s.id = k.seat_id AND s.reservation_id = e.id \
             WHERE s.status = 'locked' ORDER BY s.id FOR UPDATE OF s), \
         released AS ( \
             UPDATE seats s SET status = 'available', reservation_id = NULL, held_until = NULL, \
             version = s.version + 1 FROM theirs WHERE s.id = theirs.id RETURNING s.id) \
         SELECT (SELECT count(*) FROM expired) AS reservations, (SELECT count(*) FROM released) AS seats",
    )
    .bind::<Integer, _>(i32::from(BATCH))
    .get_result(&mut conn)
    .await?;
    if swept.reservations > 0 {
        metrics::counter!("reservations_expired_total").increment(swept.reservations.unsigned_abs());
        metrics::counter!("seats_released_total").increment(swept.seats.unsigned_abs());
        tracing::debug!(reservations = swept.reservations, seats = swept.seats, "holds ended");
    }
    Ok(swept)
}
