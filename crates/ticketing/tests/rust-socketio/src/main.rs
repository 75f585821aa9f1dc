//! Connects with the client of Rust, joins, hears of a seat, marks one, and prints what it saw.

use std::{error::Error, time::Duration};

use futures_util::FutureExt;
use rust_socketio::{
    Payload, TransportType,
    asynchronous::{Client, ClientBuilder},
};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};

/// Longest to wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is listened for; the library calls a connection that is accepted `open`.
const EVENTS: [&str; 5] = ["open", "error", "room-info", "seat-locked", "seat-update"];

/// What the library puts before the packet that refuses a connection.
const REFUSED: &str = "Received an ConnectError frame: ";

/// A client, and what it hears.
struct Listener {
    client: Client,
    heard: mpsc::UnboundedReceiver<(&'static str, Value)>,
    /// What was heard while something else was awaited.
    early: Vec<(&'static str, Value)>,
}

impl Listener {
    async fn connect(arguments: &Value, token: &Value) -> Result<Self, Box<dyn Error>> {
        let text = |pointer: &str| arguments.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let transport = match arguments["transports"].as_array().map(Vec::as_slice) {
            Some([only]) if only == "websocket" => TransportType::Websocket,
            Some([only]) if only == "polling" => TransportType::Polling,
            _ => TransportType::WebsocketUpgrade,
        };
        let (tell, heard) = mpsc::unbounded_channel();
        let builder = ClientBuilder::new(text("/url"))
            .transport_type(transport)
            .opening_header("authorization", text("/headers/nobody/authorization"))
            .auth(json!({ "token": token }))
            .reconnect(false);
        let builder = EVENTS.into_iter().fold(builder, |builder, event| {
            let tell = tell.clone();
            builder.on(event, move |payload, _client| {
                // Nobody listens any more when the program has seen everything.
                _ = tell.send((event, first(payload)));
                async {}.boxed()
            })
        });
        Ok(Self { client: builder.connect().await?, heard, early: Vec::new() })
    }

    /// Waits for an event, and returns what comes with it.
    async fn hear(&mut self, event: &str) -> Result<Value, Box<dyn Error>> {
        if let Some(at) = self.early.iter().position(|(name, _)| *name == event) {
            return Ok(self.early.remove(at).1);
        }
        loop {
            let (name, value) = timeout(PATIENCE, self.heard.recv()).await?.ok_or("the client is gone")?;
            if name == event {
                return Ok(value);
            }
            self.early.push((name, value));
        }
    }

    /// Says something, and waits for the answer to it.
    async fn ask(&self, event: &str, what: Value) -> Result<Value, Box<dyn Error>> {
        let (tell, mut told) = mpsc::unbounded_channel();
        let answered = move |payload, _client| {
            _ = tell.send(first(payload));
            async {}.boxed()
        };
        self.client.emit_with_ack(event, what, PATIENCE, answered).await?;
        Ok(timeout(PATIENCE, told.recv()).await?.ok_or("no answer")?)
    }
}

/// Returns the first argument of an event. Those of an answer come as a list of their own.
fn first(payload: Payload) -> Value {
    let Payload::Text(mut values) = payload else { return Value::Null };
    match values.drain(..).next() {
        Some(Value::Array(arguments)) => arguments.into_iter().next().unwrap_or_default(),
        only => only.unwrap_or_default(),
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Value = serde_json::from_str(&std::env::args().next_back().unwrap_or_default())?;
    let (event, seat) = (&arguments["event"], &arguments["seat"]);

    let mut refused = Listener::connect(&arguments, &json!("made-up")).await?;
    let refusal = refused.hear("error").await?;
    let refusal = refusal.as_str().and_then(|text| text.strip_prefix(REFUSED)).ok_or("another refusal")?;
    let refusal: Value = serde_json::from_str(refusal)?;
    // Over a WebSocket the connection has been closed by now, over which it would say so.
    _ = refused.client.disconnect().await;

    let mut listener = Listener::connect(&arguments, &arguments["token"]).await?;
    listener.hear("open").await?;
    let join = listener.ask("join-event", json!({ "eventId": event })).await?;
    listener.ask("join-seat-selection", event.clone()).await?;
    let room = listener.hear("room-info").await?;
    listener.ask("seat-selection-changed", json!({ "eventId": event, "seats": [seat] })).await?;
    listener.client.emit("join-event", Payload::Text(Vec::new())).await?;
    let locked = listener.hear("seat-locked").await?;
    let update = listener.hear("seat-update").await?;
    let error = listener.hear("error").await?;
    listener.client.disconnect().await?;
    let seen = json!({
        "refusal": refusal["message"], "join": join, "room": room, "locked": locked, "update": update, "errors": [error["code"]],
    });
    println!("{seen}");
    Ok(())
}
