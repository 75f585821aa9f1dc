//! `maru-session` over real HTTP, with a database of its own in every test.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod audience;
mod bodies;
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
mod joining;
mod leaving;
mod lifecycle;
mod lists;
mod person;
mod presenters;
mod qr;
mod schema;
mod scripted;
mod seed;
mod sessions;
mod streams;
mod ticketed;
mod timers;
mod updates;
mod viewers;

use chassis::peers::Urls;
use domain::principal::Service;
use secrecy::SecretString;
use serde_json::{Value, json};
use session::config::{ParticipantConfig, ServicesConfig, SessionConfig};
use testkit::{Answer, Stage, TestApp, TestClient};

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
    SessionConfig {
        base: stage.base_config(),
        port: 0,
        public_base_url: "http://localhost:8080".to_owned(),
        participants: ParticipantConfig {
            participant_secret: SecretString::from("s".repeat(48)),
            participant_secret_previous: None,
        },
        signing: stage.signing_config(),
        services: ServicesConfig { auth_urls: nowhere(), ticketing_urls: nowhere() },
    }
}

/// A port of loopback where nothing listens.
pub fn nowhere() -> Urls {
    Urls(vec!["http://127.0.0.1:1".parse().unwrap()])
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

/// Makes a session that people may join; returns its path and its code.
pub async fn open(client: &TestClient) -> (String, String) {
    let path = make(client).await;
    let active = client.post(&format!("{path}/activate"), json!({})).await.assert_status(200);
    (path, active.text("/session_code").to_owned())
}

/// Joins a session.
pub async fn join(client: &TestClient, code: &str, name: &str) -> Answer {
    client.post(&format!("{SESSIONS}/code/{code}/join"), json!({ "display_name": name })).await
}
