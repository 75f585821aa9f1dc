//! `GET /api/v1/sessions/{id}/timer`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{ids::SessionId, timer::NOT_FOUND};

use super::{TimerView, store};
use crate::app::App;

/// Reads a timer.
///
/// **Permissions**: the session's owner.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/timer", tag = "timers", security(("bearer" = [])),
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = TimerView),
        (status = 404, description = "`session_not_found`, `timer_not_found`", body = ProblemView)
    )
)]
pub async fn status(app: Data<App>, person: Person, id: Path<SessionId>) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let seen = store::see(&mut conn, person.0.user_id, *id).await?;
    let timer = seen.timer.ok_or(NOT_FOUND)?;
    Ok(TimerView::new(*id, &timer, seen.now).into())
}
