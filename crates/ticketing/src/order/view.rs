//! How reservations are shown.

use std::collections::HashMap;

use domain::{
    ids::{ReservationId, SeatId, TicketTypeId},
    seat_hold::ReservationStatus,
    time::Instant,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::store::{Item, OwnReservation};

/// A reservation with what it consists of.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwnReservationView {
    id: Uuid,
    reservation_number: String,
    event_id: Uuid,
    event_title: String,
    venue: String,
    address: Option<String>,
    event_date: Instant,
    /// KRW.
    total_amount: i64,
    /// A pending one whose time has passed shows as `expired`.
    status: ReservationStatus,
    /// `pending`, `completed`, `failed` or `refunded`.
    payment_status: String,
    payment_method: Option<String>,
    expires_at: Instant,
    created_at: Instant,
    items: Vec<ItemView>,
}

/// Tickets of one type, or one seat.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ItemView {
    /// The type, or of a seat its section.
    ticket_type_name: String,
    ticket_type_id: Option<TicketTypeId>,
    /// 1 of a seat.
    quantity: i32,
    /// KRW, as it was when it was reserved.
    unit_price: i64,
    /// KRW.
    subtotal: i64,
    seat_id: Option<SeatId>,
    seat_label: Option<String>,
    section: Option<String>,
}

impl From<Item> for ItemView {
    fn from(item: Item) -> Self {
        Self {
            ticket_type_name: item.name,
            ticket_type_id: item.ticket_type_id.map(TicketTypeId),
            quantity: item.quantity,
            unit_price: item.unit_price,
            subtotal: item.subtotal,
            seat_id: item.seat_id.map(SeatId),
            seat_label: item.seat_label,
            section: item.section,
        }
    }
}

impl OwnReservationView {
    fn new(reservation: OwnReservation, items: Vec<ItemView>) -> Self {
        Self {
            status: ReservationStatus::at(reservation.now, &reservation.status, reservation.expires_at),
            id: reservation.id,
            reservation_number: reservation.reservation_number,
            event_id: reservation.event_id,
            event_title: reservation.event_title,
            venue: reservation.venue,
            address: reservation.address,
            event_date: reservation.event_date.into(),
            total_amount: reservation.total_amount,
            payment_status: reservation.payment_status,
            payment_method: reservation.payment_method,
            expires_at: reservation.expires_at.into(),
            created_at: reservation.created_at.into(),
            items,
        }
    }
}

/// Gives each reservation what it consists of.
pub(super) fn with_items(reservations: Vec<OwnReservation>, items: Vec<Item>) -> Vec<OwnReservationView> {
    let mut by_reservation: HashMap<ReservationId, Vec<ItemView>> = HashMap::new();
    for item in items {
        by_reservation.entry(ReservationId(item.reservation_id)).or_default().push(item.into());
    }
    let views = reservations.into_iter().map(|reservation| {
        let own = by_reservation.remove(&ReservationId(reservation.id)).unwrap_or_default();
        OwnReservationView::new(reservation, own)
    });
    views.collect()
}
