//! Accounts and logins.
//!
//! One account serves every room of the house. This service keeps who a person is and which of their logins still
//! count; the gateway turns that into the identity every other service sees. PostgreSQL is the truth: a flushed Redis
//! logs nobody out, and a logout is true once its row says so.

pub mod account;
pub mod app;
pub mod audit;
pub mod commands;
pub mod config;
pub mod delivery;
pub mod google;
pub mod limits;
pub mod login;
pub mod mail;
pub mod password;
pub mod person;
pub mod prune;
pub mod routes;
mod schema;
pub mod visitor;

pub use app::{Auth, build};
