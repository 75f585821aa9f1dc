//! The calls that services make to each other: each one by the caller's own client, against the callee's own routes.
//!
//! Caller and callee compile the same types, but paths, methods, keys and who may ask are written on both sides; here
//! they meet.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod accounts;
mod focus;
mod memos;
mod people;
mod rooms;
