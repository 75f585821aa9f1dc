//! Conversations whose id a client knows and in which nothing was said yet: one sorted set in Redis a person, each
//! conversation by the time it was announced. All of a person's notes are one key, so that they can be forgotten.

use std::time::Duration;

use chassis::{
    problem::{Outcome, Problem},
    redis::Redis,
};
use chrono::{DateTime, Utc};
use deadpool_redis::redis::{cmd, pipe};
use domain::ids::{ConversationId, UserId};

use super::Conversation;

/// How long a client may take to say something after it was told its conversation's id.
const KEPT: Duration = Duration::from_hours(24);
/// Most notes of a person: who looks in without a word more often than this in a day loses the oldest.
const NOTES_MAX: i64 = 1_000;

fn key(redis: &Redis, owner: UserId) -> String {
    redis.key(format_args!("emotion:announced:{owner}"))
}

/// Notes a conversation.
pub(super) async fn put(redis: &Redis, conversation: &Conversation) -> Outcome<()> {
    let key = key(redis, UserId(conversation.user_id));
    let announced_at = conversation.started_at.timestamp_millis();
    let too_old = (conversation.started_at - KEPT).timestamp_millis();
    let mut notes = pipe();
    notes.atomic();
    notes.cmd("ZADD").arg(&key).arg(announced_at).arg(conversation.id.to_string()).ignore();
    notes.cmd("ZREMRANGEBYSCORE").arg(&key).arg("-inf").arg(too_old).ignore();
    notes.cmd("ZREMRANGEBYRANK").arg(&key).arg(0).arg(-1 - NOTES_MAX).ignore();
    notes.cmd("EXPIRE").arg(&key).arg(KEPT.as_secs()).ignore();
    let mut conn = redis.conn().await?;
    notes.query_async(&mut conn).await.map_err(Problem::from)
}

/// Finds a conversation of `owner` that was noted.
pub(super) async fn find(redis: &Redis, owner: UserId, id: ConversationId) -> Outcome<Option<Conversation>> {
    let mut command = cmd("ZSCORE");
    let announced_at: Option<f64> = redis.run(command.arg(key(redis, owner)).arg(id.to_string())).await?;
    #[expect(clippy::cast_possible_truncation, reason = "a score is whole milliseconds, far below 2^53")]
    let started_at = announced_at.and_then(|at| DateTime::<Utc>::from_timestamp_millis(at as i64));
    Ok(started_at.map(|at| Conversation::new(id, owner, at)))
}

/// Forgets one note of a person; returns whether it was there.
pub(super) async fn remove(redis: &Redis, owner: UserId, id: ConversationId) -> Outcome<bool> {
    redis.run(cmd("ZREM").arg(key(redis, owner)).arg(id.to_string())).await
}

/// Forgets every note of a person.
pub(super) async fn forget(redis: &Redis, owner: UserId) -> Outcome<()> {
    redis.run(cmd("DEL").arg(key(redis, owner))).await
}
