//! Events as everybody may see them. An event's status is never stored: it follows from the database's clock and from
//! what is left, so it is right at every instant without anything that would have to run. What many ask for is kept for
//! less than a second, and read again as soon as somebody tells that it has changed.

mod cache;
pub mod catalogue;
pub mod holder;
pub mod list;
pub mod page;
pub mod show;
pub mod store;
pub mod watch;
pub mod words;

use actix_web::web::{self, ServiceConfig};

/// Mounts the routes of events.
pub fn routes(cfg: &mut ServiceConfig) {
    let all = ["/events", "/events/"];
    cfg.service(web::resource(all).get(list::list_events))
        .service(web::resource("/events/{event_id}").get(show::show_event));
}

/// Mounts what other services ask about events.
pub fn internal_routes(cfg: &mut ServiceConfig) {
    let holder = "/internal/events/{event_id}/ticket-holders/{user_id}";
    cfg.service(web::resource(holder).get(holder::show_holder));
}
