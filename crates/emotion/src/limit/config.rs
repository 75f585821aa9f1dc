//! How much of the companion one person may have, and how much one process gives.

use chassis::config::Faults;
use clap::Args;

/// The limits, all of them per person but the last.
#[derive(Args, Clone, Copy, Debug)]
pub struct LimitConfig {
    /// Sockets that a person may have open at once, on all replicas together.
    #[arg(long, env = "EMOTION_SOCKETS_PER_USER", default_value_t = 5)]
    pub sockets_per_user: u32,
    /// Replies that may be written to a person at once, on all replicas together.
    #[arg(long, env = "EMOTION_REPLIES_PER_USER", default_value_t = 3)]
    pub replies_per_user: i64,
    /// Messages that a person may send in a minute.
    #[arg(long, env = "EMOTION_MESSAGES_PER_MINUTE", default_value_t = 20)]
    pub messages_per_minute: u32,
    /// Tokens of a model that a person may use on a day (UTC), prompts included.
    #[arg(long, env = "EMOTION_TOKENS_PER_DAY", default_value_t = 200_000)]
    pub tokens_per_day: i64,
    /// Replies that this process writes at once.
    #[arg(long, env = "EMOTION_REPLIES_PER_INSTANCE", default_value_t = 1_000)]
    pub replies_per_instance: usize,
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self {
            sockets_per_user: 5,
            replies_per_user: 3,
            messages_per_minute: 20,
            tokens_per_day: 200_000,
            replies_per_instance: 1_000,
        }
    }
}

impl LimitConfig {
    /// Refuses a limit that would let nobody in.
    pub fn validate(&self, faults: &mut Faults) {
        let limits = [
            ("EMOTION_SOCKETS_PER_USER", self.sockets_per_user > 0),
            ("EMOTION_REPLIES_PER_USER", self.replies_per_user > 0),
            ("EMOTION_MESSAGES_PER_MINUTE", self.messages_per_minute > 0),
            ("EMOTION_TOKENS_PER_DAY", self.tokens_per_day > 0),
            // More permits than a semaphore has.
            ("EMOTION_REPLIES_PER_INSTANCE", (1..=1_000_000).contains(&self.replies_per_instance)),
        ];
        for (key, _) in limits.into_iter().filter(|(_, is_sound)| !is_sound) {
            faults.add(key, "must be at least 1, and within reason");
        }
    }
}
