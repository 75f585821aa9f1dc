//! Sessions: one resource for conversations and for talks before an audience.
//!
//! A session belongs to one person; to everybody else it does not exist. Its settings begin as those of its type with
//! the person's own laid over them, its code is unique by constraint, and how it goes on the domain's rule decides under
//! the lock of its row.

mod change;
pub mod codes;
pub mod create;
pub mod delete;
pub mod lifecycle;
pub mod list;
pub mod show;
pub mod store;
pub mod summary;
pub mod update;

use actix_web::web::{self, ServiceConfig};
use chassis::document::Document;
use domain::{
    session::{SessionStatus, SessionType},
    time::Instant,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::qr::Pictures;

/// The collection; its clients write it with and without the slash.
const COLLECTION: [&str; 2] = ["/api/v1/sessions", "/api/v1/sessions/"];

/// Mounts the routes of sessions.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource(COLLECTION).post(create::create).get(list::list))
        .service(web::resource("/api/v1/sessions/{id}").get(show::show).put(update::update).delete(delete::delete))
        .service(web::resource("/api/v1/sessions/{id}/activate").post(lifecycle::activate))
        .service(web::resource("/api/v1/sessions/{id}/deactivate").post(lifecycle::deactivate))
        .service(web::resource("/api/v1/sessions/{id}/end").post(lifecycle::end))
        .service(web::resource("/api/v1/sessions/{id}/summary").put(summary::summarise));
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
    /// How many are in it.
    pub participant_count: u32,
    /// The ticketed event whose holders may join.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Uuid>,
    /// Settings of its type with the owner's own laid over them.
    #[schema(value_type = Object)]
    pub settings: Document,
    /// Device, location, participants and tags, as far as they were given.
    #[schema(value_type = Object)]
    pub metadata: Document,
    /// What came out of it.
    #[schema(value_type = Option<Object>)]
    pub summary: Option<Document>,
    /// When it was begun.
    pub start_time: Option<Instant>,
    /// The same.
    pub started_at: Option<Instant>,
    /// Since when it stands still or is over.
    pub end_time: Option<Instant>,
    /// The same.
    pub ended_at: Option<Instant>,
    /// Whole seconds in which it was active, once it stands still or is over.
    pub duration: Option<i64>,
    /// When it was made.
    pub created_at: Instant,
    /// When it was changed last.
    pub updated_at: Instant,
}

impl SessionView {
    /// Shows a session to its owner.
    pub fn new(session: store::Session, pictures: &Pictures) -> Self {
        let qr_code_url = pictures.data_url(&session.session_code);
        Self::with_picture(session, qr_code_url)
    }

    /// Shows a session with the picture of its link.
    pub fn with_picture(session: store::Session, qr_code_url: Option<String>) -> Self {
        let (started_at, ended_at) = (session.started_at.map(Instant), session.ended_at.map(Instant));
        let (is_active, duration) = (session.is_active(), session.standing().duration_seconds());
        Self {
            participant_count: session.participants(),
            id: session.id,
            user_id: session.user_id,
            title: session.title,
            description: session.description,
            r#type: session.kind,
            is_active,
            status: session.status,
            session_code: session.session_code,
            qr_code_url,
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
