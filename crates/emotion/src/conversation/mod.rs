//! Conversations: whose they are and what they were about.
//!
//! A socket's conversation is announced to its client at once and written with the first message, so that looking in
//! leaves no empty rows behind. Until then it is a short-lived note in Redis, which every replica can read.

mod announced;
pub mod create;
pub mod delete;
pub mod end;
pub mod list;
mod row;
pub mod show;
pub mod store;

use std::time::Duration;

use actix_web::web::{self, ServiceConfig};
use chassis::problem::Outcome;
use domain::{
    fault::{Fault, Kind},
    ids::{ConversationId, Id, UserId},
    time::Instant,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub(crate) use row::ConversationRow;
pub use store::Conversation;

use crate::app::App;

/// No such conversation, or somebody else's.
pub const NOT_FOUND: Fault = Fault::new(
    Kind::NotFound,
    "session_not_found",
    "감정 세션을 찾을 수 없습니다.",
    "There is no such emotion session.",
);
/// The conversation has ended and takes no more messages.
pub const ENDED: Fault =
    Fault::new(Kind::Conflict, "session_ended", "이미 종료된 세션입니다.", "This session has already ended.");

/// Longest a new socket waits for its conversation to be noted in Redis.
const ANNOUNCE_TIMEOUT: Duration = Duration::from_millis(250);

/// Mounts the routes of conversations.
pub fn routes(cfg: &mut ServiceConfig) {
    let all = ["/emotion/sessions", "/emotion/sessions/"];
    cfg.service(web::resource(all).get(list::list_own).post(create::create))
        .service(web::resource("/emotion/sessions/user/{user_id}").get(list::list))
        .service(web::resource("/emotion/sessions/{session_id}").get(show::show).delete(delete::delete))
        .service(web::resource("/emotion/sessions/{session_id}/end").post(end::end));
}

/// A conversation as its owner sees it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConversationView {
    /// The conversation.
    pub session_id: Uuid,
    /// Whose it is.
    pub user_id: Uuid,
    /// The feeling it was about.
    pub emotion_label: Option<String>,
    /// What it was about.
    pub topic: Option<String>,
    /// What set it off.
    pub trigger_summary: Option<String>,
    /// What was found.
    pub insight_summary: Option<String>,
    /// When it began.
    pub started_at: Instant,
    /// When it ended.
    pub ended_at: Option<Instant>,
}

impl From<Conversation> for ConversationView {
    fn from(conversation: Conversation) -> Self {
        Self {
            session_id: conversation.id,
            user_id: conversation.user_id,
            emotion_label: conversation.emotion_label,
            topic: conversation.topic,
            trigger_summary: conversation.trigger_summary,
            insight_summary: conversation.insight_summary,
            started_at: conversation.started_at.into(),
            ended_at: conversation.ended_at.map(Into::into),
        }
    }
}

/// A conversation that its owner may talk in.
#[derive(Clone)]
pub struct Talk {
    /// The conversation.
    pub conversation: Conversation,
    /// Whether its row was there. If it is gone when something is said, it was erased and is not written again.
    pub is_written: bool,
}

/// Begins a conversation that is written with its first message.
///
/// Without Redis it begins all the same, and until the first message only this socket knows of it.
pub async fn announce(app: &App, owner: UserId) -> Talk {
    let id: ConversationId = app.ground.clock.id();
    let conversation = Conversation::new(id, owner, app.ground.clock.now());
    let redis = &app.ground.redis;
    if let Err(problem) = redis.within(ANNOUNCE_TIMEOUT, announced::put(redis, &conversation)).await {
        tracing::debug!(code = problem.code(), "a new conversation was not noted");
    }
    Talk { conversation, is_written: false }
}

/// Returns a conversation of `owner`, written or only announced.
///
/// # Errors
/// [`NOT_FOUND`] when there is none, or it is somebody else's.
pub async fn get(app: &App, owner: UserId, id: ConversationId) -> Outcome<Talk> {
    let written = {
        let mut conn = app.ground.pg.conn().await?;
        app.vault.read(&mut conn, owner, async |conn, vault| store::find(conn, vault, owner, id).await).await?
    };
    let is_written = written.is_some();
    let found = match written {
        Some(conversation) => Some(conversation),
        // Without Redis an unspoken conversation is forgotten: nothing was said in it.
        None => announced::find(&app.ground.redis, owner, id).await.unwrap_or_default(),
    };
    let own = found.filter(|conversation| conversation.user_id == owner.uuid());
    Ok(Talk { conversation: own.ok_or(NOT_FOUND)?, is_written })
}

/// Forgets the conversations of `owner` in which nothing was said.
///
/// # Errors
/// 503 when Redis is away.
pub async fn forget_announced(app: &App, owner: UserId) -> Outcome<()> {
    announced::forget(&app.ground.redis, owner).await
}
