//! Focus sessions: minutes that somebody wants to spend on one thing, of which a person has one at a time.
//!
//! The rules are the domain's; this folder gives them the database's clock and keeps their outcome. A running session
//! writes nothing until its time is over, and is completed then, once, within a second, by whichever replica is there
//! (`watch`); reading it shows it completed at that instant already. Its own clients' clocks, and the status they would
//! like it to begin with, are read and not believed. Requests of old clients may carry fields nobody knows any more;
//! those are left out.

pub mod agenda;
pub mod cache;
mod change;
pub mod complete;
pub mod create;
pub mod current;
pub mod delete;
pub mod internal;
pub mod list;
pub mod person;
pub mod show;
pub mod stats;
pub mod status;
pub mod store;
pub mod update;
pub mod watch;

use actix_web::{
    HttpResponse,
    http::header,
    web::{self, ServiceConfig},
};
pub use change::Effects;
use domain::contract::FocusSession;

/// The collection; its clients write it with and without the slash.
const COLLECTION: [&str; 2] = ["/session", "/session/"];

/// Mounts the routes of focus sessions.
pub fn routes(cfg: &mut ServiceConfig) {
    // The names come before the ids they would be taken for.
    cfg.service(web::resource(COLLECTION).post(create::create))
        .service(web::resource("/session/list").get(list::list))
        .service(web::resource("/session/current").get(current::current))
        .service(web::resource("/session/stats").get(stats::stats))
        .service(web::resource("/session/{id}").get(show::show).put(update::update).delete(delete::delete))
        .service(web::resource("/session/{id}/status").put(status::status))
        .service(web::resource("/internal/focus/by-day").get(internal::by_day))
        .service(web::resource("/internal/focus/{id}").get(internal::show));
}

/// Answers with a focus session, as of now and for nobody else.
fn shown(session: &FocusSession) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(session)
}
