//! `PUT /api/v1/sessions/{id}/summary`.

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path},
};
use chassis::{
    document::Document,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{fault::Violations, ids::SessionId, session::check_document};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{SessionView, change::change};
use crate::app::App;

/// What came out of a session.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SummaryRequest {
    /// In place of the summary there is.
    #[schema(value_type = Object)]
    summary: Map<String, Value>,
}

/// Writes down what came out of a session, before its end or after.
///
/// **Permissions**: its owner.
#[utoipa::path(
    put, path = "/api/v1/sessions/{id}/summary", tag = "sessions", security(("bearer" = [])),
    params(("id" = Uuid, Path)),
    request_body = SummaryRequest,
    responses(
        (status = 200, body = SessionView),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn summarise(
    app: Data<App>,
    person: Person,
    id: Path<SessionId>,
    body: Json<SummaryRequest>,
) -> Outcome<HttpResponse> {
    let summary = Value::Object(body.into_inner().summary);
    let mut violations = Violations::new();
    check_document(&summary, "/summary", &mut violations);
    violations.into_result()?;
    let session = change(&app, person.0.user_id, *id, |session, _now| {
        session.summary = Some(Document::new(&summary)?);
        Ok(())
    })
    .await?;
    Ok(HttpResponse::Ok().json(SessionView::new(session, &app.pictures)))
}
