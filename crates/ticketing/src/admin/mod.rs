//! What organizers do with their own events, and admins with everybody's.
//!
//! Somebody else's event is not there for an organizer (404). Every change writes in its own transaction that the event
//! has changed, so that no replica shows the old one for long. Nothing that was ever ordered is deleted: an event that
//! does not take place is cancelled, and its orders are let go of one by one, each with its refund.

mod authority;
pub mod cancel_event;
pub mod create_event;
pub mod create_ticket_type;
pub mod dashboard;
pub mod delete_event;
mod event_fields;
pub(crate) mod fields;
pub mod list_reservations;
mod reservation_store;
pub mod reservation_view;
pub mod set_reservation_status;
pub mod settlement;
mod stock;
mod store;
pub mod ticket_type_fields;
pub mod update_event;
pub mod update_ticket_type;

use actix_web::web::{self, ServiceConfig};

/// Mounts the routes of organizers.
pub fn routes(cfg: &mut ServiceConfig) {
    let at = |path: &str| web::resource(format!("/admin{path}"));
    cfg.service(at("/events").post(create_event::create_event))
        .service(at("/events/{event_id}").put(update_event::update_event).delete(delete_event::delete_event))
        .service(at("/events/{event_id}/cancel").post(cancel_event::cancel_event))
        .service(at("/events/{event_id}/tickets").post(create_ticket_type::create_ticket_type))
        .service(at("/tickets/{ticket_type_id}").put(update_ticket_type::update_ticket_type))
        .service(at("/reservations").get(list_reservations::list_reservations))
        .service(at("/reservations/{reservation_id}/status").patch(set_reservation_status::set_reservation_status))
        .service(at("/dashboard/stats").get(dashboard::show_dashboard));
}
