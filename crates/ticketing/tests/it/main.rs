//! `maru-ticketing` over HTTP, on a real database.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod best;
mod cancel;
mod events;
mod expiry;
mod hold;
mod house;
mod limits;
mod notices;
mod orders;
mod person;
mod refusals;
mod seed;
mod settle;
mod shed;
mod stock;
mod verify;
mod waiting;
