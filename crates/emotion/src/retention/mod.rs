//! What nobody asked to keep for ever is not: conversations are deleted some days after they were last spoken in, when
//! the operator says so.

use std::time::Duration;

use chassis::{clock::Clock, lifecycle::Lifecycle, pg::Pg, problem::Outcome};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use diesel::{
    sql_query,
    sql_types::{BigInt, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::limit;

/// How often is looked for old conversations.
const EVERY: Duration = Duration::from_mins(10);
/// Conversations that one statement deletes: few enough that their locks last milliseconds.
const BATCH: i64 = 100;

/// How long conversations are kept.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct RetentionConfig {
    /// Days after its last message that a conversation is deleted; conversations are kept when absent.
    #[arg(long, env = "EMOTION_RETENTION_DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub emotion_retention_days: Option<u32>,
}

/// Starts the loop that deletes what is too old.
pub fn sweep(lifecycle: &Lifecycle, pg: Pg, clock: Clock, config: RetentionConfig) {
    lifecycle.spawn_every("old_conversations", EVERY, move || {
        let (pg, clock) = (pg.clone(), clock.clone());
        async move {
            match sweep_once(&pg, clock.now(), config).await {
                Ok(0) => {}
                Ok(conversations) => tracing::info!(conversations, "old conversations were deleted"),
                Err(problem) => tracing::warn!(code = problem.code(), "old conversations are not deleted yet"),
            }
        }
    });
}

/// Deletes all that is too old at `now`; returns how many conversations.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn sweep_once(pg: &Pg, now: DateTime<Utc>, config: RetentionConfig) -> Outcome<usize> {
    let mut conn = pg.conn().await?;
    while limit::forget_old_days(&mut conn, now, BATCH).await? > 0 {}
    let Some(days) = config.emotion_retention_days else { return Ok(0) };
    let too_old = now - TimeDelta::days(i64::from(days));
    let mut deleted = 0;
    loop {
        let some = delete_some(&mut conn, too_old).await?;
        deleted += some;
        if some == 0 {
            return Ok(deleted);
        }
    }
}

/// Deletes some conversations in which nothing was said since `too_old`. One that somebody is speaking in just now is
/// held by them, and left alone.
async fn delete_some(conn: &mut AsyncPgConnection, too_old: DateTime<Utc>) -> Outcome<usize> {
    let some = sql_query(
        "DELETE FROM emotion_sessions WHERE id IN (\
           SELECT s.id FROM emotion_sessions s \
           WHERE s.started_at < $1 AND coalesce(s.ended_at, s.started_at) < $1 \
           AND NOT EXISTS (SELECT FROM emotion_steps t WHERE t.session_id = s.id AND t.created_at >= $1) \
           ORDER BY s.started_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
    );
    Ok(some.bind::<Timestamptz, _>(too_old).bind::<BigInt, _>(BATCH).execute(conn).await?)
}
