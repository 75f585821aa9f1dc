//! Every route of `maru-ticketing`, and its API document.

use actix_web::web::ServiceConfig;

use crate::{event, person, realtime, seat, ticket};

/// Under which prefixes every route answers: the document's own, and the one of its clients.
pub(crate) const PREFIXES: [&str; 2] = ["/api/v1", "/api"];

/// Mounts all routes.
pub fn configure(cfg: &mut ServiceConfig) {
    cfg.configure(event::routes).configure(ticket::routes).configure(seat::routes).configure(person::routes);
    cfg.configure(realtime::routes);
}

/// The API document.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Maru ticketing", description = "Events, seats and reservations"),
    paths(
        event::list::list_events,
        event::show::show_event,
        ticket::list::list_ticket_types,
        ticket::availability::show_availability,
        seat::map::show_seats,
        seat::reserve::reserve_seats,
        seat::reservation::show_reservation,
        realtime::mount::open,
        realtime::mount::say
    ),
    components(schemas(
        realtime::message::RoomInfo,
        realtime::message::SeatChanged,
        realtime::message::SeatUpdate<'static>,
        realtime::message::TicketUpdated,
        realtime::message::QueueUpdated,
        realtime::message::EntryAllowed,
        realtime::message::QueueCleared,
        realtime::message::SessionRestored,
        realtime::message::Refetch,
        realtime::message::Refused<'static>
    )),
    tags(
        (name = "events", description = "What takes place, and when it is sold"),
        (name = "tickets", description = "What is sold by quantity"),
        (name = "seats", description = "What is sold by seat: five minutes to pay, all seats or none"),
        (name = "socket.io", description = "What happens while people look")
    )
)]
pub struct Api;
