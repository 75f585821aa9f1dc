//! Events and their seats.
//!
//! What is on sale, what is left of it, and who holds which seat. PostgreSQL is the only truth about stock and seats:
//! a seat is one row, whoever changes that row has the seat, and a hold ends when its time has passed by the
//! database's clock, whether or not a sweeper is alive to say so. Redis may be away without a seat being sold twice.

pub mod admin;
pub mod admission_ticket;
pub mod app;
pub mod command;
pub mod config;
pub mod development;
pub mod event;
pub mod layout;
pub mod notice;
pub mod order;
pub mod payment;
pub mod person;
pub mod queue;
pub mod realtime;
pub mod routes;
mod schema;
pub mod seat;
pub mod ticket;
pub mod verify;

pub use app::{Ticketing, build};
