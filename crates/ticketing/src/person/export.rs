//! `GET /internal/users/{id}/export`.

use std::collections::HashMap;

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::AuthPeer,
    problem::{Outcome, Problem},
};
use diesel_async::AsyncPgConnection;
use domain::{
    contract::UserExport, ids::UserId, person::ExportDocument, principal::Service, seat_hold::ReservationStatus,
    time::Instant,
};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    belongings,
    exported::{ExportedItem, ExportedPayment, ExportedPlace, ExportedTicket},
    ordered::{self, OrderedSeat},
    organized::{self, Organized},
};
use crate::{app::App, seat::store::Reservation};

/// The part of the document that holds reservations.
const RESERVATIONS: &str = "reservations";
/// The part of the document that holds what the person waits for.
const WAITING: &str = "waiting_list";
/// The part of the document that holds when the person was let in from waiting rooms.
const ADMISSIONS: &str = "queue_admissions";
/// The part of the document that holds the events that the person runs.
const EVENTS: &str = "events";

/// A reservation with everything that is kept of it.
#[derive(Serialize)]
struct ExportedReservation {
    id: Uuid,
    reservation_number: String,
    /// KRW.
    total_amount: i64,
    status: ReservationStatus,
    payment_status: String,
    payment_method: Option<String>,
    expires_at: Instant,
    created_at: Instant,
    event_id: Uuid,
    event_title: String,
    venue: String,
    event_date: Instant,
    seats: Vec<ExportedSeat>,
    items: Vec<ExportedItem>,
    payments: Vec<ExportedPayment>,
    tickets: Vec<ExportedTicket>,
}

/// What else belongs to a reservation.
#[derive(Default)]
struct Belongings {
    seats: Vec<ExportedSeat>,
    items: Vec<ExportedItem>,
    payments: Vec<ExportedPayment>,
    tickets: Vec<ExportedTicket>,
}

/// A seat of a reservation.
#[derive(Serialize)]
struct ExportedSeat {
    seat_id: Uuid,
    section: String,
    row_number: i32,
    seat_number: i32,
    seat_label: String,
    /// KRW, as it was when the seat was chosen.
    price: i64,
}

/// An event with everything that is kept of it.
#[derive(Serialize)]
struct ExportedEvent {
    id: Uuid,
    title: String,
    description: Option<String>,
    artist_name: Option<String>,
    venue: String,
    address: Option<String>,
    event_date: Instant,
    sale_start_date: Instant,
    sale_end_date: Instant,
    poster_image_url: Option<String>,
    cancelled_at: Option<Instant>,
    created_at: Instant,
    updated_at: Instant,
}

impl ExportedReservation {
    fn new(reservation: Reservation, own: Belongings) -> Self {
        Self {
            status: reservation.status(),
            id: reservation.id,
            reservation_number: reservation.reservation_number,
            total_amount: reservation.total_amount,
            payment_status: reservation.payment_status,
            payment_method: reservation.payment_method,
            expires_at: reservation.expires_at.into(),
            created_at: reservation.created_at.into(),
            event_id: reservation.event_id,
            event_title: reservation.event_title,
            venue: reservation.venue,
            event_date: reservation.event_date.into(),
            seats: own.seats,
            items: own.items,
            payments: own.payments,
            tickets: own.tickets,
        }
    }
}

impl From<OrderedSeat> for ExportedSeat {
    fn from(seat: OrderedSeat) -> Self {
        Self {
            seat_id: seat.seat_id,
            section: seat.section,
            row_number: seat.row_number,
            seat_number: seat.seat_number,
            seat_label: seat.seat_label,
            price: seat.price,
        }
    }
}

impl From<Organized> for ExportedEvent {
    fn from(event: Organized) -> Self {
        Self {
            id: event.id,
            title: event.title,
            description: event.description,
            artist_name: event.artist_name,
            venue: event.venue,
            address: event.address,
            event_date: event.event_date.into(),
            sale_start_date: event.sale_start_date.into(),
            sale_end_date: event.sale_end_date.into(),
            poster_image_url: event.poster_image_url,
            cancelled_at: event.cancelled_at.map(Instant),
            created_at: event.created_at.into(),
            updated_at: event.updated_at.into(),
        }
    }
}

/// Shows everything that is kept about a person, as of one instant. Idempotency keys are left out: they repeat answers
/// of the last day. Of the admission logs it shows what is about events that the person has ordered from; in others nobody
/// can look for them who does not know the event.
pub async fn export(app: Data<App>, _auth: AuthPeer, id: Path<UserId>) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let mut snapshot = conn.build_transaction().read_only().repeatable_read();
    let data = snapshot.run(async |conn| collect(conn, *id).await).await?;
    Ok(HttpResponse::Ok().json(UserExport { service: Service::Ticketing, data }))
}

async fn collect(conn: &mut AsyncPgConnection, person: UserId) -> Outcome<Value> {
    let mut document = ExportDocument::new(&[RESERVATIONS, WAITING, ADMISSIONS, EVENTS]);
    // The events without an organizer are nobody's.
    if !person.0.is_nil() {
        add_reservations(conn, person, &mut document).await?;
        add_waiting(conn, person, &mut document).await?;
        add_admissions(conn, person, &mut document).await?;
        add_events(conn, person, &mut document).await?;
    }
    Ok(document.into_value())
}

async fn add_reservations(conn: &mut AsyncPgConnection, buyer: UserId, document: &mut ExportDocument) -> Outcome<()> {
    let mut last = None;
    loop {
        let page = ordered::list(conn, buyer, last).await?;
        last = page.last().map(|reservation| reservation.id);
        if last.is_none() {
            return Ok(());
        }
        let ids: Vec<_> = page.iter().map(|reservation| reservation.id).collect();
        let mut belongings = collect_belongings(conn, &ids).await?;
        for reservation in page {
            let own = belongings.remove(&reservation.id).unwrap_or_default();
            let row = ExportedReservation::new(reservation, own);
            if !document.push(RESERVATIONS, &row).map_err(Problem::unexpected)? {
                return Ok(());
            }
        }
    }
}

async fn add_waiting(conn: &mut AsyncPgConnection, person: UserId, document: &mut ExportDocument) -> Outcome<()> {
    for place in belongings::list_waiting(conn, person).await? {
        let row = ExportedPlace::from(place);
        if !document.push(WAITING, &row).map_err(Problem::unexpected)? {
            return Ok(());
        }
    }
    Ok(())
}

async fn add_admissions(conn: &mut AsyncPgConnection, person: UserId, document: &mut ExportDocument) -> Outcome<()> {
    for admission in belongings::list_admissions(conn, person).await? {
        if !document.push(ADMISSIONS, &admission).map_err(Problem::unexpected)? {
            return Ok(());
        }
    }
    Ok(())
}

async fn collect_belongings(conn: &mut AsyncPgConnection, orders: &[Uuid]) -> Outcome<HashMap<Uuid, Belongings>> {
    let mut all: HashMap<Uuid, Belongings> = HashMap::new();
    for seat in ordered::list_seats(conn, orders).await? {
        all.entry(seat.reservation_id).or_default().seats.push(seat.into());
    }
    for item in belongings::list_items(conn, orders).await? {
        all.entry(item.reservation_id).or_default().items.push(item.into());
    }
    for payment in belongings::list_payments(conn, orders).await? {
        all.entry(payment.reservation_id).or_default().payments.push(payment.into());
    }
    for ticket in belongings::list_tickets(conn, orders).await? {
        all.entry(ticket.reservation_id).or_default().tickets.push(ticket.into());
    }
    Ok(all)
}

async fn add_events(conn: &mut AsyncPgConnection, organizer: UserId, document: &mut ExportDocument) -> Outcome<()> {
    let mut last = None;
    loop {
        let page = organized::list(conn, organizer, last).await?;
        last = page.last().map(|event| event.id);
        if last.is_none() {
            return Ok(());
        }
        for event in page {
            let row = ExportedEvent::from(event);
            if !document.push(EVENTS, &row).map_err(Problem::unexpected)? {
                return Ok(());
            }
        }
    }
}
