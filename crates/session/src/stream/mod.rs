//! What is told to those who watch a session: over WebSockets and server-sent events, on any replica.
//!
//! Every change is an event with a number in the session's log, written in the transaction that makes it; numbers have no
//! gaps and become visible in their order, so that a viewer that comes back misses nothing. What the timer shows each
//! second is computed, once for all viewers of a replica, and written nowhere.

pub mod event;
pub mod frame;
pub mod room;
pub mod rooms;
pub mod socket;
pub mod sse;
pub mod store;
pub mod viewer;

use actix_web::web::{self, ServiceConfig};

/// Mounts the streams.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/ws/sessions/{id}").get(socket::open))
        .service(web::resource("/api/v1/sessions/{id}/stream").get(sse::open));
}
