//! The scripted model: what it is told, and what it says when it is asked without anybody in between.

use std::time::Duration;

use reqwest::Client;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use crate::trouble::Trouble;

/// Longest wait for the next bytes of a reply.
const PATIENCE: Duration = Duration::from_mins(2);
/// Different messages: replies differ by them, and a mix-up of two streams shows.
const MESSAGES: u32 = 8;

/// Somebody who speaks the model's API: the model itself, or a proxy before it.
#[derive(Clone, Debug)]
pub(super) struct Model {
    http: Client,
    url: String,
}

/// A reply as it came.
#[derive(Debug)]
pub(super) struct Heard {
    /// From the request to the first text.
    pub(super) first: Duration,
    /// How many pieces of text.
    pub(super) pieces: u64,
    /// All of them.
    pub(super) text: String,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
}

#[derive(Deserialize)]
struct Delta {
    content: Option<String>,
}

/// Returns what the person with a number says.
pub(super) fn message(number: u32) -> String {
    format!("오늘 하루 이야기를 천천히 해 볼게요. {}번째예요.", number % MESSAGES + 1)
}

impl Model {
    /// Speaks to `url`, which ends with `/v1`.
    pub(super) fn new(url: &str) -> Result<Self, Trouble> {
        let http = Client::builder().no_proxy().tcp_nodelay(true).read_timeout(PATIENCE).build();
        Ok(Self { http: http.map_err(|fault| broken(&fault))?, url: url.trim_end_matches('/').to_owned() })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Sets what every reply does from now on.
    pub(super) async fn follow(&self, script: &str) -> Result<(), Trouble> {
        let url = format!("{}/script", self.url.trim_end_matches("/v1"));
        let sent = self.http.put(url).body(script.to_owned()).send().await;
        sent.and_then(reqwest::Response::error_for_status).map(drop).map_err(|fault| broken(&fault))
    }

    /// Returns the replies to all messages, of `tokens` tokens each.
    pub(super) async fn replies(&self, tokens: u32) -> Result<Vec<String>, Trouble> {
        let mut replies = Vec::new();
        for number in 0..MESSAGES {
            replies.push(self.ask(&format!("n={tokens}"), &message(number), "").await?.text);
        }
        Ok(replies)
    }

    /// Asks for a reply and reads it to its end.
    pub(super) async fn ask(&self, model: &str, message: &str, key: &str) -> Result<Heard, Trouble> {
        let asked = json!({
            "model": model, "stream": true, "messages": [{ "role": "user", "content": message }],
        });
        let begun = Instant::now();
        let sent = self.http.post(format!("{}/chat/completions", self.url)).bearer_auth(key).json(&asked).send().await;
        let mut response = sent.and_then(reqwest::Response::error_for_status).map_err(|fault| broken(&fault))?;
        let mut heard = Heard { first: Duration::ZERO, pieces: 0, text: String::new() };
        let mut unread = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(|fault| broken(&fault))? {
            unread.extend_from_slice(&bytes);
            let mut read = 0;
            while let Some(length) = unread.get(read..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n')) {
                if let Some(text) = unread.get(read..read + length).and_then(text_of) {
                    if heard.pieces == 0 {
                        heard.first = begun.elapsed();
                    }
                    heard.pieces += 1;
                    heard.text.push_str(&text);
                }
                read += length + 1;
            }
            unread.drain(..read);
        }
        Ok(heard)
    }
}

/// Reads the text of one line of an event stream.
fn text_of(line: &[u8]) -> Option<String> {
    let chunk: Chunk = serde_json::from_slice(line.strip_prefix(b"data: ")?).ok()?;
    chunk.choices.into_iter().next()?.delta?.content.filter(|text| !text.is_empty())
}

fn broken(fault: &reqwest::Error) -> Trouble {
    Trouble::Broken(format!("the model: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_with_text_count() {
        assert_eq!(text_of(br#"data: {"choices":[{"delta":{"content":"a"}}]}"#), Some("a".to_owned()));
        for other in ["", "data: [DONE]", ": keep-alive", r#"data: {"choices":[{"delta":{"content":""}}]}"#] {
            assert_eq!(text_of(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn neighbours_say_different_things() {
        assert_ne!(message(0), message(1));
        assert_eq!(message(0), message(MESSAGES));
    }
}
