//! `DELETE /session/{id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    context,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{ids::FocusId, locale::Text};
use serde::Serialize;
use utoipa::ToSchema;

use super::store;
use crate::app::App;

/// What is said when it is gone.
const DELETED: Text = Text::new("세션이 삭제되었습니다.", "session deleted successfully");

/// A session was deleted.
#[derive(Serialize, ToSchema)]
pub struct FocusDeleted {
    /// Says so, in the request's language.
    message: &'static str,
}

/// Deletes a focus session, running or not, and its minutes with it.
///
/// **Permissions**: its owner; to everybody else it does not exist.
#[utoipa::path(
    delete, path = "/session/{id}", tag = "focus", security(("bearer" = [])),
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = FocusDeleted),
        (status = 404, description = "`session_not_found`", body = ProblemView)
    )
)]
pub async fn delete(app: Data<App>, person: Person, id: Path<FocusId>) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let deleted = store::delete(&mut conn, person.0.user_id, *id).await?;
    drop(conn);
    app.focus.deleted(&deleted).await;
    Ok(HttpResponse::Ok().json(FocusDeleted { message: DELETED.in_locale(context::locale()) }))
}
