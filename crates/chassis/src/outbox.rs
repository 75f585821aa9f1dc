//! The outbox: effects outside the database that must not be lost.
//!
//! A use case writes a message in the transaction that makes it true; after the commit a relay delivers it, at least
//! once and in no particular order. Every replica relays: a message is leased to one of them at a time. One that cannot
//! be delivered is tried again with growing pauses and does not keep the others waiting.
//!
//! Each database that uses it has this table:
//! `outbox(id uuid primary key, topic text, payload jsonb, attempts int, due_at timestamptz)`.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_trait::async_trait;
use diesel::{
    QueryableByName, sql_query,
    sql_types::{Array, Double, Integer, Jsonb, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    clock::Clock,
    lifecycle::Lifecycle,
    pg::Pg,
    problem::{Outcome, Problem},
};

/// How often the table is looked at without being told; covers other replicas' messages and lost notices.
const POLL: Duration = Duration::from_millis(500);
/// Messages leased at once.
const BATCH: i32 = 20;
/// Longest one quick delivery may take.
pub const QUICK: Duration = Duration::from_secs(2);
/// How much longer than a whole batch of slow deliveries a leased message is this process's.
const LEASE_SLACK: Duration = Duration::from_secs(20);
/// Longest pause between attempts.
const MAX_BACKOFF: Duration = Duration::from_mins(1);

/// One message to deliver.
#[derive(Clone, Debug, QueryableByName)]
pub struct Message {
    /// Same at every attempt; receivers that must act once remember it.
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    /// What it is about.
    #[diesel(sql_type = Text)]
    pub topic: String,
    /// What happened.
    #[diesel(sql_type = Jsonb)]
    pub payload: serde_json::Value,
    /// Which attempt this is, from 1.
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
}

/// Delivers messages to wherever they belong.
#[async_trait]
pub trait Deliver: Send + Sync {
    /// Delivers one message; an error means that it is tried again.
    async fn deliver(&self, message: &Message) -> Outcome<()>;
}

/// Messages that are delivered one after the other, apart from those of other lanes: a mail server that takes its time
/// must not keep a notice waiting that everybody needs within a second.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    /// For logs and metrics.
    pub name: &'static str,
    /// The topics that travel on it.
    pub topics: &'static [&'static str],
    /// Longest one delivery may take. A process that dies in the middle keeps its messages waiting for twenty of them.
    pub patience: Duration,
}

impl Lane {
    fn lease(&self) -> Duration {
        self.patience * BATCH.unsigned_abs() + LEASE_SLACK
    }
}

/// Writes messages and wakes the relay; clones share it.
#[derive(Clone)]
pub struct Outbox {
    clock: Clock,
    wake: Arc<Notify>,
}

/// What a relay works with.
struct Relay {
    lane: Lane,
    pg: Pg,
    target: Arc<dyn Deliver>,
}

impl Outbox {
    /// Makes an outbox; start its [`relay`](Self::relay) once per process.
    pub fn new(clock: Clock) -> Self {
        Self { clock, wake: Arc::default() }
    }

    /// Writes a message in the transaction that `conn` is in.
    ///
    /// # Errors
    /// Returns an error when the row cannot be written; the transaction fails with it.
    pub async fn put(&self, conn: &mut AsyncPgConnection, topic: &str, payload: &impl Serialize) -> Outcome<()> {
        self.put_later(conn, topic, payload, Duration::ZERO).await
    }

    /// Writes a message that is not delivered before `delay` has passed.
    ///
    /// # Errors
    /// Returns an error when the row cannot be written; the transaction fails with it.
    pub async fn put_later(
        &self,
        conn: &mut AsyncPgConnection,
        topic: &str,
        payload: &impl Serialize,
        delay: Duration,
    ) -> Outcome<()> {
        let payload = serde_json::to_value(payload).map_err(Problem::unexpected)?;
        sql_query(
            "INSERT INTO outbox (id, topic, payload, due_at) \
             VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4))",
        )
        .bind::<SqlUuid, _>(self.clock.uuid())
        .bind::<Text, _>(topic)
        .bind::<Jsonb, _>(payload)
        .bind::<Double, _>(delay.as_secs_f64())
        .execute(conn)
        .await?;
        Ok(())
    }

    /// Says that messages were committed, so that they leave now and not at the next poll.
    pub fn wake(&self) {
        self.wake.notify_waiters();
    }

    /// Starts the loop that delivers what travels on a lane.
    pub fn relay(&self, lifecycle: &Lifecycle, pg: Pg, lane: Lane, target: Arc<dyn Deliver>) {
        let wake = self.wake.clone();
        let relay = Arc::new(Relay { lane, pg, target });
        lifecycle.spawn_loop(lane.name, move |stop| {
            let (wake, relay) = (wake.clone(), relay.clone());
            async move {
                while !stop.is_cancelled() {
                    // Listening before looking: what is committed in between is not waited for until the next poll.
                    let woken = wake.notified();
                    match relay.batch(&stop).await {
                        Ok(delivered) if delivered == usize::try_from(BATCH).unwrap_or_default() => continue,
                        Ok(_) => {}
                        Err(problem) => tracing::warn!(code = problem.code(), "the outbox waits for its database"),
                    }
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = woken => {}
                        () = tokio::time::sleep(POLL) => {}
                    }
                }
            }
        });
    }
}

impl Relay {
    /// Delivers what is due; returns how many messages there were.
    ///
    /// The rows are leased in a short transaction of their own: a delivery may take its time, and neither locks nor a
    /// connection are held meanwhile.
    async fn batch(&self, stop: &CancellationToken) -> Outcome<usize> {
        let messages = lease(&mut *self.pg.conn().await?, &self.lane).await?;
        for (at, message) in messages.iter().enumerate() {
            if stop.is_cancelled() {
                let left: Vec<Uuid> = messages.iter().skip(at).map(|message| message.id).collect();
                give_back(&mut *self.pg.conn().await?, &left).await?;
                break;
            }
            let delivering = AssertUnwindSafe(self.target.deliver(message)).catch_unwind();
            let delivered = match tokio::time::timeout(self.lane.patience, delivering).await {
                Ok(Ok(delivered)) => delivered,
                Ok(Err(_panic)) => Err(Problem::unexpected("a delivery panicked")),
                Err(elapsed) => Err(Problem::late(elapsed)),
            };
            let mut conn = self.pg.conn().await?;
            match delivered {
                Ok(()) => forget(&mut conn, message.id).await?,
                Err(problem) => postpone(&mut conn, message, &problem).await?,
            }
        }
        Ok(messages.len())
    }
}

async fn lease(conn: &mut AsyncPgConnection, lane: &Lane) -> Outcome<Vec<Message>> {
    let leased = sql_query(
        "UPDATE outbox SET attempts = attempts + 1, due_at = clock_timestamp() + make_interval(secs => $2) \
         WHERE id IN (SELECT id FROM outbox WHERE due_at <= clock_timestamp() AND topic = ANY($3) ORDER BY id LIMIT $1 \
         FOR UPDATE SKIP LOCKED) RETURNING id, topic, payload, attempts",
    )
    .bind::<Integer, _>(BATCH)
    .bind::<Double, _>(lane.lease().as_secs_f64())
    .bind::<Array<Text>, _>(lane.topics)
    .load(conn)
    .await?;
    Ok(leased)
}

async fn give_back(conn: &mut AsyncPgConnection, ids: &[Uuid]) -> Outcome<()> {
    sql_query("UPDATE outbox SET due_at = clock_timestamp() WHERE id = ANY($1)")
        .bind::<Array<SqlUuid>, _>(ids)
        .execute(conn)
        .await?;
    Ok(())
}

async fn forget(conn: &mut AsyncPgConnection, id: Uuid) -> Outcome<()> {
    sql_query("DELETE FROM outbox WHERE id = $1").bind::<SqlUuid, _>(id).execute(conn).await?;
    Ok(())
}

async fn postpone(conn: &mut AsyncPgConnection, message: &Message, problem: &Problem) -> Outcome<()> {
    problem.log();
    tracing::warn!(topic = message.topic, attempts = message.attempts, "a message is not delivered yet");
    metrics::counter!("outbox_postponed_total", "topic" => message.topic.clone()).increment(1);
    let doublings = message.attempts.clamp(1, 16).unsigned_abs() - 1;
    let seconds = f64::from(1_u32 << doublings).min(MAX_BACKOFF.as_secs_f64());
    sql_query("UPDATE outbox SET due_at = clock_timestamp() + make_interval(secs => $2) WHERE id = $1")
        .bind::<SqlUuid, _>(message.id)
        .bind::<Double, _>(seconds)
        .execute(conn)
        .await?;
    Ok(())
}
