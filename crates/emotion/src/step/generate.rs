//! `POST /emotion/steps/generate`.

use std::sync::Arc;

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chassis::{
    edge::Language,
    idempotency::{Attempt, IdempotencyKey},
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use domain::{
    companion::{Message, parse_note},
    fault::{Violations, common},
    ids::{ConversationId, StepId, UserId},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{StepView, store};
use crate::{
    app::App,
    conversation,
    reply::{self, Draft, Opening, Started},
};

/// Most characters of an insight tag.
const INSIGHT_TAG_MAX: usize = 64;
/// Most tokens a client may ask a model for.
const COMPLETION_TOKENS_MAX: u32 = 4_096;

/// Something said in a conversation.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GenerateRequest {
    /// The conversation.
    session_id: ConversationId,
    /// What is said, 1-8,192 bytes after trimming.
    user_input: String,
    /// `[a-z_]{1,32}`, `normal` when absent.
    step_type: Option<String>,
    /// How the client would like to be answered, at most 4,000 characters; ranks below every rule of ours.
    system_prompt: Option<String>,
    /// At most 64 characters, kept with the step.
    insight_tag: Option<String>,
    /// Accepted for old clients; the place is decided here.
    step_order: Option<i32>,
    /// 0-2; a companion without a model has no use for it.
    temperature: Option<f32>,
    /// 1-4,096; a companion without a model has no use for it.
    max_completion_tokens: Option<u32>,
}

struct Said {
    message: Message,
    insight_tag: Option<String>,
}

impl TryFrom<GenerateRequest> for Said {
    type Error = Violations;

    fn try_from(request: GenerateRequest) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let insight_tag = parse_note(request.insight_tag, "/insight_tag", INSIGHT_TAG_MAX, &mut violations);
        let in_range = [
            ("/step_order", request.step_order.is_none_or(|order| order >= 0)),
            ("/temperature", request.temperature.is_none_or(|t| (0.0..=2.0).contains(&t))),
            (
                "/max_completion_tokens",
                request.max_completion_tokens.is_none_or(|n| (1..=COMPLETION_TOKENS_MAX).contains(&n)),
            ),
        ];
        for (pointer, holds) in in_range {
            violations.require(
                holds,
                pointer,
                "out_of_range",
                "허용 범위를 벗어났습니다.",
                "This is outside the allowed range.",
            );
        }
        let message = Message::parse(&request.user_input, request.step_type, request.system_prompt, violations)?;
        Ok(Self { message, insight_tag })
    }
}

/// Says something and answers with the whole step, once the reply has ended.
///
/// The same job as over the socket: a client that hangs up finds the reply among the steps.
///
/// **Permissions**: the conversation's owner; for anybody else it is not there.
#[utoipa::path(
    post, path = "/emotion/steps/generate", tag = "steps", security(("bearer" = [])), request_body = GenerateRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key says it once")),
    responses(
        (status = 200, body = StepView),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 409, description = "`busy`, `session_ended`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn generate(
    app: Data<App>,
    person: Person,
    language: Language,
    key: IdempotencyKey,
    body: Json<GenerateRequest>,
) -> Outcome<HttpResponse> {
    let request = body.into_inner();
    let owner = person.0.user_id;
    let asked = serde_json::to_value(&request).map_err(Problem::unexpected)?;
    let session_id = request.session_id;
    let (max_tokens, temperature) = (request.max_completion_tokens, request.temperature);
    let Said { message, insight_tag } = Said::try_from(request)?;
    let talk = conversation::get(&app, owner, session_id).await?;
    let attempt = attempt(&app, owner, key, &asked).await?;
    let opening = Arc::new(Opening::of(&message, language.0, None));
    let draft = Draft {
        insight_tag,
        max_tokens,
        temperature,
        attempt: Some(attempt),
        ..Draft::new(talk, message, Arc::clone(&opening))
    };
    let started = reply::start(&app, draft).await;
    // Nothing is kept of a refused message, and still nobody in danger goes without the card.
    let id = match started.map_err(|problem| with_card(problem, &opening))? {
        Started::Now(mut reply) | Started::Again(mut reply) => {
            reply.ended().await;
            reply.step().id
        }
        Started::Before(id) => id,
    };
    Ok(HttpResponse::Ok().json(finished(&app, owner, id).await?))
}

/// Describes the use of an idempotency key. A bare digest of what was said would tell it to whoever guesses.
async fn attempt(app: &App, owner: UserId, key: IdempotencyKey, asked: &serde_json::Value) -> Outcome<Attempt> {
    let fingerprint = match key.0 {
        Some(_) => {
            let mut conn = app.ground.pg.conn().await?;
            app.vault.open_for(&mut conn, owner).await?.fingerprint(asked)?
        }
        None => String::new(),
    };
    Attempt::new(owner, "POST /emotion/steps/generate", key, &fingerprint)
}

fn with_card(problem: Problem, opening: &Opening) -> Problem {
    match (opening.safety(), opening.text()) {
        (Some(safety), Some(text)) => problem.with("safety", safety).with("safety_text", text),
        _ => problem,
    }
}

async fn finished(app: &App, owner: UserId, id: StepId) -> Outcome<StepView> {
    let mut conn = app.ground.pg.conn().await?;
    let vault = app.vault.read_for(&mut conn, owner).await?;
    let step = store::find(&mut conn, &vault, id).await?.ok_or_else(|| Problem::from(common::NOT_FOUND))?;
    if step.status().is_running() {
        return Err(common::IDEMPOTENCY_IN_PROGRESS.into());
    }
    Ok(step.into())
}
