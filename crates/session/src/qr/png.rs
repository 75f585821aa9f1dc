//! `GET /api/v1/sessions/{id}/qr.png`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path, Query},
};
use chassis::{
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use domain::{fault::Violations, ids::SessionId, session::NOT_FOUND};
use serde::Deserialize;
use utoipa::IntoParams;

use super::answer;
use crate::{app::App, sessions::store};

/// Pixels of a picture whose size is not said: sharp on a slide.
const SIZE_DEFAULT: u32 = 512;
/// Fewest pixels: a module still has two of them.
const SIZE_MIN: u32 = 128;
/// Most pixels: a poster, and still milliseconds of work.
const SIZE_MAX: u32 = 2_048;

/// How large.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PngQuery {
    /// Width and height in pixels, 128-2048 (512).
    #[param(minimum = 128, maximum = 2048)]
    size: Option<u32>,
}

impl PngQuery {
    fn size(&self) -> Result<u32, Violations> {
        let size = self.size.unwrap_or(SIZE_DEFAULT);
        let mut violations = Violations::new();
        violations.require(
            (SIZE_MIN..=SIZE_MAX).contains(&size),
            "?size",
            "out_of_range",
            "size는 128-2048이어야 합니다.",
            "The size is 128-2048.",
        );
        violations.into_result().map(|()| size)
    }
}

/// Shows the QR code of the join link as a PNG.
///
/// **Permissions**: the session's owner.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/qr.png", tag = "sessions", security(("bearer" = [])),
    params(("id" = Uuid, Path), PngQuery, ("If-None-Match" = Option<String>, Header)),
    responses(
        (status = 200, content_type = "image/png", body = Vec<u8>),
        (status = 304, description = "The browser has this one"),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn png(
    app: Data<App>,
    person: Person,
    id: Path<SessionId>,
    query: Query<PngQuery>,
    req: HttpRequest,
) -> Outcome<HttpResponse> {
    let size = query.size()?;
    let mut conn = app.ground.pg.conn().await?;
    let code = store::find_code(&mut conn, person.0.user_id, *id).await?.ok_or(NOT_FOUND)?;
    let picture = app.pictures.draw(&code)?.png(size).map_err(Problem::unexpected)?;
    Ok(answer(&req, "image/png", picture))
}
