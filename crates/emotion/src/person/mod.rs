//! What the auth service asks about a person: all that is kept of them, and its end.
//!
//! Conversations belong to one person and steps to their conversation, so an erasure leaves nothing: neither rows nor
//! the notes of conversations in which nothing was said. A reply that is being written meanwhile finds no step to be
//! kept in, and ends. Whoever is not the auth service finds no such routes, and no document names them.

pub mod erase;
pub mod export;
pub mod store;

use actix_web::web::{self, ServiceConfig};

/// Mounts the routes of a person.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/internal/users/{id}").delete(erase::erase))
        .service(web::resource("/internal/users/{id}/export").get(export::export));
}
