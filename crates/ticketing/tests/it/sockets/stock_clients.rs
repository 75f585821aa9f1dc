//! Clients that others have written, in JavaScript and in Rust, over either transport.

use std::{process::Stdio, time::Duration};

use serde_json::{Value, json};
use testkit::{cargo, npm};
use ticketing::notice::{Notice, SeatNotice};
use tokio::process::Command;

use super::{
    Hall,
    hall::{joined, settle},
};

/// The package of JavaScript, in the version that this was tried with.
const PACKAGE: &str = "socket.io-client@4.8.1";

/// Connects, joins, hears of a seat, marks one, and prints what it saw.
const SCRIPT: &str = "
import { io } from 'socket.io-client';
const { url, transports, event, seat, headers, token } = JSON.parse(process.argv.at(-1));
const seen = { errors: [] };
const refused = io(url, { transports, extraHeaders: headers.nobody, auth: { token: 'made-up' }, reconnection: false });
await new Promise((done) => refused.on('connect_error', (error) => { seen.refusal = error.message; done(); }));
refused.close();
const socket = io(url, { transports, extraHeaders: headers.nobody, auth: { token } });
socket.on('error', (error) => seen.errors.push(error.code));
await new Promise((done) => socket.on('connect', done));
const room = new Promise((done) => socket.once('room-info', done));
seen.join = await socket.emitWithAck('join-event', { eventId: event });
await socket.emitWithAck('join-seat-selection', event);
seen.room = await room;
const locked = new Promise((done) => socket.once('seat-locked', done));
const update = new Promise((done) => socket.once('seat-update', done));
await socket.emitWithAck('seat-selection-changed', { eventId: event, seats: [seat] });
socket.emit('join-event');
console.log('ready');
seen.locked = await locked;
seen.update = await update;
seen.transport = socket.io.engine.transport.name;
socket.disconnect();
console.log(JSON.stringify(seen));
";

/// The program around the client of Rust, `rust_socketio`, which does the same; it is no part of the workspace.
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rust-socketio");

/// Returns the client of JavaScript, ready to start.
async fn in_javascript() -> Result<Command, String> {
    let mut node = Command::new("node");
    node.args(["--input-type=module", "--eval", SCRIPT, "--"]).current_dir(npm::install(PACKAGE).await?);
    Ok(node)
}

/// Returns the client of Rust, ready to start.
async fn in_rust() -> Result<Command, String> {
    cargo::build(DIRECTORY, "rust-socketio-client", "openssl").await.map(Command::new)
}

/// Has a client see what there is to see; returns what it saw, or why there is no such client.
async fn seen_by(client: Result<Command, String>, transports: &[&str]) -> Result<Value, String> {
    let mut client = client?;
    let hall = Hall::open().await;
    let (event, seat_id) = (hall.event().await, hall.house.stage.clock.id());
    let clock = &hall.house.stage.clock;
    let auth = hall.auth.knows("good", hall.somebody(), (clock.now() + Duration::from_mins(5)).into());
    let nobody = hall.house.app.anonymous().token().unwrap();
    let arguments = json!({
        "url": format!("http://{}", hall.house.app.addr()), "transports": transports, "event": event, "seat": seat_id,
        "headers": { "nobody": { "authorization": format!("Bearer {nobody}") } }, "token": auth["token"],
    });
    let mut there = joined(hall.there().await, "join-seat-selection", event).await;
    let started = client.arg(arguments.to_string()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
    let finished = started.map_err(|error| format!("the client cannot be started: {error}"))?.wait_with_output();
    let act = async {
        assert_eq!(there.hear("seat-update").await, json!({ "seats": [seat_id] }));
        let seat = SeatNotice { seat_id, status: domain::seat_hold::SeatStatus::Locked, version: 4 };
        hall.tell(&[Notice::Seats { event_id: event, seats: vec![seat] }]).await;
        there.ask("seat-selection-changed", &json!({ "eventId": event, "seats": [] })).await;
        settle(&mut there).await;
    };
    let (output, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(30), finished), act);
    let output = output.unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let seen: Value = serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap();
    assert_eq!(seen["refusal"], "Invalid authentication token");
    assert_eq!((&seen["join"]["ok"], &seen["room"]["eventId"]), (&json!(true), &json!(event)));
    assert_eq!((&seen["locked"]["seatId"], &seen["locked"]["version"]), (&json!(seat_id), &json!(4)));
    assert_eq!((&seen["update"], &seen["errors"]), (&json!({ "seats": [] }), &json!(["bad_payload"])));
    Ok(seen)
}

async fn javascript_speaks(transports: &[&str]) -> Result<(), String> {
    let seen = seen_by(in_javascript().await, transports).await?;
    assert_eq!(seen["transport"].as_str(), transports.last().copied());
    Ok(())
}

async fn rust_speaks(transports: &[&str]) -> Result<(), String> {
    seen_by(in_rust().await, transports).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_client_speaks_over_a_websocket() {
    if let Err(reason) = javascript_speaks(&["websocket"]).await {
        println!("skipped: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_client_speaks_by_polling() {
    if let Err(reason) = javascript_speaks(&["polling"]).await {
        println!("skipped: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stock_client_changes_from_polling_to_a_websocket() {
    if let Err(reason) = javascript_speaks(&["polling", "websocket"]).await {
        println!("skipped: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_of_rust_speaks_over_a_websocket() {
    if let Err(reason) = rust_speaks(&["websocket"]).await {
        println!("skipped: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_of_rust_speaks_by_polling() {
    if let Err(reason) = rust_speaks(&["polling"]).await {
        println!("skipped: {reason}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_of_rust_changes_from_polling_to_a_websocket() {
    if let Err(reason) = rust_speaks(&["polling", "websocket"]).await {
        println!("skipped: {reason}");
    }
}
