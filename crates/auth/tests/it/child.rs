//! The real binary as a process of its own, to be killed and measured.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use chassis::clock::Clock;
use domain::principal::Service;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use testkit::{Stage, eventually};

use crate::SECRET;

/// Ports to try, outside those the system gives to clients.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A running `maru-auth serve`; it is killed when this is dropped.
pub(crate) struct ChildProcess {
    child: Child,
    port: u16,
    stage_signer: chassis::token::Signer,
    http: reqwest::Client,
}

impl ChildProcess {
    /// Starts the binary on this test's parts, with more settings, and waits until it serves.
    pub(crate) async fn serve(stage: &Stage, database_url: &SecretString, more: &[(&str, &str)]) -> Self {
        let base = stage.base_config();
        let port = free_port();
        let child = Command::new(env!("CARGO_BIN_EXE_maru-auth"))
            .arg("serve")
            .env_clear()
            .env("MARU_ENV", "development")
            .env("LOG_LEVEL", "error")
            .env("HOST", "127.0.0.1")
            .env("PORT", port.to_string())
            .env("HTTP_WORKERS", "2")
            .env("RATE_LIMITS", "generous")
            .env("JWT_SECRET", SECRET)
            .env("DATABASE_URL", database_url.expose_secret())
            .env("REDIS_URL", base.redis.redis_url.expose_secret())
            .env("REDIS_PREFIX", &base.redis.redis_prefix)
            .env("INTERNAL_PUBLIC_KEYS", &base.trust.internal_public_keys)
            .env("INTERNAL_SIGNING_KEY", stage.signing_config().internal_signing_key.expose_secret())
            .envs(more.iter().copied())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let http = chassis::client::http_client().unwrap();
        let started = Self { child, port, stage_signer: stage.signer(), http };
        eventually(Duration::from_secs(20), || async {
            let asked = started.http.get(started.url("/livez")).send().await;
            asked.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
        started
    }

    /// Returns its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Returns the token the gateway shows for somebody who is not signed in.
    pub(crate) fn token(&self) -> String {
        self.stage_signer.mint(Service::Auth, None, Clock::system().now()).unwrap()
    }

    /// Begins a `POST` of somebody who is not signed in.
    pub(crate) fn post(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.http.post(self.url(path)).bearer_auth(self.token()).json(body)
    }

    /// Begins a `GET` of the same.
    pub(crate) fn get(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(self.url(path)).bearer_auth(self.token())
    }

    /// Ends it with SIGKILL, in the middle of whatever it does.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // It may have been killed already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Finds a port nobody listens on, beginning somewhere that depends on this process: tests run at the same time.
fn free_port() -> u16 {
    let spread = u32::from(PORTS.end - PORTS.start);
    let start = PORTS.start + u16::try_from(std::process::id().wrapping_mul(37) % spread).unwrap();
    let free =
        (start..PORTS.end).chain(PORTS.start..start).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.unwrap()
}
