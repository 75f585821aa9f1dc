//! Every route of `maru-session`, and its API document.

use actix_web::web::ServiceConfig;

use crate::{feedback, focus, participants, person, qr, sessions, stream, timer};

/// Mounts all routes.
pub fn configure(cfg: &mut ServiceConfig) {
    cfg.configure(sessions::routes)
        .configure(participants::routes)
        .configure(qr::routes)
        .configure(timer::routes)
        .configure(feedback::routes)
        .configure(stream::routes)
        .configure(focus::routes)
        .configure(person::routes);
}

/// The API document.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Maru session", description = "Sessions, the presentation timer and focus sessions"),
    paths(
        sessions::create::create,
        sessions::list::list,
        sessions::show::show,
        sessions::update::update,
        sessions::delete::delete,
        sessions::lifecycle::activate,
        sessions::lifecycle::deactivate,
        sessions::lifecycle::end,
        sessions::summary::summarise,
        qr::png::png,
        qr::svg::svg,
        participants::lookup::lookup,
        participants::join::join,
        participants::list::list,
        participants::leave::leave,
        participants::ticket::give,
        timer::setup::setup,
        timer::status::status,
        timer::control::start,
        timer::control::pause,
        timer::control::resume,
        timer::control::reset,
        feedback::settings::show,
        feedback::settings::change,
        feedback::sample::judge,
        feedback::history::list,
        stream::socket::open,
        stream::sse::open,
        focus::create::create,
        focus::list::list,
        focus::current::current,
        focus::stats::stats,
        focus::show::show,
        focus::update::update,
        focus::delete::delete,
        focus::status::status,
    ),
    components(schemas(stream::frame::Frame<'_>, stream::frame::AlertView, stream::socket::ViewerFrame)),
    tags(
        (name = "sessions", description = "Conversations and talks"),
        (name = "participants", description = "Who comes in by a session's code"),
        (name = "timers", description = "How much of a talk has passed, by one clock for everybody"),
        (name = "feedback", description = "What a speaker is told while speaking"),
        (name = "streams", description = "What is told to those who watch a session, as it happens"),
        (name = "focus", description = "Minutes that somebody wants to spend on one thing")
    )
)]
pub struct Api;
