//! Who answers.
//!
//! A companion turns a prompt into pieces of text, as fast as it has them. It knows nothing of sockets or rows: the job
//! that asked it keeps the pieces, bounds them in number and time, and drops the stream when the reply is not wanted any
//! more.

mod offline;

use chassis::problem::Outcome;
use domain::locale::Locale;
use futures_util::stream::BoxStream;

pub use offline::OfflineCompanion;

/// The pieces of one reply, in order; together they are the reply. An error ends it unfinished.
pub type Pieces = BoxStream<'static, Outcome<String>>;

/// What a companion is asked. It has no `Debug`, so that no log line can show it.
#[derive(Clone)]
pub struct Prompt {
    /// What was said.
    pub user_input: String,
    /// How the client would like to be answered, below every rule of ours.
    pub system_prompt: Option<String>,
    /// The language of the request.
    pub locale: Locale,
    /// The conversation's own number: where there is a choice it decides, the same way every time.
    pub seed: u64,
    /// The step's place in its conversation, from 1.
    pub order: u32,
}

/// Somebody who answers.
pub trait Companion: Send + Sync {
    /// Returns who this is, as every step of theirs says: `offline`, or a provider of models.
    fn provider(&self) -> &'static str;

    /// Returns the name this has in `/health`.
    fn health_part(&self) -> &'static str;

    /// Begins a reply; nothing happens before the stream is read, and dropping it ends the work.
    fn reply(&self, prompt: Prompt) -> Pieces;
}
