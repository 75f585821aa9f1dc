//! One conversation over a WebSocket through the gateway, in the document's dialect.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        http::{HeaderValue, header::AUTHORIZATION},
        protocol::WebSocketConfig,
    },
};

use super::{
    super::tunnel::source_address,
    person::{Door, Person},
};
use crate::trouble::Trouble;

/// Longest wait for the next frame.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is read of a socket at once: there are many.
const READ: usize = 4 * 1024;

/// An open conversation.
pub(super) struct Talk {
    socket: WebSocketStream<TcpStream>,
}

/// A reply as it came, or as far as it was sound.
#[derive(Debug)]
pub(super) struct Reply {
    /// From the message to the first token.
    pub(super) first: Duration,
    /// How many pieces.
    pub(super) pieces: u64,
}

#[derive(Deserialize)]
struct Frame {
    token: Option<String>,
    seq: Option<u64>,
    done: Option<bool>,
    status: Option<String>,
    error: Option<Value>,
}

impl Talk {
    /// Opens a conversation and reads its first frame.
    pub(super) async fn open(door: &Door, person: &Person, number: u32) -> Result<Self, Trouble> {
        let failed =
            |what: &str, why: String| Trouble::Broken(format!("a conversation cannot be opened, {what}: {why}"));
        let socket = TcpSocket::new_v4()?;
        socket.bind((source_address(number), 0).into())?;
        socket.set_nodelay(true)?;
        let stream = socket.connect(door.address).await?;
        let url = format!("ws://{}/ws/emotion?user_id={}", door.address, person.user_id);
        let mut request = url.into_client_request().map_err(|fault| failed("request", fault.to_string()))?;
        let bearer = HeaderValue::from_str(&format!("Bearer {}", person.access_token));
        request.headers_mut().insert(AUTHORIZATION, bearer.map_err(|fault| failed("token", fault.to_string()))?);
        let config = WebSocketConfig::default().read_buffer_size(READ).write_buffer_size(0);
        let opened = timeout(PATIENCE, client_async_with_config(request, stream, Some(config))).await;
        let opened = opened.map_err(|_late| failed("upgrade", "nothing came".to_owned()))?;
        let (socket, _) = opened.map_err(|fault| failed("upgrade", fault.to_string()))?;
        let mut talk = Self { socket };
        let first = talk.hear().await.map_err(|why| failed("first frame", why))?;
        if first.error.is_some() {
            return Err(failed("first frame", "it is an error".to_owned()));
        }
        Ok(talk)
    }

    /// Says something and reads its reply, which must be `expected` piece by piece.
    pub(super) async fn say(&mut self, text: &str, expected: &str) -> Result<Reply, String> {
        let message = json!({ "user_input": text }).to_string();
        let begun = Instant::now();
        self.socket.send(Message::text(message)).await.map_err(|fault| fault.to_string())?;
        let mut reply = Reply { first: Duration::ZERO, pieces: 0 };
        let mut left = expected;
        loop {
            let frame = self.hear().await?;
            if let Some(token) = &frame.token {
                if reply.pieces == 0 {
                    reply.first = begun.elapsed();
                }
                reply.pieces += 1;
                if frame.seq != Some(reply.pieces) {
                    return Err(format!("piece {} came in place of {}", frame.seq.unwrap_or_default(), reply.pieces));
                }
                left = left.strip_prefix(token.as_str()).ok_or("another text came than was sent")?;
            } else if frame.done == Some(true) {
                let status = frame.status.unwrap_or_default();
                return match (left.is_empty(), status.as_str()) {
                    (true, "complete") => Ok(reply),
                    (false, "complete") => Err(format!("{} bytes of the reply did not come", left.len())),
                    _ => Err(format!("the reply is {status}")),
                };
            } else if let Some(error) = frame.error {
                return Err(error.to_string());
            }
        }
    }

    async fn hear(&mut self) -> Result<Frame, String> {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.map_err(|_late| "nothing came".to_owned())?;
            match message {
                Some(Ok(Message::Text(text))) => {
                    return serde_json::from_str(&text).map_err(|_other| "a frame is of another form".to_owned());
                }
                Some(Ok(Message::Close(reason))) => return Err(format!("the socket was closed: {reason:?}")),
                Some(Ok(_ping)) => {}
                Some(Err(fault)) => return Err(fault.to_string()),
                None => return Err("the socket ended".to_owned()),
            }
        }
    }

    /// Hangs up.
    pub(super) async fn close(mut self) {
        // How it closes is not measured.
        let _ = timeout(Duration::from_secs(1), self.socket.close(None)).await;
    }
}
