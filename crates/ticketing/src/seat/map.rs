//! `GET /api/v1/seats/events/{event_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Anyone,
    problem::{Outcome, ProblemView},
};
use domain::{
    ids::EventId,
    seat_hold::{EVENT_NOT_FOUND, NO_SEATS, SeatStatus},
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    layout::{LayoutConfig, Section},
    store,
};
use crate::app::App;

/// An event's hall and every seat of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SeatMapView {
    event: SeatMapEventView,
    layout: LayoutView,
    seats: Vec<SeatView>,
}

/// The event the seats belong to.
#[derive(Debug, Serialize, ToSchema)]
pub struct SeatMapEventView {
    id: EventId,
    title: String,
}

/// How the seats are arranged.
#[derive(Debug, Serialize, ToSchema)]
pub struct LayoutView {
    /// Number of the last row.
    rows: i32,
    /// Seats of the longest row.
    cols: i32,
    sections: Vec<Section>,
}

impl From<LayoutConfig> for LayoutView {
    fn from(layout: LayoutConfig) -> Self {
        Self { rows: layout.rows(), cols: layout.cols(), sections: layout.sections }
    }
}

/// A seat.
#[derive(Debug, Serialize, ToSchema)]
pub struct SeatView {
    id: Uuid,
    section: String,
    row_number: i32,
    seat_number: i32,
    seat_label: String,
    /// KRW.
    price: i64,
    /// A hold that has ended shows as `available`.
    status: SeatStatus,
}

/// Shows an event's seats and which of them can be had.
#[utoipa::path(
    get, path = "/api/v1/seats/events/{event_id}", tag = "seats", params(("event_id" = EventId, Path)),
    responses(
        (status = 200, body = SeatMapView),
        (status = 404, description = "`event_not_found`, `no_seats`", body = ProblemView)
    )
)]
pub async fn show_seats(app: Data<App>, _caller: Anyone, event_id: Path<EventId>) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let hall = store::find_hall(&mut conn, *event_id).await?.ok_or(EVENT_NOT_FOUND)?;
    let layout = hall.layout.ok_or(NO_SEATS)?;
    let seats = store::list(&mut conn, *event_id).await?;
    let seats = seats.into_iter().map(|seat| SeatView {
        status: seat.status(hall.now),
        id: seat.id,
        section: seat.section,
        row_number: seat.row_number,
        seat_number: seat.seat_number,
        seat_label: seat.seat_label,
        price: seat.price,
    });
    let event = SeatMapEventView { id: *event_id, title: hall.title };
    Ok(HttpResponse::Ok().json(SeatMapView { event, layout: layout.into(), seats: seats.collect() }))
}
