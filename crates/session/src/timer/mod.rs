//! The timer of a session: set up, started, paused, resumed, reset, read, and its alerts announced.
//!
//! The rules are the domain's; this folder gives them the database's clock and keeps their outcome. Every change is one
//! UPDATE that names the version it was decided on: of two hands at once one decides, and the other decides again on
//! what the first has left, or is refused when it said which version it meant. Reading writes nothing, and neither does a
//! second that passes: planned alerts are taken out and told when they are due.

pub mod announce;
pub mod control;
pub mod precondition;
mod replace;
pub mod setup;
pub mod status;
pub mod store;

use actix_web::{
    HttpResponse,
    http::header,
    web::{self, ServiceConfig},
};
use chrono::{DateTime, Utc};
use domain::{
    ids::SessionId,
    timer::{Reading, Timer},
};
use serde::Serialize;
use utoipa::ToSchema;

/// Mounts the routes of timers.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/api/v1/sessions/{id}/timer").get(status::status))
        .service(web::resource("/api/v1/sessions/{id}/timer/setup").post(setup::setup))
        .service(web::resource("/api/v1/sessions/{id}/timer/start").post(control::start))
        .service(web::resource("/api/v1/sessions/{id}/timer/pause").post(control::pause))
        .service(web::resource("/api/v1/sessions/{id}/timer/resume").post(control::resume))
        .service(web::resource("/api/v1/sessions/{id}/timer/reset").post(control::reset));
}

/// A session's timer at one instant of the database's clock.
#[derive(Debug, Serialize, ToSchema)]
pub struct TimerView {
    /// The session.
    pub session_id: SessionId,
    /// What it shows.
    #[serde(flatten)]
    pub reading: Reading,
}

impl TimerView {
    /// Reads a timer.
    pub fn new(session_id: SessionId, timer: &Timer, now: DateTime<Utc>) -> Self {
        Self { session_id, reading: timer.view(now) }
    }
}

impl From<TimerView> for HttpResponse {
    fn from(view: TimerView) -> Self {
        Self::Ok()
            .insert_header((header::ETAG, format!("\"{}\"", view.reading.version)))
            // The version says who changed it last, not what time it is.
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .json(view)
    }
}
