//! The outbox: effects outside the database that must not be lost.
//!
//! A use case writes a message in the transaction that makes it true; after the commit a relay delivers it, at least
//! once and in order of writing per process. Every replica relays: rows are claimed with `SKIP LOCKED`, so two never
//! deliver the same message at the same time. A message that cannot be delivered is tried again with growing pauses.
//!
//! Each database that uses it has this table:
//! `outbox(id uuid primary key, topic text, payload jsonb, attempts int, due_at timestamptz)`.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use diesel::{
    QueryableByName, sql_query,
    sql_types::{Integer, Jsonb, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    clock::Clock,
    lifecycle::Lifecycle,
    pg::Pg,
    problem::{Outcome, Problem},
};

/// How often the table is looked at without being told; covers other replicas' messages and lost notices.
const POLL: Duration = Duration::from_millis(500);
/// Messages delivered per transaction.
const BATCH: i32 = 100;
/// Longest pause between attempts.
const MAX_BACKOFF_SECONDS: i32 = 60;

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
    /// How often it was tried before.
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
}

/// Delivers messages to wherever they belong.
#[async_trait]
pub trait Deliver: Send + Sync {
    /// Delivers one message; an error means that it is tried again.
    async fn deliver(&self, message: &Message) -> Outcome<()>;
}

/// Writes messages and wakes the relay; clones share it.
#[derive(Clone)]
pub struct Outbox {
    clock: Clock,
    wake: Arc<Notify>,
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
        let payload = serde_json::to_value(payload).map_err(Problem::unexpected)?;
        sql_query("INSERT INTO outbox (id, topic, payload) VALUES ($1, $2, $3)")
            .bind::<SqlUuid, _>(self.clock.uuid())
            .bind::<Text, _>(topic)
            .bind::<Jsonb, _>(payload)
            .execute(conn)
            .await?;
        Ok(())
    }

    /// Says that messages were committed, so that they leave now and not at the next poll.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Starts the loop that delivers.
    pub fn relay(&self, lifecycle: &Lifecycle, pg: Pg, target: Arc<dyn Deliver>) {
        let wake = self.wake.clone();
        lifecycle.spawn_loop("outbox", move |stop| {
            let (wake, pg, target) = (wake.clone(), pg.clone(), target.clone());
            async move {
                while !stop.is_cancelled() {
                    match relay_batch(&pg, target.as_ref()).await {
                        Ok(delivered) if delivered == usize::try_from(BATCH).unwrap_or_default() => continue,
                        Ok(_) => {}
                        Err(problem) => tracing::warn!(code = problem.code(), "the outbox waits for its database"),
                    }
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = wake.notified() => {}
                        () = tokio::time::sleep(POLL) => {}
                    }
                }
            }
        });
    }
}

async fn relay_batch(pg: &Pg, target: &dyn Deliver) -> Outcome<usize> {
    let mut conn = pg.conn().await?;
    conn.transaction::<_, Problem, _>(async |conn| {
        let messages: Vec<Message> = sql_query(
            "SELECT id, topic, payload, attempts FROM outbox WHERE due_at <= clock_timestamp() \
             ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED",
        )
        .bind::<Integer, _>(BATCH)
        .load(conn)
        .await?;
        for message in &messages {
            match target.deliver(message).await {
                Ok(()) => {
                    sql_query("DELETE FROM outbox WHERE id = $1").bind::<SqlUuid, _>(message.id).execute(conn).await?;
                }
                Err(problem) => postpone(conn, message, &problem).await?,
            }
        }
        Ok(messages.len())
    })
    .await
}

async fn postpone(conn: &mut AsyncPgConnection, message: &Message, problem: &Problem) -> Outcome<()> {
    tracing::warn!(topic = message.topic, attempts = message.attempts, code = problem.code(), "not delivered yet");
    metrics::counter!("outbox_postponed_total", "topic" => message.topic.clone()).increment(1);
    let seconds = 1_i32.checked_shl(message.attempts.unsigned_abs()).unwrap_or(i32::MAX).clamp(1, MAX_BACKOFF_SECONDS);
    sql_query(
        "UPDATE outbox SET attempts = attempts + 1, due_at = clock_timestamp() + make_interval(secs => $2) \
         WHERE id = $1",
    )
    .bind::<SqlUuid, _>(message.id)
    .bind::<Integer, _>(seconds)
    .execute(conn)
    .await?;
    Ok(())
}
