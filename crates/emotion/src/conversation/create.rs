//! `POST /emotion/sessions`.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chassis::{
    idempotency::{Answer, Attempt, IdempotencyKey},
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use diesel_async::AsyncConnection;
use domain::{
    companion::parse_note,
    fault::{Violations, common},
    time::Instant,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Conversation, ConversationView, store};
use crate::{
    app::App,
    vault::{open_answer, seal_answer},
};

/// Most characters of a label.
pub(super) const LABEL_MAX: usize = 64;
/// Most characters of a topic.
pub(super) const TOPIC_MAX: usize = 200;
/// Most characters of a summary.
pub(super) const SUMMARY_MAX: usize = 4_000;

/// A conversation to be made; everything may be left out.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRequest {
    /// Whose it is: nobody but the caller.
    user_id: Option<Uuid>,
    /// The feeling it is about, at most 64 characters.
    emotion_label: Option<String>,
    /// What it is about, at most 200 characters.
    topic: Option<String>,
    /// What set it off, at most 4,000 characters.
    trigger_summary: Option<String>,
    /// What was found, at most 4,000 characters.
    insight_summary: Option<String>,
    /// When it began; now when absent.
    started_at: Option<Instant>,
    /// When it ended, for a conversation that is brought in from elsewhere.
    ended_at: Option<Instant>,
}

impl CreateRequest {
    fn describe(self, mut conversation: Conversation) -> Result<Conversation, Violations> {
        let mut violations = Violations::new();
        let mut note = |text, pointer, max| parse_note(text, pointer, max, &mut violations);
        conversation.emotion_label = note(self.emotion_label, "/emotion_label", LABEL_MAX);
        conversation.topic = note(self.topic, "/topic", TOPIC_MAX);
        conversation.trigger_summary = note(self.trigger_summary, "/trigger_summary", SUMMARY_MAX);
        conversation.insight_summary = note(self.insight_summary, "/insight_summary", SUMMARY_MAX);
        conversation.started_at = self.started_at.map_or(conversation.started_at, |at| at.0);
        conversation.ended_at = self.ended_at.map(|at| at.0);
        violations.require(
            conversation.ended_at.is_none_or(|ended_at| ended_at >= conversation.started_at),
            "/ended_at",
            "before_start",
            "종료 시각이 시작 시각보다 앞설 수 없습니다.",
            "A session cannot end before it began.",
        );
        violations.into_result().map(|()| conversation)
    }
}

/// Makes a conversation.
///
/// **Permissions**: a signed-in person, for themselves.
#[utoipa::path(
    post, path = "/emotion/sessions", tag = "conversations", security(("bearer" = [])), request_body = CreateRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key makes one session")),
    responses(
        (status = 201, body = ConversationView),
        (status = 403, description = "`forbidden`: another person's `user_id`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn create(
    app: Data<App>,
    person: Person,
    key: IdempotencyKey,
    body: Json<CreateRequest>,
) -> Outcome<HttpResponse> {
    let (owner, request) = (person.0.user_id, body.into_inner());
    if request.user_id.is_some_and(|user_id| user_id != owner.0) {
        return Err(common::FORBIDDEN.into());
    }
    // Before anything is made of it: a key that comes with another body is told from the same one by this.
    let asked = serde_json::to_value(&request).map_err(Problem::unexpected)?;
    let blank = Conversation::new(app.ground.clock.id(), owner, app.ground.clock.now());
    let conversation = request.describe(blank)?;
    let mut conn = app.ground.pg.conn().await?;
    let answer = conn
        .transaction(async |conn| {
            let vault = app.vault.open_for(conn, owner).await?;
            let attempt = Attempt::new(owner, "POST /emotion/sessions", key, &vault.fingerprint(&asked)?)?;
            if let Some(kept) = attempt.replay(conn).await? {
                return open_answer(&vault, kept);
            }
            store::insert_missing(conn, &vault, &conversation).await?;
            let id = conversation.id;
            let answer = Answer::created(&ConversationView::from(conversation))?;
            attempt.keep(conn, &seal_answer(&vault, id, &answer)?).await?;
            Ok(answer)
        })
        .await?;
    Ok(answer.into())
}
