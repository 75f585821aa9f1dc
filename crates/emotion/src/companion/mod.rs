//! Who answers.
//!
//! A companion turns a prompt into pieces of text, as fast as it has them. It knows nothing of sockets or rows: the job
//! that asked it keeps the pieces, bounds them in number and time, and drops the stream when the reply is not wanted any
//! more.

mod chunks;
mod config;
mod events;
mod failure;
mod model;
mod offline;
mod openai;

use chassis::problem::Outcome;
use domain::{
    companion::OFFLINE_LABEL,
    listener::{self, Turn},
};
use futures_util::{future::BoxFuture, stream::BoxStream};
use serde_json::Value;

pub use config::ModelConfig;
pub use model::ModelCompanion;
pub use offline::OfflineCompanion;

/// The name of the companion that has no model.
pub const OFFLINE: &str = "offline";

/// The pieces of one reply, in order; their texts together are the reply. It is whole only when it said why it ended; an
/// error ends it unfinished, and so does an end without a word.
pub type Pieces = BoxStream<'static, Outcome<Piece>>;

/// A part of a reply.
#[derive(Clone, PartialEq, Eq)]
pub enum Piece {
    /// Who answers from here on, when that is not who was asked.
    By(Answerer),
    /// Text.
    Text(String),
    /// It is over, and all there.
    Over(Finish),
}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answerer {
    /// `offline`, or a provider of models.
    pub provider: &'static str,
    /// The model.
    pub model: Option<String>,
}

/// How a whole reply ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finish {
    /// In the provider's words: `stop`, `length`, `content_filter`.
    pub reason: String,
    /// Tokens of the prompt, by the provider's count.
    pub prompt_tokens: Option<u32>,
    /// Tokens of the reply, by the provider's count.
    pub completion_tokens: Option<u32>,
}

/// Whose words a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The program's.
    System,
    /// The person's.
    User,
    /// The model's own, from before.
    Assistant,
}

/// One message of what a model is shown. It has no `Debug`, so that no log line can show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ChatMessage {
    /// Whose it is.
    pub role: Role,
    /// What it says.
    pub content: String,
}

/// How much a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Tokens of prompt and reply together.
    pub context: u32,
    /// Most tokens of a reply.
    pub reply: u32,
    /// Whether our count of tokens is the model's own.
    pub is_counted_alike: bool,
}

/// What a companion is asked. It has no `Debug`, so that no log line can show it.
#[derive(Clone, PartialEq)]
pub struct Prompt {
    /// What a model is shown, oldest first; within the window.
    pub messages: Vec<ChatMessage>,
    /// The same with less of the past, for a provider that finds the first too long.
    pub shorter: Option<Vec<ChatMessage>>,
    /// Most tokens of the reply that the client asks for.
    pub max_tokens: Option<u32>,
    /// 0-2.
    pub temperature: Option<f32>,
    /// What is said in place of a model.
    pub prepared: Prepared,
}

/// A reply of prepared sentences, put together when somebody wants it: with a model hardly anybody does. It has no
/// `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Prepared {
    /// Where the reply stands.
    pub turn: Turn,
    /// What was said.
    pub said: String,
}

impl Prepared {
    /// Returns the reply.
    pub fn text(&self) -> String {
        listener::reply(self.turn, &self.said)
    }

    /// Returns the reply with its label in front, for when a model was expected.
    fn labelled(&self) -> String {
        let text = self.text();
        // The first reply of a conversation says so by itself.
        if self.turn.order <= 1 { text } else { format!("{} {text}", OFFLINE_LABEL.in_locale(self.turn.locale)) }
    }
}

/// A question whose answer is a JSON value. It has no `Debug`, so that no log line can show it.
#[derive(Clone)]
pub struct Question {
    /// Of what it is an answer, `[a-z_]`; providers want a name.
    pub name: &'static str,
    /// What the model is shown.
    pub messages: Vec<ChatMessage>,
    /// The JSON schema of the answer.
    pub schema: Value,
    /// Most tokens of the answer.
    pub max_tokens: u32,
}

/// Somebody who answers.
pub trait Companion: Send + Sync {
    /// Returns who is asked first, as every step says: `offline`, or a provider of models.
    fn provider(&self) -> &'static str;

    /// Returns the name this has in `/health`.
    fn health_part(&self) -> &'static str;

    /// Returns the model that is asked first.
    fn model(&self) -> Option<&str> {
        None
    }

    /// Returns how much may be shown to the model; without a model nothing has to be put together.
    fn window(&self) -> Option<Window> {
        None
    }

    /// Begins a reply; nothing happens before the stream is read, and dropping it ends the work.
    fn reply(&self, prompt: Prompt) -> Pieces;

    /// Asks for a value; `None` when there is no model, or it does not answer well. The caller sets the time.
    fn ask(&self, question: Question) -> BoxFuture<'_, Option<Value>> {
        drop(question);
        Box::pin(std::future::ready(None))
    }
}
