//! The gate.
//!
//! Every client of every service comes in here, on one origin. The gate decides which path exists, who is asking and
//! whether they may come in, and then stays out of the way: bodies stream both ways, sockets are pipes, and what a service
//! answers is what the client gets. It keeps no state of its own: a second gateway beside it needs to know nothing.

pub mod address;
pub mod admit;
pub mod app;
pub mod client;
pub mod config;
pub mod digits;
pub mod docs;
pub mod download;
pub mod exchange;
pub mod faults;
pub mod forward;
pub mod gate;
pub mod head;
pub mod headers;
pub mod health;
pub mod identity;
pub mod internal_token;
pub mod limit;
pub mod openapi;
pub mod origin;
pub mod page;
pub mod path;
pub mod route;
pub mod seen;
pub mod start_page;
pub mod ticket;
pub mod tunnel;
pub mod upload;
pub mod upstream;

pub use app::{Gateway, build};
