//! Every route of `maru-ticketing`, and its API document.

use actix_web::web::ServiceConfig;

use crate::{event, person, queue, seat, ticket};

/// Under which prefixes every route answers: the document's own, and the one of its clients.
pub(crate) const PREFIXES: [&str; 2] = ["/api/v1", "/api"];

/// Mounts all routes.
pub fn configure(cfg: &mut ServiceConfig) {
    cfg.configure(event::routes).configure(ticket::routes).configure(seat::routes).configure(person::routes);
    cfg.configure(queue::routes);
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
        queue::check::check,
        queue::status::show_status,
        queue::heartbeat::heartbeat,
        queue::leave::leave,
        queue::defer::defer,
        queue::audit::show_audit,
        queue::admin::show::show_room,
        queue::admin::change::change_room,
        queue::admin::clear::clear_room
    ),
    tags(
        (name = "events", description = "What takes place, and when it is sold"),
        (name = "tickets", description = "What is sold by quantity"),
        (name = "queue", description = "The waiting room: strict order, and nobody past it"),
        (name = "seats", description = "What is sold by seat: five minutes to pay, all seats or none")
    )
)]
pub struct Api;
