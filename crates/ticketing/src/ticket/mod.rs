//! Ticket types: what is sold by quantity. What is held and what is sold together never exceed the stock; the table's
//! own check says so.

pub mod availability;
pub mod list;
pub mod store;

use actix_web::web::{self, ServiceConfig};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Mounts the routes of ticket types.
pub fn routes(cfg: &mut ServiceConfig) {
    let availability = "/tickets/availability/{ticket_type_id}";
    cfg.service(web::resource("/tickets/event/{event_id}").get(list::list_ticket_types))
        .service(web::resource(availability).get(availability::show_availability));
}

/// One kind of ticket.
#[derive(Debug, Serialize, ToSchema)]
pub struct TicketTypeView {
    id: Uuid,
    name: String,
    /// KRW.
    price: i64,
    /// Neither sold nor held.
    available_quantity: i32,
    total_quantity: i32,
    description: Option<String>,
}

impl From<store::TicketType> for TicketTypeView {
    fn from(ticket_type: store::TicketType) -> Self {
        Self {
            available_quantity: ticket_type.available(),
            id: ticket_type.id,
            name: ticket_type.name,
            price: ticket_type.price,
            total_quantity: ticket_type.total_quantity,
            description: ticket_type.description,
        }
    }
}
