//! The real binary as a process of its own, to be killed.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use secrecy::{ExposeSecret, SecretString};
use testkit::{Stage, eventually};

/// Ports to try, outside those the system gives to clients.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A running `maru-session serve`; it is killed when this is dropped.
pub(crate) struct ChildProcess {
    child: Child,
}

impl ChildProcess {
    /// Starts the binary on this test's parts and waits until it serves.
    pub(crate) async fn serve(stage: &Stage, database_url: &SecretString) -> Self {
        let base = stage.base_config();
        let config = crate::config(stage);
        let port = free_port();
        let child = Command::new(env!("CARGO_BIN_EXE_maru-session"))
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
            .env("INTERNAL_SIGNING_KEY", config.signing.internal_signing_key.expose_secret())
            .env("PARTICIPANT_SECRET", config.participants.participant_secret.expose_secret())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (started, http) = (Self { child }, chassis::client::http_client().unwrap());
        let url = format!("http://127.0.0.1:{port}/livez");
        eventually(Duration::from_secs(20), || async {
            http.get(&url).send().await.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
        started
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
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let spread = PORTS.end - PORTS.start;
    let first = u16::try_from(std::process::id().wrapping_mul(37) % u32::from(spread)).unwrap();
    let mut ports =
        (0..spread).map(|_| PORTS.start + first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % spread);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}
