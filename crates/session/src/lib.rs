//! Sessions, the presentation timer and focus sessions.
//!
//! A session is a conversation or a talk with settings of its type and a code that lets an audience in; who came in is
//! a participant with a token of their own, and its timer says how much of the talk has passed. A focus session is time
//! that a person wants to spend on one thing. PostgreSQL is the truth for all of them, and its clock is the only one that
//! time is read by, so that every replica tells the same.

pub mod app;
pub mod config;
pub mod development;
pub mod feedback;
pub mod focus;
pub mod participants;
pub mod peers;
pub mod person;
pub mod qr;
pub mod routes;
mod schema;
pub mod sessions;
pub mod stream;
pub mod timer;

pub use app::{Session, build};
