//! `maru-ticketing` over HTTP, on a real database.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod admin;
mod authority;
mod belongings;
mod best;
mod cancel;
mod catalogue;
mod events;
mod expiry;
mod hold;
mod holders;
mod house;
mod limits;
mod line;
mod notices;
mod orders;
mod organizer_refusals;
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
mod search;
mod seed;
mod settle;
mod shed;
mod stock;
mod tickets;
mod verify;
mod waiting;
mod webhooks;
