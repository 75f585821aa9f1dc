//! What the tests of every crate stand on.
//!
//! Each test gets a database of its own, cloned from a template that is migrated once, a Redis prefix of its own, a
//! clock that moves when it is told to, and services on port 0 in its own process. So tests run in parallel and in any
//! order. PostgreSQL, Redis and object storage are real; `make test` starts them and says where they are.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot be set up stops here, with the reason")]

pub mod app;
pub mod cargo;
pub mod child;
pub mod client;
pub mod database;
pub mod events;
pub mod fault_proxy;
pub mod keys;
pub mod npm;
pub mod npm_oidc;
pub mod oidc;
pub mod openai;
mod outside;
pub mod schema;
pub mod settings;
pub mod smtp;
pub mod socket;
pub mod socket_io;
pub mod stage;
pub mod storm;
pub mod toss;

use std::time::Duration;

pub use app::TestApp;
pub use child::Child;
pub use client::{Answer, TestClient, http_client};
pub use events::EventStream;
pub use keys::KeyRing;
pub use settings::{S3Settings, s3};
pub use socket::Socket;
pub use socket_io::SocketIo;
pub use stage::Stage;

/// How often [`eventually`] looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits until `holds` is true, looking often; fails the test after `limit`.
///
/// For what becomes true by itself (a notice that travels, a loop that comes round), in place of a guess at how long
/// that takes.
///
/// # Panics
/// When it did not become true in time.
pub async fn eventually<F, Fut>(limit: Duration, holds: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = bool>,
{
    let until = tokio::time::Instant::now() + limit;
    loop {
        // Before it is looked at: a look that was held up until too late is not the last one.
        let is_late = tokio::time::Instant::now() >= until;
        if holds().await {
            return;
        }
        assert!(!is_late, "did not become true within {limit:?}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
