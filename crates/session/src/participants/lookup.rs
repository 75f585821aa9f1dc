//! `GET /api/v1/sessions/code/{code}`.

use actix_web::{
    HttpResponse,
    http::header,
    web::{Data, Path},
};
use chassis::{
    principal::Anyone,
    problem::{Outcome, ProblemView},
};
use domain::session::{NOT_FOUND, SessionCode};

use super::PublicSessionView;
use crate::{
    app::App,
    sessions::store::{self, Session},
};

/// Shows the session of a code to whoever has it, in any case and with spaces or hyphens in it.
#[utoipa::path(
    get, path = "/api/v1/sessions/code/{code}", tag = "participants",
    params(("code" = String, Path, description = "As it stands on the screen")),
    responses(
        (status = 200, body = PublicSessionView),
        (status = 404, description = "`session_not_found`", body = ProblemView)
    )
)]
pub async fn lookup(app: Data<App>, _anyone: Anyone, code: Path<String>) -> Outcome<HttpResponse> {
    let session = find(&app, &code).await?;
    let view = PublicSessionView::new(&app, session).await;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(view))
}

/// Finds the session of a code that somebody has typed.
///
/// # Errors
/// [`NOT_FOUND`] for an unknown code, and for what is none.
pub(super) async fn find(app: &App, typed: &str) -> Outcome<Session> {
    let code = SessionCode::parse(typed).ok_or(NOT_FOUND)?;
    let mut conn = app.ground.pg.conn().await?;
    Ok(store::find_by_code(&mut conn, &code).await?.ok_or(NOT_FOUND)?)
}
