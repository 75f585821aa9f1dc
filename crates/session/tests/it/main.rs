//! `maru-session` over real HTTP, with a database of its own in every test.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod bodies;
mod child;
mod codes;
mod faults;
mod feedback;
mod feedback_history;
mod feedback_settings;
mod focus;
mod focus_asked;
mod focus_current;
mod focus_days;
mod focus_storm;
mod focus_watch;
mod lists;
mod person;
mod schema;
mod seed;
mod sessions;
mod streams;
mod timers;

use domain::principal::Service;
use serde_json::{Value, json};
use session::config::SessionConfig;
use testkit::{Stage, TestApp, TestClient};

/// The collection.
pub const SESSIONS: &str = "/api/v1/sessions";

/// Sets the stage and serves `maru-session` on it.
pub async fn start() -> (Stage, TestApp) {
    let stage = Stage::new(Service::Session, session::app::MIGRATIONS).await;
    let app = stage.serve(session::build(config(&stage), stage.clock.clone()).unwrap());
    (stage, app)
}

/// The configuration of a test's `maru-session`.
pub fn config(stage: &Stage) -> SessionConfig {
    SessionConfig { base: stage.base_config(), port: 0, public_base_url: "http://localhost:8080".to_owned() }
}

/// A request for a session.
pub fn talk(title: &str) -> Value {
    json!({ "title": title })
}

/// Makes a session and returns its path.
pub async fn make(client: &TestClient) -> String {
    let made = client.post(SESSIONS, talk("마루 발표")).await.assert_status(201);
    format!("{SESSIONS}/{}", made.text("/id"))
}
