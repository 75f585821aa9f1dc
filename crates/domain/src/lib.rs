//! The platform's language.
//!
//! Ids, time on the wire, faults with their Korean and English sentences, principals, the contracts of the calls that
//! services make to each other, and the pure rules of each field. Nothing here does I/O, and nothing here reads a
//! clock: `now` is an argument wherever it matters, so every rule can be tested at any instant.

pub mod account;
pub mod arc;
pub mod calendar;
pub mod catalogue;
pub mod companion;
pub mod context_budget;
pub mod contract;
pub mod demo;
pub mod fault;
pub mod feedback;
pub mod feeling;
pub mod flow;
pub mod focus;
pub mod ids;
pub mod listener;
pub mod locale;
pub mod memo;
pub mod page;
pub mod payment;
pub mod person;
pub mod principal;
pub mod rate;
pub mod refresh;
pub mod safety;
pub mod seat_hold;
pub mod session;
pub mod summary_card;
pub mod ticket_order;
pub mod time;
pub mod timer;
pub mod waiting_room;
