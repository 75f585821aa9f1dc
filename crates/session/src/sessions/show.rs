//! `GET /api/v1/sessions/{id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{ids::SessionId, session::NOT_FOUND};

use super::{SessionView, store};
use crate::app::App;

/// Shows a session.
///
/// **Permissions**: its owner; to everybody else it does not exist.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}", tag = "sessions", security(("bearer" = [])),
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = SessionView),
        (status = 404, description = "`session_not_found`", body = ProblemView)
    )
)]
pub async fn show(app: Data<App>, person: Person, id: Path<SessionId>) -> Outcome<HttpResponse> {
    let found = app.ground.pg.read(async |conn| store::find(conn, person.0.user_id, *id).await).await?;
    let session = found.ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok().json(SessionView::new(session, &app.pictures)))
}
