//! A service's real binary as a process of its own, to be killed and measured.

use std::{
    net::TcpListener,
    process::{Child as Process, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};

use crate::{Stage, client::http_client, eventually};

/// Ports to try, outside those the system gives to clients.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// Longest to wait until it serves; a debug build on a busy machine takes seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running service; it is killed when this is dropped.
pub struct Child {
    process: Process,
    port: u16,
}

impl Child {
    /// Starts a binary (`env!("CARGO_BIN_EXE_maru-..")`) on a test's parts, with more settings, and waits until it
    /// serves.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn serve(program: &str, stage: &Stage, database_url: &SecretString, more: &[(&str, &str)]) -> Self {
        let (base, signing, port) = (stage.base_config(), stage.signing_config(), free_port());
        let process = Command::new(program)
            .arg("serve")
            .env_clear()
            .env("MARU_ENV", "development")
            .env("LOG_LEVEL", "error")
            .env("HOST", "127.0.0.1")
            .env("PORT", port.to_string())
            .env("HTTP_WORKERS", "1")
            .env("DATABASE_URL", database_url.expose_secret())
            .env("REDIS_URL", base.redis.redis_url.expose_secret())
            .env("REDIS_PREFIX", &base.redis.redis_prefix)
            .env("INTERNAL_PUBLIC_KEYS", &base.trust.internal_public_keys)
            .env("INTERNAL_SIGNING_KEY", signing.internal_signing_key.expose_secret())
            .envs(more.iter().copied())
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let started = Self { process, port };
        let (http, url) = (http_client(), started.url("/livez"));
        eventually(PATIENCE, || async { http.get(&url).send().await.is_ok_and(|answer| answer.status() == 200) }).await;
        started
    }

    /// Returns its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns where a path of it is.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Ends it with SIGKILL, in the middle of whatever it does.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn kill(mut self) {
        self.process.kill().expect("the process can be killed");
        self.process.wait().expect("the process has ended");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have been killed already.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Finds a port nobody listens on, beginning somewhere that depends on this process: tests run at the same time.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = PORTS.end - PORTS.start;
    let first = u16::try_from(std::process::id().wrapping_mul(37) % u32::from(spread)).unwrap_or_default();
    let mut ports =
        (0..spread).map(|_| PORTS.start + first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % spread);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}
