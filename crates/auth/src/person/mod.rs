//! All that a person has here: to take along, or to be erased.
//!
//! Each service answers for its own. This one asks them all over internal HTTP: once and at once for an export, again and
//! again for an erasure, until each has said that nothing is left.

pub mod erase;
pub mod export;
pub mod receipt;
pub mod store;
pub mod work;

use actix_web::web::{self, ServiceConfig};

/// Mounts the routes; `DELETE /user/me` is mounted with the account.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/user/me/export").get(export::export))
        .service(web::resource("/auth/erasures/{receipt_id}").get(receipt::receipt));
}
