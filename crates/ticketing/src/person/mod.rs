//! What the auth service asks about a person: all that is kept of them, and its end.
//!
//! Orders must be kept for the accounts, so they are not deleted. What is still pending is let go of at once; of the
//! rest everything stays but the person: each order gets a random id of its own (UUID v4, while accounts have v7, so it
//! is nobody's) in place of theirs. One id for all orders of a person would still tell that somebody went to these five
//! concerts, which is often enough to say who; and one id for everybody would be a buyer with more orders than any
//! limit allows. Events that people have ordered from, or can, stay up and have no organizer any more (the nil UUID);
//! the others go with their seats. Whoever is not the auth service finds no such routes, and no document names them.

mod belongings;
pub mod erase;
pub mod export;
mod exported;
mod ordered;
mod organized;

use actix_web::web::{self, ServiceConfig};

/// Mounts the routes of a person.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/internal/users/{id}").delete(erase::erase))
        .service(web::resource("/internal/users/{id}/export").get(export::export));
}
