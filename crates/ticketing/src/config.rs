//! `maru-ticketing`'s configuration.

use std::time::Duration;

use chassis::{
    config::{Config, Faults, parse_duration},
    service::BaseConfig,
};
use chrono_tz::Tz;
use clap::Args;
use domain::{seat_hold, ticket_order};

use crate::{
    admission_ticket::config::TicketConfig, order::batch::Terms, payment::config::PaymentConfig,
    queue::config::QueueConfig, realtime::RealtimeConfig,
};

/// Longest hold: who has not paid within an hour has left, and the seat is somebody else's chance.
const LONGEST_HOLD: Duration = Duration::from_hours(1);
/// Most seats that one reservation may ever be allowed; each is a row lock of the same transaction.
const MOST_SEATS: usize = 50;

/// Most tickets that one person may ever be allowed; a person's count is a number of one row, so this is for typing errors.
const MOST_TICKETS: usize = 1_000;

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
    /// Most tickets of one reservation.
    #[arg(long, env = "MAX_TICKETS_PER_RESERVATION", default_value_t = ticket_order::MAX_TICKETS)]
    pub max_tickets_per_reservation: usize,
    /// Most tickets and seats that one person may have of one event.
    #[arg(long, env = "MAX_PER_USER_EVENT", default_value_t = ticket_order::MAX_PER_USER_EVENT)]
    pub max_per_user_event: usize,
    /// Payments.
    #[command(flatten)]
    pub payments: PaymentConfig,
    /// The secret of tickets' codes.
    #[command(flatten)]
    pub tickets: TicketConfig,
    /// The time zone of times that organizers write without an offset, and of "today" in their figures.
    #[arg(long, env = "MARU_TIMEZONE", default_value = "Asia/Seoul", value_parser = parse_timezone)]
    pub timezone: Tz,
    /// Waiting rooms.
    #[command(flatten)]
    pub queue: QueueConfig,
    /// What is told in real time.
    #[command(flatten)]
    pub realtime: RealtimeConfig,
}

/// Reads the name of a time zone.
fn parse_timezone(name: &str) -> Result<Tz, String> {
    name.parse().map_err(|_unknown| "is not the name of an IANA time zone, such as Asia/Seoul".to_owned())
}

impl TicketingConfig {
    /// Returns the limits that hold for every hold.
    pub const fn terms(&self) -> Terms {
        Terms { hold: self.hold_ttl, most_per_event: self.max_per_user_event }
    }
}

impl Config for TicketingConfig {
    fn validate(&self, faults: &mut Faults) {
        self.base.validate(faults);
        self.payments.validate(self.base.common.environment, faults);
        self.tickets.validate(faults);
        self.queue.validate(faults);
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
        if !(1..=MOST_TICKETS).contains(&self.max_tickets_per_reservation) {
            faults.add("MAX_TICKETS_PER_RESERVATION", format!("must be between 1 and {MOST_TICKETS}"));
        }
        if !(1..=MOST_TICKETS).contains(&self.max_per_user_event) {
            faults.add("MAX_PER_USER_EVENT", format!("must be between 1 and {MOST_TICKETS}"));
        }
    }
}
