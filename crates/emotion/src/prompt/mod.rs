//! How a person would like to be answered, in all of their conversations.
//!
//! It ranks below every rule of ours, wherever it comes from. Every change makes a version, so that it can be told later
//! with which one a reply was written; the newest twenty are kept.

pub mod store;

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, ServiceConfig},
};
use chassis::{
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use diesel_async::AsyncConnection;
use domain::{
    companion::{SYSTEM_PROMPT_MAX, parse_note},
    fault::{Fault, Kind, Violations},
    time::Instant,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use store::{ActivePrompt, active};
pub(crate) use store::{SealedPrompt, sealed};

use crate::app::App;

/// The person has set none.
pub const NOT_FOUND: Fault =
    Fault::new(Kind::NotFound, "prompt_not_found", "설정한 프롬프트가 없습니다.", "No prompt is set.");

/// Mounts the routes of the prompt.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/emotion/prompt").get(show).put(set).delete(unset));
}

/// How somebody would like to be answered.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromptRequest {
    /// 1-4,000 characters.
    prompt: String,
}

/// The prompt in force.
#[derive(Serialize, ToSchema)]
pub struct PromptView {
    /// What it says.
    pub prompt: String,
    /// Grows with every change.
    pub version: i32,
    /// When it was set.
    pub updated_at: Instant,
}

impl From<ActivePrompt> for PromptView {
    fn from(prompt: ActivePrompt) -> Self {
        Self { prompt: prompt.text, version: prompt.version, updated_at: prompt.created_at.into() }
    }
}

/// Shows the prompt that is in force.
///
/// **Permissions**: a signed-in person, their own.
#[utoipa::path(
    get, path = "/emotion/prompt", tag = "prompt", security(("bearer" = [])),
    responses(
        (status = 200, body = PromptView),
        (status = 404, description = "`prompt_not_found`", body = ProblemView)
    )
)]
pub async fn show(app: Data<App>, person: Person) -> Outcome<HttpResponse> {
    let owner = person.0.user_id;
    let mut conn = app.ground.pg.conn().await?;
    let found = app.vault.read(&mut conn, owner, async |conn, vault| active(conn, vault, owner).await).await?;
    Ok(HttpResponse::Ok().json(PromptView::from(found.ok_or(NOT_FOUND)?)))
}

/// Sets the prompt; the same text again changes nothing.
///
/// **Permissions**: a signed-in person, their own.
#[utoipa::path(
    put, path = "/emotion/prompt", tag = "prompt", security(("bearer" = [])), request_body = PromptRequest,
    responses(
        (status = 200, body = PromptView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn set(app: Data<App>, person: Person, body: Json<PromptRequest>) -> Outcome<HttpResponse> {
    let owner = person.0.user_id;
    let text = parse(body.into_inner())?;
    let (id, now) = (app.ground.clock.uuid(), app.ground.clock.now());
    let mut conn = app.ground.pg.conn().await?;
    let set = conn
        .transaction(async |conn| {
            let vault = app.vault.open_for(conn, owner).await?;
            store::one_at_a_time(conn, owner).await?;
            match active(conn, &vault, owner).await? {
                Some(same) if same.text == text => Outcome::Ok(same),
                _ => store::put(conn, &vault, owner, store::NewPrompt { id, text, now }).await,
            }
        })
        .await?;
    Ok(HttpResponse::Ok().json(PromptView::from(set)))
}

/// Takes the prompt out of force; without one nothing happens.
///
/// **Permissions**: a signed-in person, their own.
#[utoipa::path(
    delete, path = "/emotion/prompt", tag = "prompt", security(("bearer" = [])),
    responses((status = 204, description = "None is in force"))
)]
pub async fn unset(app: Data<App>, person: Person) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    store::retire(&mut conn, person.0.user_id, app.ground.clock.now()).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn parse(request: PromptRequest) -> Outcome<String> {
    let mut violations = Violations::new();
    let text = parse_note(Some(request.prompt), "/prompt", SYSTEM_PROMPT_MAX, &mut violations);
    violations.require(text.is_some(), "/prompt", "required", "프롬프트를 입력해 주세요.", "The prompt is empty.");
    violations.into_result()?;
    text.ok_or_else(|| Problem::unexpected("an empty prompt was not refused"))
}
