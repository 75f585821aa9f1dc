//! Every route of `maru-auth`, and its API document.

use actix_web::web::{self, ServiceConfig};

use crate::{account, google, login, mail, password, person};

/// Under which prefixes the account routes answer: the documents' own, and those of Tiketi's and HaptiTalk's clients.
pub(crate) const ALIASES: [&str; 2] = ["/api/v1/auth", "/api/auth"];

/// Mounts all routes.
pub fn configure(cfg: &mut ServiceConfig) {
    cfg.configure(account::routes)
        .configure(login::routes)
        .configure(password::routes)
        .configure(person::routes)
        .configure(google::routes)
        .service(web::resource("/auth/verify-email").post(mail::verify::verify_email));
}

/// The API document.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Maru auth", description = "Accounts and logins"),
    paths(
        account::register::register,
        account::me::me,
        account::update::update,
        person::erase::erase,
        person::export::export,
        person::receipt::receipt,
        password::change::change_password,
        password::reset::password_reset,
        password::reset::confirm,
        mail::verify::verify_email,
        login::login::login,
        login::refresh::refresh,
        login::logout::logout,
        login::list::list,
        login::revoke::revoke,
        login::revoke::revoke_others,
        login::ticket::give,
        login::keys::jwks,
        google::begin::begin,
        google::callback::callback,
    ),
    tags((name = "accounts", description = "Who somebody is"), (name = "logins", description = "Whether their tokens count"))
)]
pub struct Api;
