//! `maru-ticketing` over HTTP, on a real database.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod events;
mod expiry;
mod hold;
mod house;
mod person;
mod refusals;
mod seed;
mod sockets;
