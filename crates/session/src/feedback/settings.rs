//! `GET` and `PUT /api/v1/sessions/{id}/feedback/settings`.

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use diesel_async::AsyncConnection;
use domain::{
    feedback::FeedbackSettings,
    ids::{SessionId, UserId},
};
use serde_json::{Map, Value};

use super::store;
use crate::app::App;

/// Shows one's feedback settings for a session: those of its type and of its own settings until they are changed here.
///
/// **Permissions**: the session's owner.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/feedback/settings", tag = "feedback", security(("bearer" = [])),
    params(("id" = Uuid, Path)),
    responses(
        (status = 200, body = FeedbackSettings),
        (status = 404, description = "`session_not_found`", body = ProblemView)
    )
)]
pub async fn show(app: Data<App>, person: Person, id: Path<SessionId>) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let standing = store::see(&mut conn, person.0.user_id, *id).await?;
    Ok(HttpResponse::Ok().json(standing.settings))
}

/// Changes one's feedback settings for a session: what is sent, which may be any part of them, is laid over what there
/// is.
///
/// **Permissions**: the session's owner.
#[utoipa::path(
    put, path = "/api/v1/sessions/{id}/feedback/settings", tag = "feedback", security(("bearer" = [])),
    params(("id" = Uuid, Path)),
    request_body(content = FeedbackSettings, description = "Any part of it"),
    responses(
        (status = 200, body = FeedbackSettings),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 409, description = "`session_ended`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn change(
    app: Data<App>,
    person: Person,
    id: Path<SessionId>,
    body: Json<Map<String, Value>>,
) -> Outcome<HttpResponse> {
    let settings = lay_over(&app, person.0.user_id, *id, Value::Object(body.into_inner())).await?;
    Ok(HttpResponse::Ok().json(settings))
}

async fn lay_over(app: &App, owner: UserId, id: SessionId, patch: Value) -> Outcome<FeedbackSettings> {
    let mut conn = app.ground.pg.conn().await?;
    let now = app.ground.clock.now();
    conn.transaction(async |conn| {
        store::hold(conn, owner, id).await?;
        let settings = store::see(conn, owner, id).await?.settings.patched(&patch)?;
        store::put_settings(conn, owner, id, &settings, now).await?;
        Outcome::Ok(settings)
    })
    .await
}
