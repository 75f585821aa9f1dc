//! The whole house, entered through its front door.
//!
//! Each test starts the stack the way a person does (`maru-dev up`), with its own data directory, and talks to the
//! gateway only. There are two gateways, and two or three replicas of each service behind them, unless a test says
//! otherwise. What people have written is still theirs after a loss: a backup is brought back, a standby takes over, an
//! older release works on a newer schema.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod accounts;
mod attacks;
mod backup;
mod cluster;
mod database;
mod drain;
mod emotion;
mod faults;
mod focus;
mod life;
mod load;
mod onlookers;
mod person;
mod rotation;
mod sale;
mod stack;
mod staff;
mod standby;
mod story;
mod upgrade;
