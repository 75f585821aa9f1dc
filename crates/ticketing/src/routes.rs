//! Every route of `maru-ticketing`, and its API document.

use actix_web::web::ServiceConfig;

use crate::{admission_ticket, event, order, payment, person, queue, seat, ticket};

/// Under which prefixes every route answers: the document's own, and the one of its clients.
pub(crate) const PREFIXES: [&str; 2] = ["/api/v1", "/api"];

/// Mounts all routes.
pub fn configure(cfg: &mut ServiceConfig) {
    cfg.configure(event::routes).configure(ticket::routes).configure(seat::routes).configure(person::routes);
    cfg.configure(order::routes).configure(payment::routes).configure(admission_ticket::routes);
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
        seat::best::reserve_best,
        order::place::place_order,
        order::list::list_own,
        order::show::show_own,
        order::cancel::cancel,
        order::waiting::join,
        order::waiting::show,
        order::waiting::leave,
        payment::methods::list_methods,
        payment::prepare::prepare_payment,
        payment::confirm::confirm_payment,
        payment::process::process_payment,
        payment::webhook::toss_webhook,
        admission_ticket::list::list_tickets,
        admission_ticket::check_in::check_in,
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
        (name = "seats", description = "What is sold by seat: five minutes to pay, all seats or none"),
        (name = "reservations", description = "What a person has reserved: five minutes to pay, and giving it back"),
        (name = "queue", description = "The waiting room: strict order, and nobody past it"),
        (name = "payments", description = "Money for a reservation: tickets, or back")
    )
)]
pub struct Api;
