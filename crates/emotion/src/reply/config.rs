//! How long a reply goes on that nobody looks at.

use std::time::Duration;

use clap::Args;

/// The life of a reply.
#[derive(Args, Clone, Copy, Debug)]
pub struct ReplyConfig {
    /// How long a reply goes on when nobody looks at it, milliseconds: time to come back after a lost connection.
    #[arg(long, env = "EMOTION_REPLY_GRACE_MS", default_value_t = 30_000)]
    pub reply_grace_ms: u64,
}

impl Default for ReplyConfig {
    fn default() -> Self {
        Self { reply_grace_ms: 30_000 }
    }
}

impl ReplyConfig {
    /// Returns the grace.
    pub const fn grace(&self) -> Duration {
        Duration::from_millis(self.reply_grace_ms)
    }
}
