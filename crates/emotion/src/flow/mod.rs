//! `GET /emotion/sessions/{session_id}/flow`: a conversation as nodes and edges, with its feelings over time.

use actix_web::{
    HttpResponse,
    web::{self, Data, Path, Query, ServiceConfig},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use chrono::{DateTime, Utc};
use domain::{
    flow::{Flow, FlowStep, STEPS_MAX},
    ids::{ConversationId, UserId},
    page::Limit,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::App,
    conversation,
    step::{self, Step, feeling_of},
    summary,
};

/// Steps that a flow is drawn of, the first ones: topics and statistics are those of the whole, so the whole is read.
const STEPS_READ: i64 = 2_000;
/// Steps of a page when none is asked for.
const PAGE: i64 = 100;
/// What a client calls a step that goes on with a reply that was broken off.
const CONTINUE: &str = "continue";

/// Mounts the route of flows.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/emotion/sessions/{session_id}/flow").get(show));
}

/// Which part of the flow.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FlowQuery {
    /// The place behind which the page begins, as `next` of the page before says.
    after: Option<u32>,
    /// Most steps, 1-500 (100).
    limit: Option<i64>,
}

/// Shows how a conversation went.
///
/// **Permissions**: the conversation's owner; for anybody else it is not there.
#[utoipa::path(
    get, path = "/emotion/sessions/{session_id}/flow", tag = "summary", security(("bearer" = [])),
    params(("session_id" = ConversationId, Path), FlowQuery),
    responses(
        (status = 200, body = Flow),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn show(
    app: Data<App>,
    person: Person,
    id: Path<ConversationId>,
    query: Query<FlowQuery>,
) -> Outcome<HttpResponse> {
    let (owner, id) = (person.0.user_id, id.into_inner());
    let limit = Limit::parse(query.limit, PAGE, i64::try_from(STEPS_MAX).unwrap_or(PAGE))?;
    conversation::get(&app, owner, id).await?;
    let (steps, summarised_at) = read(&app, owner, id).await?;
    let seen: Vec<_> = steps.iter().map(as_seen).collect();
    let rows = usize::try_from(limit.rows()).unwrap_or(STEPS_MAX);
    Ok(HttpResponse::Ok().json(Flow::of(&seen, summarised_at, query.after, rows)))
}

/// Reads the steps, and when the summary card was made.
async fn read(app: &App, owner: UserId, id: ConversationId) -> Outcome<(Vec<Step>, Option<DateTime<Utc>>)> {
    let all = Limit::parse(None, STEPS_READ, STEPS_READ)?;
    let mut conn = app.ground.pg.conn().await?;
    app.vault
        .read(&mut conn, owner, async |conn, vault| {
            let steps = step::store::list_of(conn, vault, id, all, 0).await?;
            let card = summary::store::find(conn, vault, owner, id).await?;
            Ok((steps, card.map(|card| card.at)))
        })
        .await
}

fn as_seen(step: &Step) -> FlowStep<'_> {
    let risk = u8::try_from(step.risk_level).unwrap_or_default();
    let tokens = |tokens: Option<i32>| tokens.and_then(|tokens| u32::try_from(tokens).ok());
    FlowStep {
        id: step.id,
        seq: step.step_order.unsigned_abs(),
        at: step.created_at,
        finished_at: step.finished_at,
        text: &step.user_input,
        reply: &step.gpt_response,
        feeling: feeling_of(step),
        risk,
        card_shown: risk >= 2,
        status: step.status(),
        is_resumed: step.step_type == CONTINUE,
        tokens: (tokens(step.input_tokens), tokens(step.reply_tokens.or(step.completion_tokens))),
    }
}
