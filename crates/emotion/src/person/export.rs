//! `GET /internal/users/{id}/export`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::AuthPeer,
    problem::{Outcome, Problem},
};
use chrono::{DateTime, Utc};
use diesel_async::AsyncPgConnection;
use domain::{contract::UserExport, ids::UserId, person::ExportDocument, principal::Service, time::Instant};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::store;
use crate::{
    app::App,
    conversation::Conversation,
    step::{Step, StepView},
};

/// The part of the document that holds conversations.
const CONVERSATIONS: &str = "conversations";
/// The part of the document that holds their steps. Beside them and not in them: a conversation has no end of steps.
const STEPS: &str = "steps";

/// A conversation with everything that is kept of it.
#[derive(Serialize)]
struct ExportedConversation {
    session_id: Uuid,
    emotion_label: Option<String>,
    topic: Option<String>,
    trigger_summary: Option<String>,
    insight_summary: Option<String>,
    started_at: Instant,
    ended_at: Option<Instant>,
}

impl From<Conversation> for ExportedConversation {
    fn from(conversation: Conversation) -> Self {
        Self {
            session_id: conversation.id,
            emotion_label: conversation.emotion_label,
            topic: conversation.topic,
            trigger_summary: conversation.trigger_summary,
            insight_summary: conversation.insight_summary,
            started_at: conversation.started_at.into(),
            ended_at: conversation.ended_at.map(Instant),
        }
    }
}

/// A step with everything that is kept of it.
#[derive(Serialize)]
struct ExportedStep {
    #[serde(flatten)]
    step: StepView,
    finished_at: Option<Instant>,
}

impl ExportedStep {
    fn new(step: Step, finished_at: Option<DateTime<Utc>>) -> Self {
        Self { step: step.into(), finished_at: finished_at.map(Instant) }
    }
}

/// Shows everything that is kept about a person, as of one instant. Idempotency keys are left out: they repeat answers
/// of the last day.
pub async fn export(app: Data<App>, _auth: AuthPeer, id: Path<UserId>) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let mut snapshot = conn.build_transaction().read_only().repeatable_read();
    let data = snapshot.run(async |conn| collect(conn, *id).await).await?;
    Ok(HttpResponse::Ok().json(UserExport { service: Service::Emotion, data }))
}

async fn collect(conn: &mut AsyncPgConnection, person: UserId) -> Outcome<Value> {
    let mut document = ExportDocument::new(&[CONVERSATIONS, STEPS]);
    let mut last = None;
    'pages: loop {
        let page = store::list_conversations(conn, person, last).await?;
        last = page.last().map(|conversation| (conversation.started_at, conversation.id));
        if last.is_none() {
            break;
        }
        let ids: Vec<_> = page.iter().map(|conversation| conversation.id).collect();
        for conversation in page {
            let row = ExportedConversation::from(conversation);
            if !document.push(CONVERSATIONS, &row).map_err(Problem::unexpected)? {
                break 'pages;
            }
        }
        if !add_steps(conn, &ids, &mut document).await? {
            break;
        }
    }
    Ok(document.into_value())
}

/// Adds the steps of some conversations; returns whether there was room for all.
async fn add_steps(
    conn: &mut AsyncPgConnection,
    conversations: &[Uuid],
    document: &mut ExportDocument,
) -> Outcome<bool> {
    let mut last = None;
    loop {
        let page = store::list_steps(conn, conversations, last).await?;
        last = page.last().map(|(step, _)| (step.session_id, step.step_order));
        if last.is_none() {
            return Ok(true);
        }
        for (step, finished_at) in page {
            let row = ExportedStep::new(step, finished_at);
            if !document.push(STEPS, &row).map_err(Problem::unexpected)? {
                return Ok(false);
            }
        }
    }
}
