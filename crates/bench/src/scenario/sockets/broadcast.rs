//! What it costs to tell a room, and how fast it can be told.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{audience::Audience, server::Server};
use crate::{cpu, figures::float, trouble::Trouble};

/// Notices of one batch when a server is told as fast as it tells on.
const BATCH: u64 = 16;
/// Batches that are on their way to it at the same time: it always has something to do, and nobody's queue is full.
const BATCHES: u64 = 2;

/// What was measured while a room was told.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Measured {
    /// Frames that reached a client.
    pub(super) delivered: u64,
    /// Frames that did not.
    pub(super) missing: u64,
    pub(super) seconds: f64,
    /// CPU time of the server's process.
    pub(super) cpu_seconds: f64,
}

impl Measured {
    /// Returns the CPU time of one delivery, microseconds.
    pub(super) fn cpu_micros(&self) -> f64 {
        if self.delivered == 0 { 0.0 } else { self.cpu_seconds * 1e6 / float(self.delivered) }
    }

    /// Returns deliveries in a second.
    pub(super) fn rate(&self) -> f64 {
        if self.seconds > 0.0 { float(self.delivered) / self.seconds } else { 0.0 }
    }

    /// Returns how many cores the server kept busy.
    pub(super) fn cores(&self) -> f64 {
        if self.seconds > 0.0 { self.cpu_seconds / self.seconds } else { 0.0 }
    }
}

/// Tells of `rate` seats each second, one at a time.
pub(super) async fn steady(
    server: &mut Server,
    audience: &mut Audience,
    rate: u32,
    duration: Duration,
) -> Result<Measured, Trouble> {
    let begun = Begun::new(server, audience);
    let mut every = interval(Duration::from_secs(1) / rate.max(1));
    every.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while begun.at.elapsed() < duration {
        every.tick().await;
        audience.tell(server, 1).await?;
    }
    Ok(begun.end(server, audience).await)
}

/// Tells as fast as it is told on.
pub(super) async fn flood(
    server: &mut Server,
    audience: &mut Audience,
    duration: Duration,
) -> Result<Measured, Trouble> {
    let begun = Begun::new(server, audience);
    let on_the_way = BATCH * (BATCHES - 1) * super::server::TOLD_AS * audience.clients();
    while begun.at.elapsed() < duration {
        audience.tell(server, BATCH).await?;
        if audience.settle(on_the_way).await > 0 {
            break;
        }
    }
    Ok(begun.end(server, audience).await)
}

struct Begun {
    at: Instant,
    cpu: Duration,
    heard: u64,
}

impl Begun {
    fn new(server: &Server, audience: &Audience) -> Self {
        let cpu = cpu::used_by(server.pid).unwrap_or_default();
        Self { at: Instant::now(), cpu, heard: audience.heard() }
    }

    async fn end(self, server: &Server, audience: &mut Audience) -> Measured {
        let missing = audience.settle(0).await;
        let seconds = self.at.elapsed().as_secs_f64();
        let cpu = cpu::used_by(server.pid).unwrap_or_default().saturating_sub(self.cpu);
        let delivered = audience.heard() - self.heard;
        audience.forgive();
        Measured { delivered, missing, seconds, cpu_seconds: cpu.as_secs_f64() }
    }
}
