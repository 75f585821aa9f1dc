//! What people have written is still theirs after a loss: a backup is brought back, a standby takes over, an older release
//! works on a newer schema.
//!
//! Each test starts the stack as a person does, has somebody live in every room of it, and looks for all of it again.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

mod app;
mod backup;
mod life;
mod stack;
mod standby;
mod upgrade;
