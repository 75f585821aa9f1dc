//! `PUT /session/{id}/status`.

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{
    contract::FocusSession,
    fault::Violations,
    focus::{Status, check_instant},
    ids::FocusId,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{change::change, shown};
use crate::app::App;

/// What a focus session is to become.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FocusStatusRequest {
    /// `pending` takes it back to its beginning; `resumed` means `started`.
    #[schema(required, value_type = Status)]
    status: Option<String>,
    /// Accepted from old clients; the server's clock counts.
    updated_at: Option<String>,
}

impl FocusStatusRequest {
    fn parse(&self) -> Result<Status, Violations> {
        let mut violations = Violations::new();
        let status = Status::parse(self.status.as_deref(), &mut violations);
        check_instant(self.updated_at.as_deref(), "/updated_at", &mut violations);
        match (status, violations.into_result()) {
            (Some(status), Ok(())) => Ok(status),
            (_, Err(violations)) => Err(violations),
            // The parser records a violation whenever it returns nothing.
            (None, Ok(())) => Err(Violations::new()),
        }
    }
}

/// Starts, pauses, resumes, resets, completes, reviews or cancels a focus session. To be what it already is changes
/// nothing; what its status forbids is refused with `state` and what is `allowed`.
///
/// **Permissions**: its owner; to everybody else it does not exist.
#[utoipa::path(
    put, path = "/session/{id}/status", tag = "focus", security(("bearer" = [])),
    params(("id" = Uuid, Path)),
    request_body = FocusStatusRequest,
    responses(
        (status = 200, body = FocusSession),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 409, description = "`invalid_transition`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn status(
    app: Data<App>,
    person: Person,
    id: Path<FocusId>,
    body: Json<FocusStatusRequest>,
) -> Outcome<HttpResponse> {
    let status = body.parse()?;
    let session = change(&app, person.0.user_id, *id, |mut row, focus, now| {
        row.set(&focus.become_status(status, now)?);
        Ok(row)
    })
    .await?;
    Ok(shown(&session))
}
