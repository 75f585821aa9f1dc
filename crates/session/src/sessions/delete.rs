//! `DELETE /api/v1/sessions/{id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use diesel_async::AsyncConnection;
use domain::{ids::SessionId, session::NOT_FOUND};

use super::store;
use crate::app::App;

/// Deletes a session with its timer and everybody in it. Its code is not given out again for a week.
///
/// **Permissions**: its owner.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}", tag = "sessions", security(("bearer" = [])),
    params(("id" = Uuid, Path)),
    responses(
        (status = 204),
        (status = 404, description = "`session_not_found`", body = ProblemView)
    )
)]
pub async fn delete(app: Data<App>, person: Person, id: Path<SessionId>) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let deleted = conn.transaction(async |conn| store::delete(conn, person.0.user_id, *id).await).await?;
    if !deleted {
        return Err(NOT_FOUND.into());
    }
    // Whoever watches it finds that it is gone.
    app.rooms.tell(*id);
    Ok(HttpResponse::NoContent().finish())
}
