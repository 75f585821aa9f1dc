//! `GET /api/v1/reservations/my`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, Query},
};
use chassis::{
    page::at,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{ids::ReservationId, page::Limit};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    store,
    view::{OwnReservationView, with_items},
};
use crate::app::App;

/// Most reservations of one answer, and how many there are without a limit.
const LIMIT_MAX: i64 = 100;

/// Which of one's reservations.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OwnReservationsQuery {
    /// Most reservations, 1-100 (100).
    limit: Option<i64>,
    /// Where the page before ended, as its `Link` says.
    cursor: Option<ReservationId>,
}

/// One's reservations.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnReservationsView {
    reservations: Vec<OwnReservationView>,
}

/// Lists one's reservations, newest first, with `X-Total-Count`, and `Link` when more follow.
///
/// **Permissions**: a signed-in person, their own.
#[utoipa::path(
    get, path = "/api/v1/reservations/my", tag = "reservations", security(("bearer" = [])),
    params(OwnReservationsQuery),
    responses(
        (status = 200, body = OwnReservationsView),
        (status = 401, body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn list_own(
    app: Data<App>,
    person: Person,
    req: HttpRequest,
    query: Query<OwnReservationsQuery>,
) -> Outcome<HttpResponse> {
    let limit = Limit::parse(query.limit, LIMIT_MAX, LIMIT_MAX)?.rows();
    let mut conn = app.ground.pg.conn().await?;
    let total = store::count(&mut conn, person.0.user_id).await?;
    let mut rows = store::list(&mut conn, person.0.user_id, query.cursor, limit + 1).await?;
    let limit = usize::try_from(limit).unwrap_or_default();
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let items = store::items(&mut conn, &ids).await?;
    drop(conn);
    let mut answer = HttpResponse::Ok();
    answer.insert_header(("x-total-count", total.to_string()));
    if let Some(last) = ids.last().filter(|_| has_more) {
        let next = at(&req, "cursor", &last.to_string());
        answer.insert_header((header::LINK, format!("<{next}>; rel=\"next\"")));
    }
    Ok(answer.json(OwnReservationsView { reservations: with_items(rows, items) }))
}
