//! `maru-ticketing` over HTTP, on a real database.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod best;
mod cancel;
mod events;
mod expiry;
mod hold;
mod house;
mod limits;
mod line;
mod notices;
mod orders;
mod payment_faults;
mod payment_races;
mod payments;
mod person;
mod queue;
mod queue_gate;
mod queue_loss;
mod queue_order;
mod refunds;
mod refusals;
mod seed;
mod settle;
mod shed;
mod stock;
mod tickets;
mod verify;
mod waiting;
mod webhooks;
