//! `GET /api/v1/reservations/{reservation_id}/tickets`.

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, HeaderValue},
    web::{Data, Path},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use chassis::{
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
    qr::Drawing,
};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    ids::{EventId, ReservationId, TicketId, UserId},
    seat_hold::{RESERVATION_NOT_FOUND, ReservationStatus},
    time::Instant,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    code::TicketCode,
    store::{self, Ticket},
};
use crate::{app::App, payment::store as payments};

/// Pixels of a module of a ticket's picture.
const PIXELS: u32 = 8;

/// The tickets of a reservation.
#[derive(Debug, Serialize, ToSchema)]
pub struct TicketsView {
    /// Empty until the reservation is confirmed.
    tickets: Vec<TicketView>,
}

/// A ticket.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TicketView {
    id: TicketId,
    event_id: EventId,
    event_title: String,
    seat_id: Option<Uuid>,
    seat_label: Option<String>,
    section: Option<String>,
    row_number: Option<i32>,
    seat_number: Option<i32>,
    ticket_type_id: Option<Uuid>,
    ticket_type_name: Option<String>,
    /// The how-maniest of its type, from 1; of a seat always 1.
    ordinal: i32,
    status: TicketStatus,
    /// When somebody came in with it.
    used_at: Option<Instant>,
    issued_at: Instant,
    /// What is read at the door; nothing when it opens none any more.
    code: Option<String>,
    /// The code as a PNG, a data URL.
    qr_code_url: Option<String>,
}

/// What a ticket is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TicketStatus {
    /// It opens the door, once.
    Valid,
    /// Somebody came in with it.
    Used,
    /// Its reservation was cancelled.
    Void,
}

/// Shows the tickets of a reservation, one for each seat and each of what was bought by quantity.
///
/// **Permissions**: whoever made the reservation.
#[utoipa::path(
    get, path = "/api/v1/reservations/{reservation_id}/tickets", tag = "tickets", security(("bearer" = [])),
    params(("reservation_id" = ReservationId, Path)),
    responses(
        (status = 200, body = TicketsView),
        (status = 401, body = ProblemView),
        (status = 404, description = "`reservation_not_found`", body = ProblemView)
    )
)]
pub async fn list_tickets(app: Data<App>, person: Person, id: Path<ReservationId>) -> Outcome<HttpResponse> {
    let owner = person.0.user_id;
    let mut conn = app.ground.pg.conn().await?;
    let tickets = conn.transaction(async |conn| find(conn, *id, owner).await).await?;
    let tickets: Result<Vec<_>, _> = tickets.into_iter().map(|ticket| view(&app, ticket)).collect();
    // Whoever has the answer can come in with it.
    let private = (CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(HttpResponse::Ok().insert_header(private).json(TicketsView { tickets: tickets? }))
}

/// Finds the tickets, and makes those of a reservation that was confirmed by other means than a payment.
async fn find(conn: &mut AsyncPgConnection, id: ReservationId, owner: UserId) -> Outcome<Vec<Ticket>> {
    let tickets = store::list(conn, id, owner).await?;
    if !tickets.is_empty() {
        return Ok(tickets);
    }
    let reservation = payments::lock_own_reservation(conn, id, owner).await?.ok_or(RESERVATION_NOT_FOUND)?;
    if reservation.status() != ReservationStatus::Confirmed {
        return Ok(Vec::new());
    }
    store::issue(conn, id).await?;
    store::list(conn, id, owner).await
}

fn view(app: &App, ticket: Ticket) -> Outcome<TicketView> {
    let status = match (ticket.is_good(), ticket.used_at) {
        (false, _) => TicketStatus::Void,
        (true, Some(_)) => TicketStatus::Used,
        (true, None) => TicketStatus::Valid,
    };
    let code = TicketCode { ticket_id: ticket.id(), event_id: ticket.event() };
    let code = ticket.is_good().then(|| app.codes.write(code));
    Ok(TicketView {
        id: ticket.id(),
        event_id: ticket.event(),
        event_title: ticket.title,
        seat_id: ticket.seat_id,
        seat_label: ticket.seat_label,
        section: ticket.section,
        row_number: ticket.row_number,
        seat_number: ticket.seat_number,
        ticket_type_id: ticket.ticket_type_id,
        ticket_type_name: ticket.ticket_type_name,
        ordinal: ticket.ordinal,
        status,
        used_at: ticket.used_at.map(Instant),
        issued_at: ticket.created_at.into(),
        qr_code_url: code.as_deref().map(picture).transpose()?,
        code,
    })
}

fn picture(code: &str) -> Outcome<String> {
    let drawing = Drawing::new(code).map_err(Problem::unexpected)?;
    let png = drawing.png(drawing.modules() * PIXELS).map_err(Problem::unexpected)?;
    Ok(format!("data:image/png;base64,{}", BASE64_STANDARD.encode(png)))
}
