//! `GET /session/current`.

use actix_web::{HttpResponse, web::Data};
use chassis::{
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use domain::{
    contract::FocusSession,
    focus::{NO_CURRENT, Status},
    ids::UserId,
};

use super::{
    shown,
    store::{self, Seen},
};
use crate::app::App;

/// Shows the session that is pending, running or paused: out of Redis, without a query, when Redis knows it.
///
/// **Permissions**: a signed-in person, their own.
#[utoipa::path(
    get, path = "/session/current", tag = "focus", security(("bearer" = [])),
    responses(
        (status = 200, body = FocusSession),
        (status = 404, description = "`no_current_session`", body = ProblemView)
    )
)]
pub async fn current(app: Data<App>, person: Person) -> Outcome<HttpResponse> {
    let owner = person.0.user_id;
    let session = match app.focus.cache.get(owner).await {
        Some((row, now)) => row.view(now)?,
        None => look_up(&app, owner).await?,
    };
    // Its time may be over between a clock and a commit.
    if Status::CURRENT.contains(&session.status) { Ok(shown(&session)) } else { Err(NO_CURRENT.into()) }
}

async fn look_up(app: &App, owner: UserId) -> Outcome<FocusSession> {
    let mut conn = app.ground.pg.conn().await?;
    let Seen { row, now } = store::see_current(&mut conn, owner).await?.ok_or_else(|| Problem::from(NO_CURRENT))?;
    drop(conn);
    app.focus.remember(&row).await;
    row.view(now)
}
