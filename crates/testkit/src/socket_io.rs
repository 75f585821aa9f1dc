//! A Socket.IO client for tests, over a WebSocket: small enough to see what it says, and when.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

/// Longest to wait for anything.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where it connects.
const PATH: &str = "/socket.io/?EIO=4&transport=websocket";

/// An open socket in the default namespace.
pub struct SocketIo {
    stream: WebSocketStream<TcpStream>,
    asked: u64,
    heard: VecDeque<(String, Value)>,
}

/// What comes from the server.
enum Packet {
    Event(String, Value),
    Ack(u64, Value),
    Connected,
    Refused(String),
    Other,
}

impl SocketIo {
    /// Connects and says who it is; `token` is what a process of ours shows another.
    ///
    /// # Errors
    /// Returns the message of `connect_error`, or `closed` when the connection ends without one.
    ///
    /// # Panics
    /// When there is no WebSocket to be had.
    pub async fn connect(addr: SocketAddr, token: Option<&str>, auth: Option<&Value>) -> Result<Self, String> {
        let mut request = format!("ws://{addr}{PATH}").into_client_request().expect("a WebSocket URL");
        if let Some(token) = token {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a header value");
            request.headers_mut().insert("authorization", value);
        }
        let stream = TcpStream::connect(addr).await.expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        let (stream, _) = tokio_tungstenite::client_async(request, stream).await.expect("a WebSocket");
        let mut socket = Self { stream, asked: 0, heard: VecDeque::new() };
        let auth = auth.map(Value::to_string).unwrap_or_default();
        socket.say_raw(&format!("40{auth}")).await;
        loop {
            match socket.next().await {
                Some(Packet::Connected) => return Ok(socket),
                Some(Packet::Refused(message)) => return Err(message),
                Some(_open) => {}
                None => return Err("closed".to_owned()),
            }
        }
    }

    /// Emits an event.
    pub async fn emit(&mut self, event: &str, payload: &Value) {
        self.say_raw(&format!("42{}", json!([event, payload]))).await;
    }

    /// Emits an event and waits for its acknowledgement.
    ///
    /// # Panics
    /// When there is none in time.
    pub async fn ask(&mut self, event: &str, payload: &Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.say_raw(&format!("42{id}{}", json!([event, payload]))).await;
        loop {
            match self.next().await {
                Some(Packet::Ack(answered, answer)) if answered == id => return answer,
                Some(Packet::Event(event, payload)) => self.heard.push_back((event, payload)),
                Some(_) => {}
                None => panic!("closed before `{event}` was acknowledged"),
            }
        }
    }

    /// Sends a packet as it is.
    pub async fn say_raw(&mut self, packet: &str) {
        // A server that has closed the connection is noticed when it is listened to.
        _ = self.stream.send(Message::text(packet)).await;
    }

    /// Waits for an event and returns its payload; others are kept.
    ///
    /// # Panics
    /// When it does not come in time.
    pub async fn hear(&mut self, event: &str) -> Value {
        self.hear_where(event, |_| true).await
    }

    /// Waits for an event whose payload is one that is wanted; others of its name are passed over.
    ///
    /// # Panics
    /// When it does not come in time.
    pub async fn hear_where(&mut self, event: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        while let Some(at) = self.heard.iter().position(|(name, _)| name == event) {
            if let Some((_, payload)) = self.heard.remove(at)
                && is_wanted(&payload)
            {
                return payload;
            }
        }
        let waiting = async {
            loop {
                match self.next().await {
                    Some(Packet::Event(name, payload)) if name == event => {
                        if is_wanted(&payload) {
                            return payload;
                        }
                    }
                    Some(Packet::Event(name, payload)) => self.heard.push_back((name, payload)),
                    Some(_) => {}
                    None => panic!("closed before `{event}` came"),
                }
            }
        };
        let heard = timeout(PATIENCE, waiting).await.ok();
        heard.unwrap_or_else(|| panic!("`{event}` did not come"))
    }

    /// Returns how many events of a name have come and were not asked for.
    pub fn heard(&self, event: &str) -> usize {
        self.heard.iter().filter(|(name, _)| name == event).count()
    }

    /// Waits until the server ends the connection.
    ///
    /// # Panics
    /// When it stays open.
    pub async fn closed(&mut self) {
        let waiting = async { while self.next().await.is_some() {} };
        timeout(PATIENCE, waiting).await.expect("the connection ends");
    }

    /// Leaves as somebody does who means it.
    pub async fn leave(mut self) {
        self.say_raw("41").await;
        // Whatever the server still says does not matter.
        _ = self.stream.close(None).await;
    }

    async fn next(&mut self) -> Option<Packet> {
        loop {
            let message = timeout(PATIENCE, self.stream.next()).await.expect("a packet in time");
            match message {
                Some(Ok(Message::Text(text))) if text.as_str() == "2" => self.say_raw("3").await,
                Some(Ok(Message::Text(text))) => return Some(read(&text)),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }
}

fn read(text: &str) -> Packet {
    let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON in a packet");
    if text.starts_with("40") {
        return Packet::Connected;
    }
    if let Some(refusal) = text.strip_prefix("44") {
        return Packet::Refused(json(refusal).get("message").and_then(Value::as_str).unwrap_or_default().to_owned());
    }
    if let Some(event) = text.strip_prefix("42") {
        let parts = json(event);
        let part = |at: usize| parts.get(at).cloned().unwrap_or_default();
        return Packet::Event(part(0).as_str().unwrap_or_default().to_owned(), part(1));
    }
    if let Some(ack) = text.strip_prefix("43") {
        let digits = ack.bytes().take_while(u8::is_ascii_digit).count();
        let (id, answer) = ack.split_at(digits);
        return Packet::Ack(id.parse().unwrap_or_default(), json(answer).get(0).cloned().unwrap_or_default());
    }
    Packet::Other
}
