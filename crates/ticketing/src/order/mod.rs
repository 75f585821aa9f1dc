//! Reservations: tickets by type and number, what a person has reserved, and giving it back.
//!
//! A reservation holds its tickets for five minutes; what was held longer counts as free, whether or not anything has
//! cleaned up. Stock, the buyer's count and the reservation change in one statement of the database, which also decides
//! every race, so that nothing is sold twice and nothing is lost between two lines. A request that is sent twice under
//! one key reserves once.

pub mod batch;
pub mod cancel;
pub mod lane;
pub mod list;
pub mod place;
pub(crate) mod rehearsal;
pub mod settle;
pub mod show;
pub mod store;
pub mod verdict;
pub mod view;
pub mod waiting;

use actix_web::web::{self, ServiceConfig};

/// Mounts the routes of reservations.
pub fn routes(cfg: &mut ServiceConfig) {
    // Two resources: a list of patterns is searched for, one is compared.
    cfg.service(web::resource("/reservations").post(place::place_order))
        .service(web::resource("/reservations/").post(place::place_order))
        .service(web::resource("/reservations/my").get(list::list_own))
        .service(web::resource("/reservations/waiting-list").get(waiting::show).post(waiting::join))
        .service(web::resource("/reservations/waiting-list/{ticket_type_id}").delete(waiting::leave))
        .service(web::resource("/reservations/{reservation_id}").get(show::show_own))
        .service(web::resource("/reservations/{reservation_id}/cancel").post(cancel::cancel));
}
