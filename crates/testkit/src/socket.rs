//! A WebSocket client for tests.

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        http::{HeaderName, HeaderValue},
    },
};

/// Longest to wait for a frame; a busy machine may need some seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open WebSocket.
pub struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    /// Opens a socket at `addr`.
    ///
    /// # Panics
    /// When the answer is anything but 101.
    pub async fn open(addr: SocketAddr, path: &str, token: Option<&str>, headers: &[(&str, &str)]) -> Self {
        let mut request = format!("ws://{addr}{path}").into_client_request().expect("a WebSocket URL");
        let mut set = |name: &str, value: &str| {
            let name: HeaderName = name.parse().expect("a header name");
            request.headers_mut().insert(name, HeaderValue::from_str(value).expect("a header value"));
        };
        if let Some(token) = token {
            set("authorization", &format!("Bearer {token}"));
        }
        for (name, value) in headers {
            set(name, value);
        }
        let stream = TcpStream::connect(addr).await.expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        let opened = tokio_tungstenite::client_async(request, stream).await;
        Self(opened.expect("the service opens the socket").0)
    }

    /// Sends a JSON text frame.
    pub async fn send_json(&mut self, value: &Value) {
        self.send(Message::text(value.to_string())).await;
    }

    /// Sends a text frame, as it is.
    pub async fn send_text(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    /// Sends a frame.
    pub async fn send(&mut self, message: Message) {
        self.0.send(message).await.expect("send a frame");
    }

    /// Waits for the next text frame and reads it as JSON; pings are answered on the way.
    ///
    /// # Panics
    /// When none comes in time, or the socket closes.
    pub async fn next_json(&mut self) -> Value {
        serde_json::from_str(&self.next_text().await).expect("a JSON frame")
    }

    /// Waits for the next text frame; pings are answered on the way.
    ///
    /// # Panics
    /// When none comes in time, or the socket closes.
    pub async fn next_text(&mut self) -> String {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("a frame in time") {
                Some(Ok(Message::Text(text))) => return text.to_string(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("expected a text frame, got {other:?}"),
            }
        }
    }

    /// Waits until the server closes the socket and returns the close code, if it gave one; frames are passed over.
    ///
    /// # Panics
    /// When it stays open.
    pub async fn closed(mut self) -> Option<u16> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("a close in time") {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }
}
