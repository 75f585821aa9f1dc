//! `GET /internal/users/{id}/export`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::AuthPeer,
    problem::{Outcome, Problem},
};
use chrono::NaiveDate;
use diesel_async::AsyncPgConnection;
use domain::{
    contract::UserExport, ids::UserId, person::ExportDocument, principal::Service, summary_card::SummaryCard,
    time::Instant,
};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::store;
use crate::{
    app::App,
    conversation::Conversation,
    limit, prompt,
    step::{Step, StepView},
    summary::{self, KeptCard},
    vault::{PersonVault, Vault},
};

/// The part of the document that holds conversations.
const CONVERSATIONS: &str = "conversations";
/// The part of the document that holds their steps. Beside them and not in them: a conversation has no end of steps.
const STEPS: &str = "steps";

/// The part of the document that holds summary cards.
const CARDS: &str = "summary_cards";
/// The part of the document that holds the versions of the person's prompt.
const PROMPTS: &str = "prompts";
/// The part of the document that holds how much was used on which day.
const USAGE: &str = "usage";

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
    rolling_summary: Option<String>,
    arc_step: i16,
    risk_level: i16,
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
            rolling_summary: conversation.rolling_summary.map(|summary| summary.text),
            arc_step: conversation.arc_step,
            risk_level: conversation.risk_level,
        }
    }
}

/// A step with everything that is kept of it.
#[derive(Serialize)]
struct ExportedStep {
    #[serde(flatten)]
    step: StepView,
    finished_at: Option<Instant>,
    client_msg_id: Option<String>,
    risk_level: i16,
    model: Option<String>,
    prompt_tokens: Option<i32>,
    completion_tokens: Option<i32>,
}

/// A version of the prompt.
#[derive(Serialize)]
struct ExportedPrompt {
    version: i32,
    prompt: String,
    created_at: Instant,
    retired_at: Option<Instant>,
}

/// A summary card.
#[derive(Serialize)]
struct ExportedCard {
    session_id: Uuid,
    #[serde(flatten)]
    card: SummaryCard,
    created_at: Instant,
    memo_id: Option<Uuid>,
}

/// What was used on a day.
#[derive(Serialize)]
struct ExportedDay {
    day: NaiveDate,
    tokens: i64,
    messages: i32,
}

impl ExportedStep {
    fn new(step: Step) -> Self {
        Self {
            finished_at: step.finished_at.map(Instant),
            client_msg_id: step.client_msg_id.clone(),
            risk_level: step.risk_level,
            model: step.model.clone(),
            prompt_tokens: step.prompt_tokens,
            completion_tokens: step.completion_tokens,
            step: step.into(),
        }
    }
}

/// Shows everything that is kept about a person, as of one instant. Idempotency keys are left out: they repeat answers
/// of the last day.
pub async fn export(app: Data<App>, _auth: AuthPeer, id: Path<UserId>) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let mut snapshot = conn.build_transaction().read_only().repeatable_read();
    let data = snapshot.run(async |conn| collect(conn, &app.vault, *id).await).await?;
    Ok(HttpResponse::Ok().json(UserExport { service: Service::Emotion, data }))
}

async fn collect(conn: &mut AsyncPgConnection, vault: &Vault, person: UserId) -> Outcome<Value> {
    let vault = vault.read_for(conn, person).await?;
    let mut document = ExportDocument::new(&[CONVERSATIONS, STEPS, CARDS, PROMPTS, USAGE]);
    // What is short first: it is there even when the conversations do not fit.
    add_belongings(conn, &vault, person, &mut document).await?;
    let mut last = None;
    'pages: loop {
        let page = store::list_conversations(conn, &vault, person, last).await?;
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
        if !add_cards(conn, &vault, &ids, &mut document).await? || !add_steps(conn, &vault, &ids, &mut document).await?
        {
            break;
        }
    }
    Ok(document.into_value())
}

/// Adds what a person has beside conversations. Both are of bounded number, and always fit.
async fn add_belongings(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    person: UserId,
    document: &mut ExportDocument,
) -> Outcome<()> {
    for (prompt, retired_at) in prompt::store::list(conn, vault, person).await? {
        let row = ExportedPrompt {
            version: prompt.version,
            prompt: prompt.text,
            created_at: prompt.created_at.into(),
            retired_at: retired_at.map(Instant),
        };
        document.push(PROMPTS, &row).map_err(Problem::unexpected)?;
    }
    for (day, tokens, messages) in limit::list_days(conn, person).await? {
        document.push(USAGE, &ExportedDay { day, tokens, messages }).map_err(Problem::unexpected)?;
    }
    Ok(())
}

/// Adds the cards of some conversations; returns whether there was room for all.
async fn add_cards(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    conversations: &[Uuid],
    document: &mut ExportDocument,
) -> Outcome<bool> {
    for KeptCard { session_id, card, at, memo_id, .. } in summary::store::list(conn, vault, conversations).await? {
        let row = ExportedCard { session_id, card, created_at: at.into(), memo_id };
        if !document.push(CARDS, &row).map_err(Problem::unexpected)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Adds the steps of some conversations; returns whether there was room for all.
async fn add_steps(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    conversations: &[Uuid],
    document: &mut ExportDocument,
) -> Outcome<bool> {
    let mut last = None;
    loop {
        let page = store::list_steps(conn, vault, conversations, last).await?;
        last = page.last().map(|step| (step.session_id, step.step_order));
        if last.is_none() {
            return Ok(true);
        }
        for step in page {
            let row = ExportedStep::new(step);
            if !document.push(STEPS, &row).map_err(Problem::unexpected)? {
                return Ok(false);
            }
        }
    }
}
