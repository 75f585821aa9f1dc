//! Every route of `maru-session`, and its API document.

use actix_web::web::ServiceConfig;

use crate::{person, sessions, timer};

/// Mounts all routes.
pub fn configure(cfg: &mut ServiceConfig) {
    cfg.configure(sessions::routes).configure(timer::routes).configure(person::routes);
}

/// The API document.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Maru session", description = "Sessions and the presentation timer"),
    paths(
        sessions::create::create,
        sessions::list::list,
        sessions::show::show,
        timer::setup::setup,
        timer::status::status,
        timer::control::start,
        timer::control::pause,
        timer::control::resume,
        timer::control::reset,
    ),
    tags(
        (name = "sessions", description = "Conversations and talks"),
        (name = "timers", description = "How much of a talk has passed, by one clock for everybody")
    )
)]
pub struct Api;
