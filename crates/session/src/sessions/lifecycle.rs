//! `POST /api/v1/sessions/{id}/{activate,deactivate,end}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    document::Document,
    optional_json::OptionalJson,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{
    fault::Violations,
    ids::SessionId,
    session::{SessionStatus, check_document},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{SessionView, change::change};
use crate::app::App;

/// What came out of a session that ends.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndSessionRequest {
    /// In place of the summary there is; that stays when this is left out.
    #[schema(value_type = Option<Object>)]
    summary: Option<Map<String, Value>>,
}

/// A button that needs nothing said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Activates a session, so that people may come in; activating an active one changes nothing.
///
/// The first activation sets `started_at`, and none later moves it.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/activate", tag = "sessions", security(("bearer" = [])),
    params(("id" = Uuid, Path)),
    request_body = Option<Nothing>,
    responses(
        (status = 200, body = SessionView),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 409, description = "`session_ended`", body = ProblemView)
    )
)]
pub async fn activate(
    app: Data<App>,
    person: Person,
    id: Path<SessionId>,
    _body: OptionalJson<Nothing>,
) -> Outcome<HttpResponse> {
    go(&app, person, *id, SessionStatus::Active).await
}

/// Pauses a session: nobody may come in, who is in stays. Pausing a paused one changes nothing.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/deactivate", tag = "sessions", security(("bearer" = [])),
    params(("id" = Uuid, Path)),
    request_body = Option<Nothing>,
    responses(
        (status = 200, body = SessionView),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 409, description = "`session_ended`", body = ProblemView)
    )
)]
pub async fn deactivate(
    app: Data<App>,
    person: Person,
    id: Path<SessionId>,
    _body: OptionalJson<Nothing>,
) -> Outcome<HttpResponse> {
    go(&app, person, *id, SessionStatus::Paused).await
}

async fn go(app: &App, person: Person, id: SessionId, status: SessionStatus) -> Outcome<HttpResponse> {
    let session = change(app, person.0.user_id, id, |session, now| {
        session.stand(session.standing().go(status, now)?);
        Ok(())
    })
    .await?;
    Ok(HttpResponse::Ok().json(SessionView::new(session, &app.pictures)))
}

/// Ends a session for good; ending an ended one changes nothing, its summary included.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/end", tag = "sessions", security(("bearer" = [])),
    params(("id" = Uuid, Path)),
    request_body = Option<EndSessionRequest>,
    responses(
        (status = 200, body = SessionView),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn end(
    app: Data<App>,
    person: Person,
    id: Path<SessionId>,
    body: OptionalJson<EndSessionRequest>,
) -> Outcome<HttpResponse> {
    let summary = body.0.summary.map(Value::Object);
    let mut violations = Violations::new();
    if let Some(summary) = &summary {
        check_document(summary, "/summary", &mut violations);
    }
    violations.into_result()?;
    let session = change(&app, person.0.user_id, *id, |session, now| {
        let before = session.standing();
        let ended = before.go(SessionStatus::Ended, now)?;
        if ended != before {
            session.stand(ended);
            if let Some(summary) = summary {
                session.summary = Some(Document::new(&summary)?);
            }
        }
        Ok(())
    })
    .await?;
    Ok(HttpResponse::Ok().json(SessionView::new(session, &app.pictures)))
}
