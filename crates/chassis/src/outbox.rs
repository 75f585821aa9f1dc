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
    sql_types::{Array, BigInt, Double, Integer, Jsonb, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    clock::Clock,
    gauges,
    lifecycle::Lifecycle,
    pg::Pg,
    prepared::Prepare,
    problem::{Outcome, Problem},
};

/// How often the table is looked at without being told; covers other replicas' messages and lost notices.
const POLL: Duration = Duration::from_millis(500);
/// Messages leased at once where each is delivered by itself.
const BATCH: i32 = 20;
/// Messages leased at once where all are delivered together: a few milliseconds of work, and memory of a few hundred kB.
const BATCH_TOGETHER: i32 = 500;
/// Longest one quick delivery may take.
pub const QUICK: Duration = Duration::from_secs(2);
/// How much longer than a whole batch of slow deliveries a leased message is this process's.
const LEASE_SLACK: Duration = Duration::from_secs(20);
/// How often it is told how much is due.
const BACKLOG_EVERY: Duration = Duration::from_secs(15);
/// Most due messages that are counted; more are as bad.
const BACKLOG_COUNTED: i64 = 10_000;
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

/// Delivers many messages at once to where that costs hardly more than one.
#[async_trait]
pub trait DeliverTogether: Send + Sync {
    /// Delivers all of them; an error means that all are tried again, those that have arrived among them.
    async fn deliver(&self, messages: &[Message]) -> Outcome<()>;
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

/// Who delivers, and how.
enum Target {
    Each(Arc<dyn Deliver>),
    Together(Arc<dyn DeliverTogether>),
}

impl Target {
    const fn batch(&self) -> i32 {
        match self {
            Self::Each(_) => BATCH,
            Self::Together(_) => BATCH_TOGETHER,
        }
    }

    /// Returns how long messages on a lane are this process's.
    fn lease(&self, lane: &Lane) -> Duration {
        let deliveries = match self {
            Self::Each(_) => BATCH.unsigned_abs(),
            Self::Together(_) => 1,
        };
        lane.patience * deliveries + LEASE_SLACK
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
    target: Target,
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
        .prepared()
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
        self.start(lifecycle, Relay { lane, pg, target: Target::Each(target) });
    }

    /// Starts the loop that delivers what travels on a lane, many messages at once: for notices that come in bursts of
    /// thousands. A failure, or a process that dies in between, has all messages of a batch delivered again.
    pub fn relay_together(&self, lifecycle: &Lifecycle, pg: Pg, lane: Lane, target: Arc<dyn DeliverTogether>) {
        self.start(lifecycle, Relay { lane, pg, target: Target::Together(target) });
    }

    fn start(&self, lifecycle: &Lifecycle, relay: Relay) {
        let (wake, relay) = (self.wake.clone(), Arc::new(relay));
        let watched = relay.clone();
        lifecycle.spawn_every("outbox_backlog", BACKLOG_EVERY, move || {
            let relay = watched.clone();
            async move {
                if let Err(problem) = relay.tell_backlog().await {
                    tracing::debug!(code = problem.code(), "what is due in the outbox cannot be counted");
                }
            }
        });
        lifecycle.spawn_loop(relay.lane.name, move |stop| {
            let (wake, relay) = (wake.clone(), relay.clone());
            async move {
                while !stop.is_cancelled() {
                    // Listening before looking: what is committed in between is not waited for until the next poll.
                    let woken = wake.notified();
                    match relay.batch(&stop).await {
                        Ok(delivered) if delivered == relay.full_batch() => continue,
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

/// What is due on a lane and not delivered yet.
#[derive(QueryableByName)]
struct Backlog {
    #[diesel(sql_type = BigInt)]
    messages: i64,
    #[diesel(sql_type = Double)]
    oldest_seconds: f64,
}

impl Relay {
    /// Tells as gauges how many messages are due, and for how long the first of them has been.
    async fn tell_backlog(&self) -> Outcome<()> {
        let backlog: Backlog = sql_query(
            "SELECT count(*) AS messages, \
             COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min(due_at)), 0)::float8 AS oldest_seconds \
             FROM (SELECT due_at FROM outbox WHERE topic = ANY($1) AND due_at <= clock_timestamp() \
             ORDER BY due_at LIMIT $2) due",
        )
        .bind::<Array<Text>, _>(self.lane.topics)
        .bind::<BigInt, _>(BACKLOG_COUNTED)
        .prepared()
        .get_result(&mut *self.pg.conn().await?)
        .await?;
        let messages = gauges::count(usize::try_from(backlog.messages).unwrap_or_default());
        metrics::gauge!("outbox_messages_due", "lane" => self.lane.name).set(messages);
        metrics::gauge!("outbox_oldest_due_seconds", "lane" => self.lane.name).set(backlog.oldest_seconds);
        Ok(())
    }

    fn full_batch(&self) -> usize {
        usize::try_from(self.target.batch()).unwrap_or_default()
    }

    /// Delivers what is due; returns how many messages there were.
    ///
    /// The rows are leased in a short transaction of their own: a delivery may take its time, and neither locks nor a
    /// connection are held meanwhile.
    async fn batch(&self, stop: &CancellationToken) -> Outcome<usize> {
        let lease = self.target.lease(&self.lane);
        let messages = take(&mut *self.pg.conn().await?, &self.lane, self.target.batch(), lease).await?;
        match &self.target {
            Target::Each(target) => self.deliver_each(&**target, &messages, stop).await?,
            Target::Together(target) => self.deliver_together(&**target, &messages).await?,
        }
        Ok(messages.len())
    }

    async fn deliver_each(&self, target: &dyn Deliver, messages: &[Message], stop: &CancellationToken) -> Outcome<()> {
        for (at, message) in messages.iter().enumerate() {
            if stop.is_cancelled() {
                let left: Vec<Uuid> = messages.iter().skip(at).map(|message| message.id).collect();
                return give_back(&mut *self.pg.conn().await?, &left).await;
            }
            let delivered = self.wait_for(target.deliver(message)).await;
            let mut conn = self.pg.conn().await?;
            match delivered {
                Ok(()) => forget(&mut conn, &[message.id]).await?,
                Err(problem) => postpone(&mut conn, std::slice::from_ref(message), &problem).await?,
            }
        }
        Ok(())
    }

    async fn deliver_together(&self, target: &dyn DeliverTogether, messages: &[Message]) -> Outcome<()> {
        if messages.is_empty() {
            return Ok(());
        }
        let delivered = self.wait_for(target.deliver(messages)).await;
        let mut conn = self.pg.conn().await?;
        match delivered {
            Ok(()) => {
                let ids: Vec<Uuid> = messages.iter().map(|message| message.id).collect();
                forget(&mut conn, &ids).await
            }
            Err(problem) => postpone(&mut conn, messages, &problem).await,
        }
    }

    /// Waits for a delivery as long as its lane has patience; one that panics has failed like any other.
    async fn wait_for(&self, delivery: impl Future<Output = Outcome<()>> + Send) -> Outcome<()> {
        let delivering = AssertUnwindSafe(delivery).catch_unwind();
        match tokio::time::timeout(self.lane.patience, delivering).await {
            Ok(Ok(delivered)) => delivered,
            Ok(Err(_panic)) => Err(Problem::unexpected("a delivery panicked")),
            Err(elapsed) => Err(Problem::late(elapsed)),
        }
    }
}

async fn take(conn: &mut AsyncPgConnection, lane: &Lane, most: i32, lease: Duration) -> Outcome<Vec<Message>> {
    let leased = sql_query(
        "UPDATE outbox SET attempts = attempts + 1, due_at = clock_timestamp() + make_interval(secs => $2) \
         WHERE id IN (SELECT id FROM outbox WHERE due_at <= clock_timestamp() AND topic = ANY($3) ORDER BY id LIMIT $1 \
         FOR UPDATE SKIP LOCKED) RETURNING id, topic, payload, attempts",
    )
    .bind::<Integer, _>(most)
    .bind::<Double, _>(lease.as_secs_f64())
    .bind::<Array<Text>, _>(lane.topics)
    .prepared()
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

async fn forget(conn: &mut AsyncPgConnection, ids: &[Uuid]) -> Outcome<()> {
    sql_query("DELETE FROM outbox WHERE id = ANY($1)").bind::<Array<SqlUuid>, _>(ids).prepared().execute(conn).await?;
    Ok(())
}

/// Has messages that were leased together tried again, each after a pause that grows with its attempts.
async fn postpone(conn: &mut AsyncPgConnection, messages: &[Message], problem: &Problem) -> Outcome<()> {
    problem.log();
    for message in messages {
        metrics::counter!("outbox_postponed_total", "topic" => message.topic.clone()).increment(1);
    }
    if let Some(message) = messages.first() {
        let (topic, attempts, count) = (&message.topic, message.attempts, messages.len());
        tracing::warn!(topic, attempts, count, "messages are not delivered yet");
    }
    let ids: Vec<Uuid> = messages.iter().map(|message| message.id).collect();
    sql_query(
        "UPDATE outbox SET due_at = clock_timestamp() + make_interval(secs => least($2, \
         power(2, least(greatest(attempts, 1), 16) - 1))) WHERE id = ANY($1)",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Double, _>(MAX_BACKOFF.as_secs_f64())
    .execute(conn)
    .await?;
    Ok(())
}
