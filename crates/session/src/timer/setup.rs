//! `POST /api/v1/sessions/{id}/timer/setup`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    optional_json::OptionalJson,
    precondition::IfMatch,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{
    ids::SessionId,
    timer::{Alerts, DURATION_DEFAULT_SECONDS, Plan, Timer},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{TimerView, control::change, precondition};
use crate::app::App;

/// How long a talk is and what is announced.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetupTimerRequest {
    /// 1-180; ten when neither this nor seconds are given.
    #[schema(minimum = 1, maximum = 180)]
    duration_minutes: Option<i64>,
    /// 1-10800, in place of minutes.
    #[schema(minimum = 1, maximum = 10_800)]
    duration_seconds: Option<i64>,
    /// The named alerts are on unless they are switched off.
    alerts: Option<Alerts>,
    /// As it was read; whichever there is when it is left out.
    version: Option<i64>,
}

/// Sets up the timer and makes it ready; a running one is refused.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/timer/setup", tag = "timers", security(("bearer" = [])),
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header, description = "`\"<version>\"`")),
    request_body = Option<SetupTimerRequest>,
    responses(
        (status = 200, body = TimerView),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 409, description = "`timer_running`, `session_ended`", body = ProblemView),
        (status = 412, description = "`timer_changed`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn setup(
    app: Data<App>,
    person: Person,
    id: Path<SessionId>,
    if_match: IfMatch,
    body: OptionalJson<SetupTimerRequest>,
) -> Outcome<HttpResponse> {
    let SetupTimerRequest { duration_minutes, duration_seconds, alerts, version } = body.0;
    let plan = Plan::parse(duration_minutes, duration_seconds, alerts.unwrap_or_default(), DURATION_DEFAULT_SECONDS)?;
    let view = change(&app, person.0.user_id, *id, |timer, now| match timer {
        Some(timer) => {
            precondition::check(if_match, version, timer.version).and_then(|()| timer.setup(plan.clone(), now))
        }
        // Who means a version means a timer that was there.
        None => precondition::check(if_match, version, 0).map(|()| Timer::new(plan.clone())),
    })
    .await?;
    Ok(view.into())
}
