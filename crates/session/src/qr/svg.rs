//! `GET /api/v1/sessions/{id}/qr.svg`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{ids::SessionId, session::NOT_FOUND};

use super::answer;
use crate::{app::App, sessions::store};

/// Shows the QR code of the join link as an SVG.
///
/// **Permissions**: the session's owner.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/qr.svg", tag = "sessions", security(("bearer" = [])),
    params(("id" = Uuid, Path), ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, content_type = "image/svg+xml", body = String),
        (status = 304, description = "The browser has this one"),
        (status = 404, description = "`session_not_found`", body = ProblemView)
    )
)]
pub async fn svg(app: Data<App>, person: Person, id: Path<SessionId>, req: HttpRequest) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let code = store::find_code(&mut conn, person.0.user_id, *id).await?.ok_or(NOT_FOUND)?;
    Ok(answer(&req, "image/svg+xml", app.pictures.draw(&code)?.svg().into_bytes()))
}
