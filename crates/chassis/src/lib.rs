//! What every service stands on.
//!
//! Configuration, telemetry, the HTTP server and its limits, problem responses, principals from tokens, PostgreSQL and
//! Redis pools, calls between services, rate limits, idempotency keys, the outbox, QR codes, ended logins, sockets, health
//! and graceful drain. No business word appears here: a service brings its routes and rules, and gets the same behaviour at
//! the edges as every other.

pub mod access;
pub mod body;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod context;
pub mod document;
pub mod edge;
pub mod gauges;
pub mod health;
pub mod idempotency;
pub mod jwt;
pub mod lifecycle;
pub mod limit;
pub mod mac;
mod meter;
pub mod migrate;
pub mod openapi;
pub mod optional_json;
pub mod outbox;
mod own;
pub mod page;
pub mod peers;
pub mod pg;
pub mod precondition;
pub mod prepared;
pub mod principal;
pub mod problem;
pub mod qr;
mod reads;
pub mod recent;
pub mod redis;
pub mod revocation;
pub mod server;
pub mod service;
pub mod socket;
pub mod telemetry;
pub mod token;
pub mod verifier;
