//! Who may come in, and what happens to what they say.
//!
//! Everything a socket can hear is registered before its client is told that it is connected: the library drops, without
//! a word, an event that it has no handler for yet.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::{fault::Fault, principal::Principal, seat_hold::EVENT_NOT_FOUND};
use serde_json::{Value, json};
use socketioxide::{
    extract::{AckSender, Event, SocketRef, TryData},
    socket::DisconnectReason,
};
use tokio::time::sleep;

use super::{
    connection::Connection,
    crowd::{Joined, Line},
    hub::{Hub, note_sent},
    message::{Command, NOT_IN_ROOM, Refused, RoomInfo, SeatUpdate, TOO_MANY, TOO_MANY_ROOMS},
    place::{Place, Room},
    refusal::Refusal,
    resume,
    visitor::{Allowance, Visitor},
};

/// Most sockets of one person at one replica: a browser full of tabs, and a phone.
const SOCKETS_MAX: usize = 32;
/// How long to wait, at the start of this process, for the logins that have ended.
const LEARN: Duration = Duration::from_millis(50);
/// How long a connection that nobody can judge takes to close.
const CLOSE: Duration = Duration::from_secs(1);

/// Lets a socket in, or says why not.
pub(super) async fn admit(hub: Hub, socket: SocketRef, shown: Result<Value, ()>) -> Result<(), Refusal> {
    let connection = connection_of(&socket).ok_or(Refusal::Unknown)?;
    connection.begin(socket.id);
    let judged = judge(&hub, &connection, shown.ok()).await;
    let (person, expires_at) = match judged {
        Ok(judged) => judged,
        Err(refusal) => {
            metrics::counter!("socketio_refused_total", "reason" => refusal.name()).increment(1);
            if refusal == Refusal::Unavailable && connection.close() {
                // A client that is told so gives up; one whose connection breaks comes back by itself.
                sleep(CLOSE).await;
            }
            return Err(refusal);
        }
    };
    let visitor = Arc::new(Visitor::new(person, expires_at, connection.locale));
    register(&hub, &socket, &visitor);
    connection.visited_by(visitor);
    Ok(())
}

fn connection_of(socket: &SocketRef) -> Option<Arc<Connection>> {
    socket.req_parts().extensions.get().cloned()
}

async fn judge(
    hub: &Hub,
    connection: &Connection,
    shown: Option<Value>,
) -> Result<(Principal, Option<DateTime<Utc>>), Refusal> {
    if !connection.may_try() {
        connection.close();
        return Err(Refusal::Invalid);
    }
    let token = shown.as_ref().and_then(|shown| shown.get("token")).filter(|token| !token.is_null());
    let (person, expires_at) = match token {
        Some(Value::String(token)) => {
            let verified = hub.tokens.verify(token).await?;
            (verified.principal, Some(verified.expires_at.0))
        }
        Some(_) => return Err(Refusal::Invalid),
        // A browser's cookie or a header, which the gateway has looked at.
        None => (connection.person.ok_or(Refusal::Unknown)?, None),
    };
    while !hub.feed.is_settled() {
        sleep(LEARN).await;
    }
    if hub.revocations.contains(person.login_id) {
        return Err(Refusal::Invalid);
    }
    if hub.crowd.sockets_of(person.user_id) >= SOCKETS_MAX {
        return Err(Refusal::Crowded);
    }
    Ok((person, expires_at))
}

fn register(hub: &Hub, socket: &SocketRef, visitor: &Arc<Visitor>) {
    let (hearing, who) = (hub.clone(), visitor.clone());
    // One handler for all events: each socket would otherwise keep a table of its own.
    socket.on_fallback(
        move |socket: SocketRef, Event(name): Event, TryData(payload): TryData<Value>, ack: AckSender| {
            let (hub, visitor) = (hearing, who);
            // Counted where it arrives, so that a flood does not even wait.
            let allowance = visitor.say();
            async move { hear(&hub, &socket, &visitor, (&name, payload.ok()), (ack, allowance)).await }
        },
    );
    let (leaving, who) = (hub.clone(), visitor.clone());
    socket.on_disconnect(move |socket: SocketRef, reason: DisconnectReason| async move {
        leaving.crowd.exit(socket.id, &who, reason == DisconnectReason::ClientNSDisconnect);
    });
}

/// Takes a socket in whose client has been told that it is connected.
pub(super) async fn welcome(hub: Hub, socket: SocketRef) {
    let Some(visitor) = connection_of(&socket).and_then(|connection| connection.visitor()) else { return };
    let _turn = visitor.turn.lock().await;
    if enter(&hub, &socket, &visitor) {
        resume::restore(&hub, &socket, &visitor).await;
    }
}

/// Takes a socket in; returns whether it is the only one of its person. The first message may be faster than the welcome.
fn enter(hub: &Hub, socket: &SocketRef, visitor: &Visitor) -> bool {
    let line = connection_of(socket).map(|connection| Line { socket: socket.clone(), connection });
    let Some(is_first) = hub.crowd.enter(socket.id, visitor, line) else { return false };
    // Its login may have ended since it was judged; from now on it is found when logins end.
    if hub.revocations.contains(visitor.person.login_id) {
        hub.dismiss(socket.id);
        return false;
    }
    is_first
}

async fn hear(
    hub: &Hub,
    socket: &SocketRef,
    visitor: &Visitor,
    (event, payload): (&str, Option<Value>),
    (ack, allowance): (AckSender, Allowance),
) {
    let outcome = match allowance {
        Allowance::Enough => return hub.dismiss(socket.id),
        Allowance::TooMuch => Err(TOO_MANY),
        Allowance::Yes => {
            let _turn = visitor.turn.lock().await;
            enter(hub, socket, visitor);
            obey(hub, socket, event, payload.as_ref()).await
        }
    };
    let sent = match outcome {
        Ok(answer) => ack.send(&answer),
        Err(fault) => {
            metrics::counter!("socketio_errors_total", "code" => fault.code).increment(1);
            let refused = Refused::new(fault, event, visitor.locale);
            note_sent(&socket.emit("error", &refused));
            ack.send(&json!({ "ok": false, "error": refused }))
        }
    };
    note_sent(&sent);
}

async fn obey(hub: &Hub, socket: &SocketRef, event: &str, payload: Option<&Value>) -> Result<Value, Fault> {
    let command = Command::read(event, payload)?;
    metrics::counter!("socketio_events_total", "event" => command.name()).increment(1);
    match command {
        Command::Join(place) => join(hub, socket, place).await,
        Command::Leave(place) => {
            hub.crowd.leave(socket.id, place);
            Ok(json!({ "ok": true, "eventId": place.event_id }))
        }
        Command::Select(event_id, seats) => {
            if !hub.crowd.select(socket.id, event_id, &seats) {
                return Err(NOT_IN_ROOM);
            }
            let place = Place::new(Room::Seats, event_id);
            hub.tell_others(place, socket.id, "seat-update", &SeatUpdate { seats: &seats });
            hub.relay.selected(socket.id, event_id, seats);
            Ok(json!({ "ok": true, "eventId": event_id }))
        }
    }
}

/// Puts a socket into a room.
///
/// # Errors
/// Says why it is not in it.
pub(super) async fn join(hub: &Hub, socket: &SocketRef, place: Place) -> Result<Value, Fault> {
    let is_there = hub.events.contains(place.event_id).await.map_err(|problem| {
        problem.log();
        domain::fault::common::UNAVAILABLE
    })?;
    if !is_there {
        return Err(EVENT_NOT_FOUND);
    }
    match hub.crowd.join(socket.id, place) {
        Joined::Yes => {}
        Joined::Full => return Err(TOO_MANY_ROOMS),
        Joined::Gone => return Ok(Value::Null),
    }
    if place.room != Room::Event {
        return Ok(json!({ "ok": true, "eventId": place.event_id }));
    }
    // Everybody hears the new number soon; whoever comes wants to see one now.
    let user_count = hub.counts.guess(place.event_id, hub.crowd.count(place.event_id));
    note_sent(&socket.emit("room-info", &RoomInfo { event_id: place.event_id, user_count }));
    Ok(json!({ "ok": true, "eventId": place.event_id, "userCount": user_count }))
}
