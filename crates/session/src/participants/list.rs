//! `GET /api/v1/sessions/{id}/participants`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path, Query},
};
use chassis::{
    page::{answer, at},
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{
    ids::SessionId,
    page::{Limit, parse_offset},
    session::NOT_FOUND,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{ParticipantView, store};
use crate::app::App;

/// Participants of a page that names no limit.
const LIMIT_DEFAULT: i64 = 100;
/// Most participants of a page.
const LIMIT_MAX: i64 = 500;

/// Which part of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParticipantsQuery {
    /// 1-500, 100 when it is left out.
    limit: Option<i64>,
    /// How many to skip.
    offset: Option<i64>,
}

/// Lists those who are in a session, the last to come first: a bare array, with `X-Total-Count`, and `Link` when more
/// follow.
///
/// **Permissions**: its owner.
#[utoipa::path(
    get, path = "/api/v1/sessions/{id}/participants", tag = "participants", security(("bearer" = [])),
    params(("id" = Uuid, Path), ListParticipantsQuery),
    responses(
        (status = 200, body = [ParticipantView]),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn list(
    app: Data<App>,
    person: Person,
    id: Path<SessionId>,
    query: Query<ListParticipantsQuery>,
    req: HttpRequest,
) -> Outcome<HttpResponse> {
    let limit = Limit::parse(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let offset = parse_offset(query.offset)?;
    let mut conn = app.ground.pg.conn().await?;
    let total = store::count_of_own(&mut conn, person.0.user_id, *id).await?.ok_or(NOT_FOUND)?;
    let participants = store::list(&mut conn, *id, limit, offset).await?;
    let views: Vec<ParticipantView> = participants.into_iter().map(ParticipantView::from).collect();
    let next = offset.saturating_add(limit.rows());
    let next = (next < i64::from(total)).then(|| at(&req, "offset", &next.to_string()));
    Ok(answer(&views, total.into(), next))
}
