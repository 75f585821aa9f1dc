//! The whole house, entered through its front door.
//!
//! Each test starts the stack the way a person does (`maru-dev up`), with its own data directory, and talks to the
//! gateway only. Two replicas of each service stand behind it unless a test says otherwise.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod accounts;
mod attacks;
mod drain;
mod emotion;
mod faults;
mod focus;
mod person;
mod sale;
mod stack;
mod story;
