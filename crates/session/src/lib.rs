//! Sessions and the presentation timer.
//!
//! A session is a conversation or a talk with settings of its type and a code that lets an audience in; its timer says
//! how much of the talk has passed. PostgreSQL is the truth for both, and its clock is the only one a timer is read by,
//! so that every replica tells the same time.

pub mod app;
pub mod config;
pub mod development;
pub mod feedback;
pub mod person;
pub mod routes;
mod schema;
pub mod sessions;
pub mod stream;
pub mod timer;

pub use app::{Session, build};
