//! A reply of an OpenAI-compatible API on its way, chunk by chunk.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::{Finish, events::Events, failure::Failure, openai::Delta};

/// Chunks that cannot be read and are passed over; one more ends the reply.
const BAD_CHUNKS_MAX: u32 = 3;
/// Longest name of a reason that is kept.
const REASON_MAX: usize = 32;

/// A reply on its way.
pub(super) struct Stream {
    events: Events,
    bad: u32,
    finish: Option<Finish>,
    idle: Duration,
}

impl Stream {
    /// Reads `events`, waiting for each no longer than `idle`.
    pub(super) const fn new(events: Events, idle: Duration) -> Self {
        Self { events, bad: 0, finish: None, idle }
    }

    /// Waits for the next text, or for the end of a reply that is whole.
    pub(super) async fn next(&mut self) -> Result<Delta, Failure> {
        loop {
            let data = match timeout(self.idle, self.events.next()).await {
                Err(_elapsed) => return Err(Failure::Silent),
                // `[DONE]` and a body that breaks off look the same here: only a reason makes it whole.
                Ok(Ok(None)) => return self.finish.take().map(Delta::Over).ok_or(Failure::Truncated),
                // With the reason there, what breaks off is the count of tokens and the goodbye.
                Ok(Err(failure)) => return self.finish.take().map(Delta::Over).ok_or(failure),
                Ok(Ok(Some(data))) => data,
            };
            let Ok(chunk) = serde_json::from_slice::<Chunk>(&data) else {
                self.bad += 1;
                if self.bad > BAD_CHUNKS_MAX {
                    return Err(Failure::Garbled);
                }
                continue;
            };
            if chunk.error.is_some() {
                return Err(Failure::Told);
            }
            if let Some(text) = self.take(chunk) {
                return Ok(Delta::Text(text));
            }
        }
    }

    fn take(&mut self, chunk: Chunk) -> Option<String> {
        let mut text = None;
        if let Some(choice) = chunk.choices.into_iter().next() {
            let delta = choice.delta.unwrap_or_default();
            text = delta.content.or(delta.refusal).filter(|text| !text.is_empty());
            if let Some(reason) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
                let reason = reason.chars().filter(char::is_ascii_graphic).take(REASON_MAX).collect();
                self.finish = Some(Finish { reason, ..Finish::default() });
            }
        }
        if let (Some(usage), Some(finish)) = (chunk.usage, &mut self.finish) {
            finish.prompt_tokens = usage.prompt_tokens;
            finish.completion_tokens = usage.completion_tokens;
        }
        text
    }
}

/// A chunk, as any server sends it.
#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Content>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
pub(super) struct Content {
    pub(super) content: Option<String>,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u32>,
    completion_tokens: Option<u32>,
}
