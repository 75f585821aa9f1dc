//! What can be set about waiting rooms.

use std::time::Duration;

use chassis::config::{Faults, parse_duration};
use clap::Args;

/// Shortest that a place is kept for somebody who is not heard of: those who are heard of are only reported to Redis every
/// twenty seconds, and sockets every thirty.
const SHORTEST_TTL: Duration = Duration::from_mins(1);
/// Longest that a place is kept for somebody who is not heard of.
const LONGEST_TTL: Duration = Duration::from_hours(1);

/// Every key of the waiting room.
#[derive(Args, Clone, Debug)]
pub struct QueueConfig {
    /// How often this replica lets people in, or looks how the line stands, milliseconds.
    #[arg(long, env = "QUEUE_TICK_MS", default_value_t = 250)]
    pub queue_tick_ms: u64,
    /// How long a place in line or inside is kept for somebody who is not heard of: `300`, `90s`, `5m`.
    #[arg(long, env = "QUEUE_TTL", default_value = "300", value_parser = parse_duration)]
    pub queue_ttl: Duration,
    /// How long somebody who was let in may take to notice.
    #[arg(long, env = "QUEUE_CLAIM_TTL", default_value = "60", value_parser = parse_duration)]
    pub queue_claim_ttl: Duration,
    /// How long people may take to bring their places back after Redis lost them; nobody is let in meanwhile.
    #[arg(long, env = "QUEUE_RECOVERY", default_value = "15", value_parser = parse_duration)]
    pub queue_recovery: Duration,
}

impl QueueConfig {
    /// Checks the times.
    pub fn validate(&self, faults: &mut Faults) {
        if !(10..=1_000).contains(&self.queue_tick_ms) {
            faults.add("QUEUE_TICK_MS", "must be between 10 and 1000");
        }
        if self.queue_ttl < SHORTEST_TTL || self.queue_ttl > LONGEST_TTL {
            faults.add("QUEUE_TTL", "must be between 1m and 1h");
        }
        if self.queue_claim_ttl.is_zero() || self.queue_claim_ttl > self.queue_ttl {
            faults.add("QUEUE_CLAIM_TTL", "must be between 1s and QUEUE_TTL");
        }
        if self.queue_recovery > self.queue_ttl {
            faults.add("QUEUE_RECOVERY", "must not be longer than QUEUE_TTL");
        }
    }
}
