//! What the auth service asks about a person: all that is kept of them, and its end.
//!
//! An erasure deletes a file's object before its row, so that it is not said to be finished while a byte is left. Only an
//! upload that was permitted earlier can still bring an object back; the database remembers where, as it does for every
//! file that is deleted, and a loop deletes what has come once nothing more can. Whoever is not the auth service finds no such routes,
//! and no document names them.

pub mod erase;
pub mod export;
pub mod store;

use actix_web::web::{self, ServiceConfig};

/// Mounts the routes of a person.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/internal/users/{id}").delete(erase::erase))
        .service(web::resource("/internal/users/{id}/export").get(export::export));
}
