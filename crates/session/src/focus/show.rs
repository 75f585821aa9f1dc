//! `GET /session/{id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{contract::FocusSession, ids::FocusId};

use super::{
    shown,
    store::{self, Seen},
};
use crate::app::App;

/// Shows a focus session. One whose time is over shows as completed, whether or not that was written yet.
///
/// **Permissions**: its owner; to everybody else it does not exist.
#[utoipa::path(
    get, path = "/session/{id}", tag = "focus", security(("bearer" = [])),
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = FocusSession),
        (status = 404, description = "`session_not_found`", body = ProblemView)
    )
)]
pub async fn show(app: Data<App>, person: Person, id: Path<FocusId>) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let Seen { row, now } = store::see(&mut conn, person.0.user_id, *id).await?;
    Ok(shown(&row.view(now)?))
}
