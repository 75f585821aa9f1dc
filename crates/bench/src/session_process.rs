//! A release session service on the running platform's database, with a key of the scenario's own: its callers reach it
//! without a gateway in between.

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::{
    platform::Platform,
    probe::Probe,
    process::{Processes, built, clean_command, free_port},
    report::target_directory,
    token::{self, InternalKey},
    trouble::Trouble,
};

/// A running session service and somebody it knows.
pub(crate) struct SessionService {
    pub(crate) pid: u32,
    pub(crate) url: String,
    /// Its database.
    pub(crate) database_url: String,
    key: InternalKey,
    http: Client,
}

impl SessionService {
    /// Starts the service and waits until it is ready.
    pub(crate) async fn start(platform: &Platform, processes: &Processes) -> Result<Self, Trouble> {
        let program = target_directory().join("release/maru-session");
        built(&program, "session")?;
        let database_url = platform.database_urls.get("session").cloned();
        let database_url = database_url.ok_or_else(|| Trouble::Missing("the platform has no sessions".to_owned()))?;
        let (key, port) = (InternalKey::generate()?, free_port()?);
        let mut command = clean_command(program);
        command.arg("serve").envs([
            ("MARU_ENV", "development".to_owned()),
            ("HOST", "127.0.0.1".to_owned()),
            ("PORT", port.to_string()),
            ("DATABASE_URL", database_url.clone()),
            ("REDIS_URL", platform.redis_url.clone()),
            ("INTERNAL_PUBLIC_KEYS", key.public_keys().to_owned()),
            ("INTERNAL_SIGNING_KEY", token::signing_key()?),
            ("PARTICIPANT_SECRET", token::JWT_SECRET.to_owned()),
            // No access lines: the database it is put beside writes none either.
            ("LOG_LEVEL", "warn".to_owned()),
            ("DRAIN_DELAY_MS", "0".to_owned()),
            ("SHUTDOWN_TIMEOUT_SECONDS", "2".to_owned()),
        ]);
        let pid = processes.start("session", &mut command)?;
        let url = format!("http://127.0.0.1:{port}");
        Probe::new()?.ready(processes, ("session", pid), &format!("{url}/readyz")).await?;
        let http = Client::builder().no_proxy().timeout(std::time::Duration::from_secs(20)).build();
        let http = http.map_err(|fault| Trouble::Broken(format!("no HTTP client: {fault}")))?;
        Ok(Self { pid, url, database_url, key, http })
    }

    /// Returns a token of the person who is known, good for a minute.
    pub(crate) fn token(&self) -> Result<String, Trouble> {
        self.key.token("session")
    }

    /// Makes a session with a timer of an hour; returns its id.
    pub(crate) async fn make_session(&self) -> Result<String, Trouble> {
        let token = self.token()?;
        let made = self.send(&token, "/api/v1/sessions", &json!({ "title": "maru-bench" })).await?;
        let made: Value = made.json().await.map_err(|fault| broken(&fault))?;
        let id = made.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let setup = format!("/api/v1/sessions/{id}/timer/setup");
        self.send(&token, &setup, &json!({ "duration_minutes": 60 })).await?;
        Ok(id)
    }

    /// Sends one POST, which must succeed.
    pub(crate) async fn send(&self, token: &str, path: &str, body: &Value) -> Result<reqwest::Response, Trouble> {
        let request = self.http.request(Method::POST, format!("{}{path}", self.url)).bearer_auth(token).json(body);
        request.send().await.and_then(reqwest::Response::error_for_status).map_err(|fault| broken(&fault))
    }

    /// Returns the id of the person who is known.
    pub(crate) const fn person() -> &'static str {
        token::PERSON
    }
}

fn broken(fault: &reqwest::Error) -> Trouble {
    Trouble::Broken(format!("the session service: {fault}"))
}
