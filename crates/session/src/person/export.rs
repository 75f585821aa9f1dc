//! `GET /internal/users/{id}/export`.

use std::collections::HashMap;

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    document::Document,
    principal::AuthPeer,
    problem::{Outcome, Problem},
};
use diesel_async::AsyncPgConnection;
use domain::{
    contract::UserExport, ids::UserId, person::ExportDocument, principal::Service, time::Instant, timer::Reading,
};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::store;
use crate::{
    app::App,
    feedback::export::{self as feedback, ExportedFeedback},
    focus,
    participants::{
        self,
        person::{ExportedPlace, Places},
    },
    sessions::store::Session,
    timer,
};

/// The part of the document that holds sessions.
const SESSIONS: &str = "sessions";

/// The part that holds who came to those.
const PARTICIPANTS: &str = "participants";
/// The part that holds the places the person has taken in sessions.
const JOINED: &str = "joined";

/// A session with everything that is kept of it.
#[derive(Serialize)]
struct ExportedSession {
    id: Uuid,
    title: String,
    description: Option<String>,
    r#type: String,
    status: String,
    session_code: String,
    event_id: Option<Uuid>,
    settings: Document,
    metadata: Document,
    summary: Option<Document>,
    started_at: Option<Instant>,
    ended_at: Option<Instant>,
    created_at: Instant,
    updated_at: Instant,
    timer: Option<Reading>,
    feedback: Option<ExportedFeedback>,
}

impl ExportedSession {
    fn new(session: Session, timer: Option<Reading>, feedback: Option<ExportedFeedback>) -> Self {
        Self {
            id: session.id,
            title: session.title,
            description: session.description,
            r#type: session.kind,
            status: session.status,
            session_code: session.session_code,
            event_id: session.event_id,
            settings: session.settings,
            metadata: session.metadata,
            summary: session.summary,
            started_at: session.started_at.map(Instant),
            ended_at: session.ended_at.map(Instant),
            created_at: session.created_at.into(),
            updated_at: session.updated_at.into(),
            timer,
            feedback,
        }
    }
}

/// Shows everything that is kept about a person, as of one instant. Idempotency keys are left out: they repeat answers
/// of the last day.
pub async fn export(app: Data<App>, _auth: AuthPeer, id: Path<UserId>) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let mut snapshot = conn.build_transaction().read_only().repeatable_read();
    let data = snapshot.run(async |conn| collect(conn, *id).await).await?;
    Ok(HttpResponse::Ok().json(UserExport { service: Service::Session, data }))
}

async fn collect(conn: &mut AsyncPgConnection, person: UserId) -> Outcome<Value> {
    let mut document = ExportDocument::new(&[SESSIONS, focus::person::FOCUS_SESSIONS, PARTICIPANTS, JOINED]);
    let mut last = None;
    'pages: loop {
        let page = store::list(conn, person, last).await?;
        last = page.last().map(|session| (session.created_at, session.id));
        if last.is_none() {
            break;
        }
        let mut timers = timers(conn, &page).await?;
        let ids: Vec<_> = page.iter().map(|session| session.id).collect();
        let mut feedback = feedback::begin(conn, &ids).await?;
        for session in page {
            let timer = timers.remove(&session.id);
            let feedback = match feedback.remove(&session.id) {
                Some(begun) => Some(begun.with_cues(conn, session.id).await?),
                None => None,
            };
            let row = ExportedSession::new(session, timer, feedback);
            if !document.push(SESSIONS, &row).map_err(Problem::unexpected)? {
                break 'pages;
            }
        }
    }
    focus::person::show(conn, person, &mut document).await?;
    collect_places(conn, &mut document, JOINED, Places::TakenBy(person)).await?;
    collect_places(conn, &mut document, PARTICIPANTS, Places::InSessionsOf(person)).await?;
    Ok(document.into_value())
}

async fn collect_places(
    conn: &mut AsyncPgConnection,
    document: &mut ExportDocument,
    part: &'static str,
    places: Places,
) -> Outcome<()> {
    let mut last = None;
    loop {
        let page = participants::person::list(conn, places, last).await?;
        last = page.last().map(|place| place.id);
        if last.is_none() {
            return Ok(());
        }
        for place in page {
            if !document.push(part, &ExportedPlace::from(place)).map_err(Problem::unexpected)? {
                return Ok(());
            }
        }
    }
}

async fn timers(conn: &mut AsyncPgConnection, sessions: &[Session]) -> Outcome<HashMap<Uuid, Reading>> {
    let ids: Vec<_> = sessions.iter().map(|session| session.id).collect();
    let found = timer::store::list(conn, &ids).await?;
    Ok(found.into_iter().map(|(session, timer, now)| (session, timer.view(now))).collect())
}
