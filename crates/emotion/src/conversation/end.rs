//! `POST /emotion/sessions/{session_id}/end`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    edge::Language,
    optional_json::OptionalJson,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    companion::parse_note,
    fault::Violations,
    feeling::session_label,
    ids::{ConversationId, Id, UserId},
    locale::Locale,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Conversation, ConversationView, NOT_FOUND, Talk,
    create::{LABEL_MAX, SUMMARY_MAX, TOPIC_MAX},
    get, store,
};
use crate::{
    app::App,
    step::{self, feeling_of},
    summary,
    vault::PersonVault,
};

/// Newest steps that are looked at for what a conversation was about.
const STEPS_HEARD: i64 = 200;

/// What came out of a conversation; what is left out stays as it is.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndRequest {
    /// The feeling it was about, at most 64 characters; by rules of its steps when there is none.
    emotion_label: Option<String>,
    /// What it was about, at most 200 characters.
    topic: Option<String>,
    /// What set it off, at most 4,000 characters.
    trigger_summary: Option<String>,
    /// What was found, at most 4,000 characters.
    insight_summary: Option<String>,
}

/// What is put down about a conversation at its end.
#[derive(Clone, Default)]
pub struct Notes {
    /// The feeling it was about.
    pub emotion_label: Option<String>,
    /// What it was about.
    pub topic: Option<String>,
    /// What set it off.
    pub trigger_summary: Option<String>,
    /// What was found.
    pub insight_summary: Option<String>,
}

impl TryFrom<EndRequest> for Notes {
    type Error = Violations;

    fn try_from(request: EndRequest) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let mut note = |text, pointer, max| parse_note(text, pointer, max, &mut violations);
        let notes = Self {
            emotion_label: note(request.emotion_label, "/emotion_label", LABEL_MAX),
            topic: note(request.topic, "/topic", TOPIC_MAX),
            trigger_summary: note(request.trigger_summary, "/trigger_summary", SUMMARY_MAX),
            insight_summary: note(request.insight_summary, "/insight_summary", SUMMARY_MAX),
        };
        violations.into_result().map(|()| notes)
    }
}

/// Ends a conversation: nothing more is said in it. A reply that is being written is finished and kept. Ending an ended
/// one changes nothing.
///
/// **Permissions**: its owner; for anybody else it is not there.
#[utoipa::path(
    post, path = "/emotion/sessions/{session_id}/end", tag = "conversations", security(("bearer" = [])),
    params(("session_id" = ConversationId, Path)), request_body = Option<EndRequest>,
    responses(
        (status = 200, body = ConversationView),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn end(
    app: Data<App>,
    person: Person,
    language: Language,
    id: Path<ConversationId>,
    body: OptionalJson<EndRequest>,
) -> Outcome<HttpResponse> {
    let notes = Notes::try_from(body.0)?;
    let talk = get(&app, person.0.user_id, id.into_inner()).await?;
    let ended = finish(&app, &talk, notes, language.0).await?;
    Ok(HttpResponse::Ok().json(ConversationView::from(ended)))
}

/// Ends a conversation, whoever says so: its owner, or the rules of its arc; returns it as it is then.
///
/// # Errors
/// [`NOT_FOUND`] when it was deleted meanwhile; a problem when the database is away.
pub async fn finish(app: &App, talk: &Talk, notes: Notes, locale: Locale) -> Outcome<Conversation> {
    let now = app.ground.clock.now();
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        let vault = app.vault.open_for(conn, UserId(talk.conversation.user_id)).await?;
        finish_in(conn, &vault, talk, notes, Ending { locale, now }).await
    })
    .await
}

/// When a conversation ends, and in which language what it was about is told.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    /// The language of the request.
    pub locale: Locale,
    /// The time.
    pub now: DateTime<Utc>,
}

/// Ends a conversation in a transaction whose vault was opened for writing.
///
/// # Errors
/// As [`finish`].
pub async fn finish_in(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    talk: &Talk,
    notes: Notes,
    Ending { locale, now }: Ending,
) -> Outcome<Conversation> {
    let (id, owner) = (ConversationId::from_uuid(talk.conversation.id), UserId(talk.conversation.user_id));
    if !talk.is_written {
        // Nothing was said in it, and its client still wants to see it end.
        store::insert_missing(conn, vault, &talk.conversation).await?;
    }
    let before = store::lock(conn, vault, owner, id).await?.ok_or(NOT_FOUND)?;
    if before.ended_at.is_some() {
        return Ok(before);
    }
    let heard = heard_in(conn, vault, id, locale).await?;
    let ended = Conversation {
        emotion_label: notes.emotion_label.or(before.emotion_label).or(heard.emotion_label),
        topic: notes.topic.or(before.topic).or(heard.topic),
        trigger_summary: notes.trigger_summary.or(before.trigger_summary).or(heard.trigger_summary),
        insight_summary: notes.insight_summary.or(before.insight_summary).or(heard.insight_summary),
        ended_at: Some(now.max(before.started_at)),
        ..before
    };
    store::keep_end(conn, vault, &ended).await?;
    Ok(ended)
}

/// Returns what a conversation's steps tell of it, by rules.
async fn heard_in(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    id: ConversationId,
    locale: Locale,
) -> Outcome<Notes> {
    let mut steps = step::store::list_newest(conn, vault, id, 0, STEPS_HEARD).await?;
    steps.reverse();
    if steps.is_empty() {
        return Ok(Notes::default());
    }
    let feelings: Vec<_> = steps.iter().filter_map(feeling_of).collect();
    let card = summary::of_steps(&steps, summary::language_of(&steps, locale));
    Ok(Notes {
        emotion_label: session_label(&feelings).map(|label| label.id().to_owned()),
        topic: Some(card.title),
        trigger_summary: card.trigger,
        insight_summary: card.insight,
    })
}
