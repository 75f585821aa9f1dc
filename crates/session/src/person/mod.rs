//! What the auth service asks about a person: all that is kept of them, and its end.
//!
//! A session belongs to one person, its timer and whoever came in to the session, so an export holds them as they are,
//! and an erasure leaves nothing; nor does it leave the person's place in anybody else's session. Whoever is not the auth service finds no such routes, and no document names them.

pub mod erase;
pub mod export;
pub mod store;

use actix_web::web::{self, ServiceConfig};

/// Mounts the routes of a person.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/internal/users/{id}").delete(erase::erase))
        .service(web::resource("/internal/users/{id}/export").get(export::export));
}
