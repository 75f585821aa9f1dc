//! `GET /api/v1/seats/reservation/{reservation_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{
    ids::ReservationId,
    seat_hold::{RESERVATION_NOT_FOUND, ReservationStatus},
    time::Instant,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::store::{self, Reservation, ReservedSeat};
use crate::app::App;

/// What somebody is about to pay for, or has paid for.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReservationAnswer {
    reservation: ReservationView,
}

/// A reservation and its seats.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReservationView {
    id: Uuid,
    reservation_number: String,
    /// KRW.
    total_amount: i64,
    /// `expired` from the instant its time has passed.
    status: ReservationStatus,
    /// `pending`, `completed`, `failed` or `refunded`.
    payment_status: String,
    payment_method: Option<String>,
    expires_at: Instant,
    created_at: Instant,
    event_id: Uuid,
    event_title: String,
    venue: String,
    event_date: Instant,
    seats: Vec<ReservedSeatView>,
    #[serde(rename = "isExpired")]
    is_expired: bool,
}

/// A seat of a reservation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReservedSeatView {
    seat_id: Uuid,
    seat_label: String,
    section: String,
    row_number: i32,
    seat_number: i32,
    /// KRW, as it was when the seat was chosen.
    price: i64,
}

impl From<ReservedSeat> for ReservedSeatView {
    fn from(seat: ReservedSeat) -> Self {
        Self {
            seat_id: seat.id,
            seat_label: seat.seat_label,
            section: seat.section,
            row_number: seat.row_number,
            seat_number: seat.seat_number,
            price: seat.price,
        }
    }
}

impl ReservationView {
    fn new(reservation: Reservation, seats: Vec<ReservedSeat>) -> Self {
        let status = reservation.status();
        Self {
            id: reservation.id,
            reservation_number: reservation.reservation_number,
            total_amount: reservation.total_amount,
            status,
            payment_status: reservation.payment_status,
            payment_method: reservation.payment_method,
            expires_at: reservation.expires_at.into(),
            created_at: reservation.created_at.into(),
            event_id: reservation.event_id,
            event_title: reservation.event_title,
            venue: reservation.venue,
            event_date: reservation.event_date.into(),
            seats: seats.into_iter().map(ReservedSeatView::from).collect(),
            is_expired: status == ReservationStatus::Expired,
        }
    }
}

/// Shows a reservation and its seats.
///
/// **Permissions**: whoever made it; for everybody else it is not there.
#[utoipa::path(
    get, path = "/api/v1/seats/reservation/{reservation_id}", tag = "seats", security(("bearer" = [])),
    params(("reservation_id" = ReservationId, Path)),
    responses(
        (status = 200, body = ReservationAnswer),
        (status = 401, body = ProblemView),
        (status = 404, description = "`reservation_not_found`", body = ProblemView)
    )
)]
pub async fn show_reservation(app: Data<App>, person: Person, id: Path<ReservationId>) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let found = store::find_reservation(&mut conn, *id, person.0.user_id).await?.ok_or(RESERVATION_NOT_FOUND)?;
    let seats = store::list_reserved(&mut conn, *id).await?;
    Ok(HttpResponse::Ok().json(ReservationAnswer { reservation: ReservationView::new(found, seats) }))
}
