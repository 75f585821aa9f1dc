//! The edges that every service gets from the chassis, over real HTTP.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod calls;
mod edges;
mod limits;
mod outbox;
mod pool;
mod schema;
mod upgrades;
