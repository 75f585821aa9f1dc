//! `POST /api/v1/sessions/{id}/timer/{start,pause,resume,reset}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    optional_json::OptionalJson,
    precondition::IfMatch,
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use chrono::{DateTime, Utc};
use domain::{
    fault::Fault,
    ids::{SessionId, UserId},
    session::lifecycle::ENDED,
    timer::{Control, NOT_SET_UP, Timer},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{TimerView, precondition, store};
use crate::app::App;

/// Most decisions on one request. Each lost one means that somebody else changed the timer in between, by hand.
const DECISIONS: usize = 8;

/// Which version of the timer is meant.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ControlTimerRequest {
    /// As it was read; whichever there is when it is left out.
    version: Option<i64>,
}

/// Starts the timer; starting a running one changes nothing.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/timer/start", tag = "timers", security(("bearer" = [])),
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header, description = "`\"<version>\"`")),
    request_body = Option<ControlTimerRequest>,
    responses(
        (status = 200, body = TimerView),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 409, description = "`timer_not_set_up`, `timer_not_ready`, `session_ended`", body = ProblemView),
        (status = 412, description = "`timer_changed`", body = ProblemView)
    )
)]
pub async fn start(
    app: Data<App>,
    person: Person,
    id: Path<SessionId>,
    if_match: IfMatch,
    body: OptionalJson<ControlTimerRequest>,
) -> Outcome<HttpResponse> {
    control(&app, person, *id, Control::Start, if_match, body.0.version).await
}

/// Pauses the timer.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/timer/pause", tag = "timers", security(("bearer" = [])),
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header, description = "`\"<version>\"`")),
    request_body = Option<ControlTimerRequest>,
    responses(
        (status = 200, body = TimerView),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 409, description = "`timer_not_set_up`, `timer_not_running`, `session_ended`", body = ProblemView),
        (status = 412, description = "`timer_changed`", body = ProblemView)
    )
)]
pub async fn pause(
    app: Data<App>,
    person: Person,
    id: Path<SessionId>,
    if_match: IfMatch,
    body: OptionalJson<ControlTimerRequest>,
) -> Outcome<HttpResponse> {
    control(&app, person, *id, Control::Pause, if_match, body.0.version).await
}

/// Resumes a paused timer.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/timer/resume", tag = "timers", security(("bearer" = [])),
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header, description = "`\"<version>\"`")),
    request_body = Option<ControlTimerRequest>,
    responses(
        (status = 200, body = TimerView),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 409, description = "`timer_not_set_up`, `timer_not_paused`, `session_ended`", body = ProblemView),
        (status = 412, description = "`timer_changed`", body = ProblemView)
    )
)]
pub async fn resume(
    app: Data<App>,
    person: Person,
    id: Path<SessionId>,
    if_match: IfMatch,
    body: OptionalJson<ControlTimerRequest>,
) -> Outcome<HttpResponse> {
    control(&app, person, *id, Control::Resume, if_match, body.0.version).await
}

/// Takes the timer back to its beginning, whatever it does; length and alerts stay.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/timer/reset", tag = "timers", security(("bearer" = [])),
    params(("id" = Uuid, Path), ("If-Match" = Option<String>, Header, description = "`\"<version>\"`")),
    request_body = Option<ControlTimerRequest>,
    responses(
        (status = 200, body = TimerView),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 409, description = "`timer_not_set_up`, `session_ended`", body = ProblemView),
        (status = 412, description = "`timer_changed`", body = ProblemView)
    )
)]
pub async fn reset(
    app: Data<App>,
    person: Person,
    id: Path<SessionId>,
    if_match: IfMatch,
    body: OptionalJson<ControlTimerRequest>,
) -> Outcome<HttpResponse> {
    control(&app, person, *id, Control::Reset, if_match, body.0.version).await
}

async fn control(
    app: &App,
    person: Person,
    id: SessionId,
    control: Control,
    if_match: IfMatch,
    version: Option<i64>,
) -> Outcome<HttpResponse> {
    let view = change(app, person.0.user_id, id, |timer, now| {
        let timer = timer.ok_or(NOT_SET_UP)?;
        precondition::check(if_match, version, timer.version)?;
        timer.control(control, now)
    })
    .await?;
    Ok(view.into())
}

/// Reads a timer, decides what it becomes and writes that, again when somebody else wrote in between.
///
/// The instant of a change is that of the read it was decided on: nothing was written between the two, or it is decided
/// anew.
///
/// # Errors
/// What `decide` refuses with; 503 when others keep changing the timer.
pub(super) async fn change(
    app: &App,
    owner: UserId,
    id: SessionId,
    decide: impl Fn(Option<&Timer>, DateTime<Utc>) -> Result<Timer, Fault>,
) -> Outcome<TimerView> {
    let mut conn = app.ground.pg.conn().await?;
    for _ in 0..DECISIONS {
        let seen = store::see(&mut conn, owner, id).await?;
        if seen.is_over {
            return Err(ENDED.into());
        }
        let next = decide(seen.timer.as_ref(), seen.now)?;
        let view = TimerView::new(id, &next, seen.now);
        let written = match seen.timer {
            Some(timer) if timer == next => return Ok(view),
            Some(timer) => {
                let replan = timer.replan(&next, seen.now);
                let planned = replan.planned.clone();
                let written = store::replace(&mut conn, id, timer.version, &next, replan).await?;
                if written {
                    app.alarm.planned(&planned, seen.now);
                }
                written
            }
            None => store::insert(&mut conn, id, &next).await?,
        };
        if written {
            app.rooms.tell(id);
            return Ok(view);
        }
    }
    Err(Problem::unavailable("others keep changing the timer"))
}
