//! Logins: what a logout ends.
//!
//! A login is one row. Its access tokens count while that row is not revoked, and its refresh token is exchanged by one
//! conditional UPDATE of it. The row is the truth, and the gateways' memory of revoked logins follows it through the
//! outbox within a second.

pub mod begin;
pub mod cookies;
pub mod end;
pub mod keys;
pub mod list;
#[expect(clippy::module_inception, reason = "the file is named after its endpoint, like every other")]
pub mod login;
pub mod logout;
pub mod new_login;
pub mod refresh;
pub mod refresh_token;
pub mod revocations;
pub mod revoke;
pub mod seen;
pub mod store;
pub mod ticket;
pub mod verify;

use actix_web::web::{self, ServiceConfig};

use crate::routes::ALIASES;

/// Mounts the routes of logins.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/login").post(login::login))
        .service(web::resource("/auth/logout").post(logout::logout))
        .service(web::resource("/auth/refresh").post(refresh::refresh))
        .service(web::resource("/auth/sessions").get(list::list).delete(revoke::revoke_others))
        .service(web::resource("/auth/sessions/{sid}").delete(revoke::revoke))
        .service(web::resource("/auth/ws-ticket").post(ticket::give))
        .service(web::resource("/.well-known/jwks.json").get(keys::jwks))
        .service(web::resource("/internal/revocations").get(revocations::revocations))
        .service(web::resource("/internal/logins/seen").post(seen::seen))
        .service(web::resource("/internal/ws-tickets/redeem").post(ticket::redeem))
        .service(web::resource("/internal/tokens/verify").post(verify::verify));
    for prefix in ALIASES {
        cfg.service(web::resource(format!("{prefix}/login")).post(login::login))
            .service(web::resource(format!("{prefix}/logout")).post(logout::logout))
            .service(web::resource(format!("{prefix}/refresh")).post(refresh::refresh));
    }
}
