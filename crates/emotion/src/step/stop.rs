//! `POST /emotion/steps/{step_id}/stop`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{companion::StepStatus, ids::StepId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{app::App, reply};

/// What became of a wish to stop.
#[derive(Serialize, ToSchema)]
pub struct StopView {
    /// Whether there was something to stop.
    stopped: bool,
    /// How far the reply is.
    status: StepStatus,
}

/// Stops a reply that is being written, on whichever replica; what there is of it is kept. Stopping one that has ended
/// changes nothing.
///
/// **Permissions**: the conversation's owner; for anybody else it is not there.
#[utoipa::path(
    post, path = "/emotion/steps/{step_id}/stop", tag = "steps", security(("bearer" = [])),
    params(("step_id" = StepId, Path)),
    responses(
        (status = 200, body = StopView),
        (status = 404, description = "`step_not_found`", body = ProblemView)
    )
)]
pub async fn stop(app: Data<App>, person: Person, id: Path<StepId>) -> Outcome<HttpResponse> {
    let (stopped, status) = reply::stop(&app, person.0.user_id, id.into_inner()).await?;
    Ok(HttpResponse::Ok().json(StopView { stopped, status }))
}
