//! Maru on one machine.
//!
//! This crate owns the binary `maru-dev`: it finds or installs PostgreSQL and Redis, runs private instances of them,
//! embeds an S3-compatible object store, and starts, watches and stops the platform's services as child processes. It
//! promises never to touch a database or a service of the system, to leave nothing running behind, and to say what is
//! wrong in one sentence that names the mend.
//!
//! Only [`object_store`] is meant for other crates: their tests may embed it too.

mod account;
mod auth_command;
mod cli;
mod compile;
mod databases;
mod detach;
mod disk;
mod doctor;
mod down;
mod fault;
mod files;
mod home;
mod locate;
mod lock;
mod log_file;
pub mod object_store;
mod packages;
mod parts;
mod ports;
mod postgres;
mod probe;
mod process;
mod program;
mod progress;
mod redis;
mod run_directory;
mod scripted_llm;
mod secrets;
mod services;
mod settings;
mod signals;
mod standby;
mod state;
mod status;
mod suite;
mod summary;
mod supervise;
mod tasks;
mod terminal;
mod up;

pub use cli::run;
