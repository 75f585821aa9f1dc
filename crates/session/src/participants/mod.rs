//! Participants: who came in by a session's code, signed in or as a guest.
//!
//! Whoever joins gets a token that is good for this one session until they leave, and shows it where a signed-in person
//! shows theirs. A signed-in person is in a session once. `sessions.participant_count` is written in the transaction of
//! each join and leave, so it is exact however many come at once. What the public sees of a session says nothing of its
//! settings, metadata or summary.

pub mod access;
pub mod admission;
pub mod join;
pub mod leave;
pub mod list;
pub mod lookup;
pub mod names;
pub mod person;
pub mod prune;
pub mod store;
pub mod ticket;
pub mod token;

use actix_web::web::{self, ServiceConfig};
use domain::{
    ids::{ParticipantId, UserId},
    session::{SessionStatus, SessionType},
    time::Instant,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use self::store::Participant;
use crate::{app::App, sessions::store::Session};

/// Mounts the routes of participants.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/api/v1/sessions/code/{code}").get(lookup::lookup))
        .service(web::resource("/api/v1/sessions/code/{code}/join").post(join::join))
        .service(web::resource("/api/v1/sessions/{id}/participants").get(list::list))
        .service(web::resource("/api/v1/sessions/{id}/participants/{pid}").delete(leave::leave))
        .service(web::resource("/api/v1/sessions/{id}/stream-ticket").post(ticket::give));
}

/// A session as those see it who have its code.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PublicSessionView {
    /// The session.
    pub id: Uuid,
    /// 2-100 characters.
    pub title: String,
    /// What sort of conversation it is.
    #[schema(value_type = SessionType)]
    pub r#type: String,
    /// Where it stands.
    #[schema(value_type = SessionStatus)]
    pub status: String,
    /// The code.
    pub session_code: String,
    /// Who holds it; nothing while the accounts cannot be asked.
    pub presenter_name: Option<String>,
    /// Whether people may come in.
    pub is_active: bool,
    /// How many are in it.
    pub participant_count: u32,
    /// Whether it is for those who have a ticket to its event.
    pub requires_ticket: bool,
}

impl PublicSessionView {
    /// Shows a session to whoever has its code; asks the auth service for its owner's name.
    pub async fn new(app: &App, session: Session) -> Self {
        Self {
            id: session.id,
            presenter_name: app.names.of(&app.peers.cards, UserId(session.user_id)).await,
            is_active: session.is_active(),
            participant_count: session.participants(),
            title: session.title,
            r#type: session.kind,
            status: session.status,
            session_code: session.session_code,
            requires_ticket: session.event_id.is_some(),
        }
    }
}

/// Somebody who is in a session.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ParticipantView {
    /// Who.
    pub id: ParticipantId,
    /// 1-50 characters.
    pub display_name: String,
    /// When they came in.
    pub joined_at: Instant,
}

impl From<Participant> for ParticipantView {
    fn from(participant: Participant) -> Self {
        Self {
            id: ParticipantId(participant.id),
            display_name: participant.display_name,
            joined_at: participant.joined_at.into(),
        }
    }
}
