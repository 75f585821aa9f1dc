//! Conversations with a companion that listens.
//!
//! A person says something, over a socket or a request, and the reply is streamed back word by word. A reply is a job of
//! its own: whoever asked is only its viewer and may leave, and the reply is finished and kept all the same. What people
//! say here is nobody else's business: no log line and no trace holds it.

pub mod app;
pub mod commands;
pub mod companion;
pub mod config;
pub mod context;
pub mod conversation;
pub mod development;
pub mod flow;
pub mod limit;
pub mod peers;
pub mod person;
pub mod prompt;
pub mod protocol;
pub mod reply;
pub mod retention;
pub mod routes;
mod schema;
pub mod socket;
pub mod step;
pub mod summary;
pub mod vault;

pub use app::{Emotion, build, build_with};
