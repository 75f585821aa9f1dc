//! `maru-ticketing` over HTTP, on a real database.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod events;
mod expiry;
mod hold;
mod house;
mod line;
mod person;
mod queue;
mod queue_gate;
mod queue_loss;
mod queue_order;
mod refusals;
mod seed;
