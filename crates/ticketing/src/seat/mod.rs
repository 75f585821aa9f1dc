//! Numbered seats: the map of a hall, holding seats for five minutes, and letting go of them.
//!
//! All seats of a choice or none, one owner each, and a hold that ends by the database's clock even when no sweeper is
//! alive. One guarded statement decides every race; nothing is looked up first and relied on afterwards. Rows are
//! locked in one order everywhere: the buyer's count, reservations, seats, each by id.

pub mod batch;
pub mod best;
pub mod expiry;
pub mod hold;
pub mod layout;
pub mod map;
pub mod nearest;
mod rehearsal;
pub mod reservation;
pub mod reserve;
pub mod shed;
pub mod store;

use actix_web::web::{self, ServiceConfig};

/// Mounts the routes of seats.
pub fn routes(cfg: &mut ServiceConfig) {
    let reservation = "/seats/reservation/{reservation_id}";
    cfg.service(web::resource("/seats/events/{event_id}").get(map::show_seats))
        .service(web::resource("/seats/reserve").post(reserve::reserve_seats))
        .service(web::resource("/seats/best").post(best::reserve_best))
        .service(web::resource(reservation).get(reservation::show_reservation));
}
