//! Letting go of the orders of cancelled events, in every replica.
//!
//! What is to be done follows from the tables alone: an event that was cancelled and is not settled still may have
//! orders. Each is let go of in a transaction of its own, which moves it, gives back what it held and, where it was paid
//! for, writes that its money is to be returned; so each happens once, and whoever dies in the middle has left nothing
//! half done. An event stays under watch for a while after its last order: a purchase that had begun before it was
//! cancelled may still be committed. An order that cannot be let go of keeps neither the orders behind it nor other
//! events waiting; it is tried again until it can.

use std::{sync::Arc, time::Duration};

use chassis::{lifecycle::Lifecycle, outbox::Outbox, pg::Pg, prepared::Prepare, problem::Outcome};
use diesel::{
    QueryableByName, sql_query,
    sql_types::{BigInt, Double, Nullable, Uuid as SqlUuid},
};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use domain::ids::{EventId, ReservationId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::store;
use crate::order::settle::{self, Release};

/// How often replicas look for cancelled events without being told.
const POLL: Duration = Duration::from_secs(1);
/// Orders that are looked up at once.
const BATCH: i64 = 200;
/// How long an event is one replica's, from one batch to the next: a batch takes a second or two.
const LEASE: Duration = Duration::from_secs(15);
/// How long an event rests of which an order could not be let go of.
const REST: Duration = Duration::from_secs(10);
/// How long an event is watched after it was cancelled; no transaction lasts so long.
const WATCH: Duration = Duration::from_mins(1);

/// Wakes this process's worker; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Settlement(Arc<Notify>);

impl Settlement {
    /// Says that an event was cancelled.
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Starts the loop.
pub fn start(lifecycle: &Lifecycle, pg: Pg, outbox: Outbox, settlement: Settlement) {
    lifecycle.spawn_loop("settlement", move |stop| {
        let (pg, outbox, settlement) = (pg.clone(), outbox.clone(), settlement.clone());
        async move {
            while !stop.is_cancelled() {
                match settle_one(&pg, &outbox, &stop).await {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(problem) => tracing::warn!(code = problem.code(), "orders of a cancelled event wait"),
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = settlement.0.notified() => {}
                    () = tokio::time::sleep(POLL) => {}
                }
            }
        }
    });
}

/// Works on one cancelled event until nothing of it is left that can be let go of; returns whether there may be another
/// one.
async fn settle_one(pg: &Pg, outbox: &Outbox, stop: &CancellationToken) -> Outcome<bool> {
    let Some(event) = lease(&mut *pg.conn().await?, None).await? else { return Ok(false) };
    let mut last = None;
    let (mut released, mut failed) = (0, 0);
    while !stop.is_cancelled() {
        let mut conn = pg.conn().await?;
        let open = list_open(&mut conn, event, last).await?;
        if open.is_empty() {
            break;
        }
        for id in open.iter().copied().map(ReservationId) {
            match conn.transaction(async |conn| settle::release(conn, id, Release::Cancelled).await).await {
                Ok(_) => released += 1,
                Err(problem) => {
                    failed += 1;
                    let code = problem.code();
                    tracing::warn!(reservation_id = %id, code, "an order of a cancelled event is not let go of");
                    // It may have waited for a lock for seconds. When the database is away this ends the round.
                    lease(&mut conn, Some(event)).await?;
                }
            }
        }
        last = open.last().copied();
        outbox.wake();
        lease(&mut conn, Some(event)).await?;
    }
    let mut conn = pg.conn().await?;
    conn.transaction(async |conn| finish(conn, outbox, event, (released, failed)).await).await?;
    if failed > 0 {
        metrics::counter!("reservations_of_cancelled_events_failed_total").increment(failed);
    }
    if released > 0 {
        outbox.wake();
        metrics::counter!("reservations_of_cancelled_events_total").increment(released);
        tracing::info!(event_id = %event, released, "orders of a cancelled event are let go of");
    }
    // This one is not due again for a while, so the next look finds another one, or nothing.
    Ok(true)
}

/// Takes the event that waits longest for somebody to work on it, or keeps one for longer.
async fn lease(conn: &mut AsyncPgConnection, held: Option<EventId>) -> Outcome<Option<EventId>> {
    let leased: Vec<Row> = sql_query(
        "UPDATE events SET settling_until = clock_timestamp() + make_interval(secs => $2) WHERE id = coalesce($1, ( \
         SELECT id FROM events WHERE cancelled_at IS NOT NULL AND settled_at IS NULL \
         AND coalesce(settling_until, cancelled_at) <= clock_timestamp() \
         ORDER BY coalesce(settling_until, cancelled_at) LIMIT 1 FOR UPDATE SKIP LOCKED)) RETURNING id",
    )
    .bind::<Nullable<SqlUuid>, _>(held.map(|event| event.0))
    .bind::<Double, _>(LEASE.as_secs_f64())
    .prepared()
    .load(conn)
    .await?;
    Ok(leased.into_iter().next().map(|row| EventId(row.id)))
}

/// Lists orders that hold something, after the last of the batch before.
async fn list_open(conn: &mut AsyncPgConnection, event: EventId, last: Option<Uuid>) -> Outcome<Vec<Uuid>> {
    let open: Vec<Row> = sql_query(
        "SELECT id FROM reservations WHERE event_id = $1 AND id > $2 AND status IN ('pending', 'confirmed') \
         ORDER BY id LIMIT $3",
    )
    .bind::<SqlUuid, _>(event.0)
    .bind::<SqlUuid, _>(last.unwrap_or_default())
    .bind::<BigInt, _>(BATCH)
    .prepared()
    .load(conn)
    .await?;
    Ok(open.into_iter().map(|row| row.id).collect())
}

/// Lets go of an event: for good when it was cancelled long enough ago and nothing is left, else until the next look.
async fn finish(
    conn: &mut AsyncPgConnection,
    outbox: &Outbox,
    event: EventId,
    (released, failed): (u64, u64),
) -> Outcome<()> {
    let rest = if failed > 0 { REST } else { POLL };
    sql_query(
        "UPDATE events e SET settling_until = clock_timestamp() + make_interval(secs => $3), \
         settled_at = CASE WHEN cancelled_at <= clock_timestamp() - make_interval(secs => $2) AND NOT EXISTS ( \
             SELECT FROM reservations r WHERE r.event_id = e.id AND r.status IN ('pending', 'confirmed')) \
         THEN clock_timestamp() END WHERE id = $1",
    )
    .bind::<SqlUuid, _>(event.0)
    .bind::<Double, _>(WATCH.as_secs_f64())
    .bind::<Double, _>(rest.as_secs_f64())
    .prepared()
    .execute(conn)
    .await?;
    if released > 0 {
        store::tell(conn, outbox, event).await?;
    }
    Ok(())
}
