//! Memos and their files.
//!
//! A memo is one row: text, tags and free metadata, seen by its owner and nobody else. Its files are in an object
//! storage and travel between that and the person's app by presigned URLs; this service signs, checks and remembers,
//! and never carries their bytes. Without the object storage memos are still written and read.

pub mod app;
pub mod attachments;
pub mod config;
pub mod development;
pub mod memos;
pub mod peers;
pub mod person;
pub mod routes;
mod schema;
pub mod storage;

pub use app::{Memo, build};
