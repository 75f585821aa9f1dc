//! A reader of server-sent events for tests.

use std::time::Duration;

use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use tokio::time::timeout;

/// Longest to wait for an event.
const PATIENCE: Duration = Duration::from_secs(5);

/// An open stream.
pub struct EventStream {
    response: Response,
    unread: String,
}

/// One event.
#[derive(Clone, Debug)]
pub struct ServerEvent {
    /// Its id, if it bears one.
    pub id: Option<String>,
    /// Its data, as JSON.
    pub data: Value,
}

impl EventStream {
    /// Opens a stream.
    ///
    /// # Panics
    /// When the answer is none.
    pub async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("the service answers");
        assert_eq!(response.status().as_u16(), 200);
        let media_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        assert_eq!(media_type, Some("text/event-stream"));
        Self { response, unread: String::new() }
    }

    /// Waits for the next event; comments are passed over.
    ///
    /// # Panics
    /// When none comes within five seconds, or the stream ends.
    pub async fn next(&mut self) -> ServerEvent {
        loop {
            while let Some(end) = self.unread.find("\n\n") {
                let event: String = self.unread.drain(..end + 2).collect();
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                let read = field("data: ").map(|data| ServerEvent {
                    id: field("id: ").map(str::to_owned),
                    data: serde_json::from_str(data).expect("data is JSON"),
                });
                if let Some(read) = read {
                    return read;
                }
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("an event in time");
            let chunk = chunk.expect("the stream goes on").expect("the stream goes on");
            self.unread.push_str(std::str::from_utf8(&chunk).expect("events are UTF-8"));
        }
    }
}
