//! Every route of `maru-auth`, and its API document.

use actix_web::web::ServiceConfig;

use crate::{account, login};

/// Under which prefixes the account routes answer: the documents' own, and those of Tiketi's and HaptiTalk's clients.
pub(crate) const ALIASES: [&str; 2] = ["/api/v1/auth", "/api/auth"];

/// Mounts all routes.
pub fn configure(cfg: &mut ServiceConfig) {
    cfg.configure(account::routes).configure(login::routes);
}

/// The API document.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Maru auth", description = "Accounts and logins"),
    paths(account::register::register, account::me::me, login::login::login, login::logout::logout, login::keys::jwks),
    tags((name = "accounts", description = "Who somebody is"), (name = "logins", description = "Whether their tokens count"))
)]
pub struct Api;
