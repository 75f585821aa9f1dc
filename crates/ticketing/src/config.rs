//! `maru-ticketing`'s configuration.

use std::time::Duration;

use chassis::{
    config::{Config, Faults, parse_duration},
    service::BaseConfig,
};
use clap::Args;
use domain::seat_hold;

use crate::realtime::RealtimeConfig;

/// Longest hold: who has not paid within an hour has left, and the seat is somebody else's chance.
const LONGEST_HOLD: Duration = Duration::from_hours(1);
/// Most seats that one reservation may ever be allowed; each is a row lock of the same transaction.
const MOST_SEATS: usize = 50;

/// Every key of `maru-ticketing`.
#[derive(Args, Clone, Debug)]
pub struct TicketingConfig {
    /// What every service has.
    #[command(flatten)]
    pub base: BaseConfig,
    /// Port to listen on.
    #[arg(long, env = "PORT", default_value_t = 3003)]
    pub port: u16,
    /// How long seats are held for somebody who has not paid: `300`, `90s`, `5m`.
    #[arg(long, env = "HOLD_TTL", default_value = "300", value_parser = parse_duration)]
    pub hold_ttl: Duration,
    /// How often this replica looks for holds that have ended, milliseconds.
    #[arg(long, env = "HOLD_SWEEP_MS", default_value_t = 500)]
    pub hold_sweep_ms: u64,
    /// Most seats of one reservation.
    #[arg(long, env = "MAX_SEATS_PER_RESERVATION", default_value_t = seat_hold::MAX_SEATS)]
    pub max_seats_per_reservation: usize,
    /// What is told in real time.
    #[command(flatten)]
    pub realtime: RealtimeConfig,
}

impl Config for TicketingConfig {
    fn validate(&self, faults: &mut Faults) {
        self.base.validate(faults);
        self.realtime.validate(faults);
        if self.hold_ttl.is_zero() || self.hold_ttl > LONGEST_HOLD {
            faults.add("HOLD_TTL", "must be between 1s and 1h");
        }
        if self.hold_sweep_ms == 0 {
            faults.add("HOLD_SWEEP_MS", "must be at least 1");
        }
        if !(1..=MOST_SEATS).contains(&self.max_seats_per_reservation) {
            faults.add("MAX_SEATS_PER_RESERVATION", format!("must be between 1 and {MOST_SEATS}"));
        }
    }
}
