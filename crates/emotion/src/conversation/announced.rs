//! Conversations whose id a client knows and in which nothing was said yet: one Redis key each, gone after a day.

use chassis::{
    problem::{Outcome, Problem},
    redis::Redis,
};
use deadpool_redis::redis::cmd;
use domain::{
    ids::{ConversationId, UserId},
    time::Instant,
};
use serde::{Deserialize, Serialize};

use super::Conversation;

/// How long a client may take to say something after it was told its conversation's id.
const KEPT_SECONDS: u32 = 24 * 60 * 60;

#[derive(Serialize, Deserialize)]
struct Note {
    user_id: UserId,
    started_at: Instant,
}

fn key(redis: &Redis, id: ConversationId) -> String {
    redis.key(format_args!("emotion:announced:{id}"))
}

/// Notes a conversation.
pub(super) async fn put(redis: &Redis, conversation: &Conversation) -> Outcome<()> {
    let note = Note { user_id: UserId(conversation.user_id), started_at: conversation.started_at.into() };
    let text = serde_json::to_string(&note).map_err(Problem::unexpected)?;
    let mut command = cmd("SET");
    command.arg(key(redis, ConversationId(conversation.id))).arg(text).arg("EX").arg(KEPT_SECONDS);
    redis.run(&command).await
}

/// Finds a conversation that was noted.
pub(super) async fn find(redis: &Redis, id: ConversationId) -> Outcome<Option<Conversation>> {
    let mut command = cmd("GET");
    let text: Option<String> = redis.run(command.arg(key(redis, id))).await?;
    let note = text.and_then(|text| serde_json::from_str::<Note>(&text).ok());
    Ok(note.map(|note| Conversation::new(id, note.user_id, note.started_at.0)))
}
