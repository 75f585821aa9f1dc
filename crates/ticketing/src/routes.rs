//! Every route of `maru-ticketing`, and its API document.

use actix_web::web::{self, ServiceConfig};

use crate::{admin, admission_ticket, event, layout, order, payment, person, queue, realtime, seat, ticket};

/// Under which prefixes what people ask for answers: the document's own, and the one of its clients.
const PREFIXES: [&str; 2] = ["/api/v1", "/api"];

/// Mounts all routes.
pub fn configure(cfg: &mut ServiceConfig) {
    for prefix in PREFIXES {
        cfg.service(web::scope(prefix).configure(public));
    }
    cfg.configure(event::internal_routes).configure(person::routes).configure(realtime::routes);
}

/// They are tried one after the other, and each that does not fit costs a third of a microsecond: first comes what a crowd
/// asks for.
fn public(cfg: &mut ServiceConfig) {
    cfg.configure(order::routes).configure(queue::routes).configure(seat::routes).configure(event::routes);
    cfg.configure(ticket::routes).configure(payment::routes).configure(admission_ticket::routes);
    cfg.configure(layout::routes).configure(admin::routes);
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
        layout::list::list_layouts,
        layout::create::create_layout,
        admin::create_event::create_event,
        admin::update_event::update_event,
        admin::delete_event::delete_event,
        admin::cancel_event::cancel_event,
        admin::create_ticket_type::create_ticket_type,
        admin::update_ticket_type::update_ticket_type,
        admin::list_reservations::list_reservations,
        admin::set_reservation_status::set_reservation_status,
        admin::dashboard::show_dashboard,
        queue::check::check,
        queue::status::show_status,
        queue::heartbeat::heartbeat,
        queue::leave::leave,
        queue::defer::defer,
        queue::audit::show_audit,
        queue::admin::show::show_room,
        queue::admin::change::change_room,
        queue::admin::clear::clear_room,
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
        realtime::message::TicketsOffered,
        realtime::message::QueueCleared,
        realtime::message::SessionRestored,
        realtime::message::Refetch,
        realtime::message::Refused<'static>
    )),
    tags(
        (name = "events", description = "What takes place, and when it is sold"),
        (name = "tickets", description = "What is sold by quantity"),
        (name = "seats", description = "What is sold by seat: five minutes to pay, all seats or none"),
        (name = "reservations", description = "What a person has reserved: five minutes to pay, and giving it back"),
        (name = "queue", description = "The waiting room: strict order, and nobody past it"),
        (name = "payments", description = "Money for a reservation: tickets, or back"),
        (name = "admin", description = "What organizers do with their own events, and admins with everybody's"),
        (name = "socket.io", description = "What happens while people look")
    )
)]
pub struct Api;
