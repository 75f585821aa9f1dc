//! `GET /api/v1/reservations/{reservation_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{ids::ReservationId, seat_hold::RESERVATION_NOT_FOUND};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    store,
    view::{OwnReservationView, with_items},
};
use crate::app::App;

/// A reservation.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnReservationAnswer {
    reservation: OwnReservationView,
}

/// Shows a reservation and what it consists of.
///
/// **Permissions**: whoever made it; for everybody else it is not there.
#[utoipa::path(
    get, path = "/api/v1/reservations/{reservation_id}", tag = "reservations", security(("bearer" = [])),
    params(("reservation_id" = ReservationId, Path)),
    responses(
        (status = 200, body = OwnReservationAnswer),
        (status = 401, body = ProblemView),
        (status = 404, description = "`reservation_not_found`", body = ProblemView)
    )
)]
pub async fn show_own(app: Data<App>, person: Person, id: Path<ReservationId>) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let found = store::find(&mut conn, *id, person.0.user_id).await?.ok_or(RESERVATION_NOT_FOUND)?;
    let items = store::items(&mut conn, &[found.id]).await?;
    let reservation = with_items(vec![found], items).pop().ok_or(RESERVATION_NOT_FOUND)?;
    Ok(HttpResponse::Ok().json(OwnReservationAnswer { reservation }))
}
