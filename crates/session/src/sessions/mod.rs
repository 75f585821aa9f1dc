//! Sessions: one resource for conversations and for talks before an audience.
//!
//! A session belongs to one person; to everybody else it does not exist. Its settings begin as those of its type with
//! the person's own laid over them, and its code is unique by constraint.

pub mod codes;
pub mod create;
pub mod list;
pub mod show;
pub mod store;

use actix_web::web::{self, ServiceConfig};
use domain::{
    session::{SessionStatus, SessionType},
    time::Instant,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// The collection; its clients write it with and without the slash.
const COLLECTION: [&str; 2] = ["/api/v1/sessions", "/api/v1/sessions/"];

/// Mounts the routes of sessions.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource(COLLECTION).post(create::create).get(list::list))
        .service(web::resource("/api/v1/sessions/{id}").get(show::show));
}

/// A session as its owner sees it; instants stand under both names the documents' clients read.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionView {
    /// The session.
    pub id: Uuid,
    /// Its owner.
    pub user_id: Uuid,
    /// 2-100 characters.
    pub title: String,
    /// What it is about.
    pub description: Option<String>,
    /// Decides its default settings.
    #[schema(value_type = SessionType)]
    pub r#type: String,
    /// Where it stands.
    #[schema(value_type = SessionStatus)]
    pub status: String,
    /// Six characters that let an audience in.
    pub session_code: String,
    /// QR of the join link as a data URL.
    pub qr_code_url: Option<String>,
    /// Whether its status is `active`.
    pub is_active: bool,
    /// How many have joined.
    pub participant_count: u32,
    /// The ticketed event whose holders may join.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Uuid>,
    /// Settings of its type with the owner's own laid over them.
    #[schema(value_type = Object)]
    pub settings: Value,
    /// Device, location, participants and tags, as far as they were given.
    #[schema(value_type = Object)]
    pub metadata: Value,
    /// What came out of it.
    #[schema(value_type = Option<Object>)]
    pub summary: Option<Value>,
    /// When it was begun.
    pub start_time: Option<Instant>,
    /// The same.
    pub started_at: Option<Instant>,
    /// When it stopped.
    pub end_time: Option<Instant>,
    /// The same.
    pub ended_at: Option<Instant>,
    /// Whole seconds from beginning to end.
    pub duration: Option<i64>,
    /// When it was made.
    pub created_at: Instant,
    /// When it was changed last.
    pub updated_at: Instant,
}

impl SessionView {
    /// Returns how many have joined a session.
    pub const fn participants_of(_session: &store::Session) -> u32 {
        // There is no way to join yet, so nobody has.
        0
    }
}

impl From<store::Session> for SessionView {
    fn from(session: store::Session) -> Self {
        let (started_at, ended_at) = (session.started_at.map(Instant), session.ended_at.map(Instant));
        let duration = session.started_at.zip(session.ended_at).map(|(start, end)| (end - start).num_seconds().max(0));
        Self {
            participant_count: Self::participants_of(&session),
            id: session.id,
            user_id: session.user_id,
            title: session.title,
            description: session.description,
            r#type: session.kind,
            is_active: session.status == SessionStatus::Active.name(),
            status: session.status,
            session_code: session.session_code,
            // No picture is drawn yet; the code says the same.
            qr_code_url: None,
            event_id: session.event_id,
            settings: session.settings,
            metadata: session.metadata,
            summary: session.summary,
            start_time: started_at,
            started_at,
            end_time: ended_at,
            ended_at,
            duration,
            created_at: session.created_at.into(),
            updated_at: session.updated_at.into(),
        }
    }
}
