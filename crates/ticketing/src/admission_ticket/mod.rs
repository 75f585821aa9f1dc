//! Tickets: what people come in with.
//!
//! A confirmed reservation has one for each seat and one for each of what it bought by quantity, and a ticket opens the
//! door once, for as long as its reservation is confirmed. It is shown as a QR code that nobody else can make.

pub mod check_in;
pub mod code;
pub mod config;
pub mod list;
pub mod store;

use actix_web::web::{self, ServiceConfig};

/// Mounts the routes.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/reservations/{reservation_id}/tickets").get(list::list_tickets))
        .service(web::resource("/admin/checkin").post(check_in::check_in));
}
