//! Live feedback: what a speaker is told during a session.
//!
//! A session's owner sends samples of what their device hears and gets cues back. The rules are the domain's; this folder
//! keeps what they need: the person's settings, a small state, the running totals and the cues that were given. All of
//! it is read and written by whoever holds the session's row, so requests of one session are judged one after the
//! other, by whichever replica, and two of them never lead to two cues where one is due. No sample is kept, and nothing
//! of what was said.

pub mod export;
pub mod history;
pub mod sample;
pub mod settings;
pub mod store;
pub mod summary;

use actix_web::web::{self, JsonConfig, ServiceConfig};
use chassis::{context, edge::json_refused};
use domain::{
    feedback::{Rule, Signal},
    time::Instant,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Largest batch of samples: a hundred with what was said in each; the gateway lets as much through.
const BODY_LIMIT: usize = 256 * 1024;

/// Mounts the routes of feedback.
pub fn routes(cfg: &mut ServiceConfig) {
    let body = JsonConfig::default().limit(BODY_LIMIT).error_handler(|error, _req| json_refused(error).into());
    cfg.service(web::resource("/api/v1/sessions/{id}/feedback/settings").get(settings::show).put(settings::change))
        .service(web::resource("/api/v1/sessions/{id}/feedback").app_data(body).post(sample::judge).get(history::list));
}

/// Something a speaker is told.
#[derive(Debug, Serialize, ToSchema)]
pub struct CueView {
    /// The cue.
    pub id: Uuid,
    /// The rule that was broken.
    #[schema(value_type = Rule)]
    pub rule: String,
    /// The haptic pattern; each of what can be told has its own.
    pub pattern: String,
    /// How strongly it is felt, 1-10.
    #[schema(minimum = 1, maximum = 10)]
    pub intensity: i16,
    /// What to do, in the request's language.
    pub message: &'static str,
    /// The instant of the sample that led to it.
    pub timestamp: Instant,
}

impl From<store::Cue> for CueView {
    fn from(cue: store::Cue) -> Self {
        // A pattern that this version does not know speaks for itself.
        let message =
            Signal::of_pattern(&cue.pattern).map_or("", |signal| signal.message().in_locale(context::locale()));
        Self {
            id: cue.id,
            rule: cue.rule,
            pattern: cue.pattern,
            intensity: cue.intensity,
            message,
            timestamp: cue.at.into(),
        }
    }
}
