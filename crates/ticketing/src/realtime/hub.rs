//! What everything in real time stands on.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use chassis::{
    clock::Clock,
    lifecycle::Lifecycle,
    redis::Redis,
    revocation::{Feed, Revocations},
    verifier::TokenVerifier,
};
use domain::locale::Locale;
use serde::Serialize;
use socketioxide::{SendError, SocketError, SocketIo, TransportType, extract::SocketRef, socket::Sid};

use super::{
    connection::Connections,
    counts::Counts,
    crowd::{Crowd, Line},
    frame,
    known::KnownEvents,
    latest::Latest,
    pipe::Told,
    place::Place,
    relay::Relay,
};
use crate::queue::WaitingRooms;

/// The shared parts; clones share them.
#[derive(Clone)]
pub(super) struct Hub(Arc<Parts>);

/// The shared parts.
pub(super) struct Parts {
    /// The library.
    pub(super) io: SocketIo,
    /// Connections, whoever is behind them.
    pub(super) connections: Connections,
    /// People and their rooms.
    pub(super) crowd: Crowd,
    /// How many people look at what, on all replicas.
    pub(super) counts: Counts,
    /// Updates of which only the latest is told.
    pub(super) latest: Latest,
    /// What sockets say to sockets of other replicas.
    pub(super) relay: Relay,
    /// Whose tokens are whose.
    pub(super) tokens: TokenVerifier,
    /// Which events there are.
    pub(super) events: KnownEvents,
    /// Which logins have ended.
    pub(super) revocations: Revocations,
    /// Where that is learnt.
    pub(super) feed: Arc<Feed>,
    /// Who keeps a place in a waiting room by being here.
    pub(super) waiting: WaitingRooms,
    /// Redis.
    pub(super) redis: Redis,
    /// Time.
    pub(super) clock: Clock,
    /// The life of this process.
    pub(super) lifecycle: Lifecycle,
    /// The language of what many are told at once.
    pub(super) locale: Locale,
    /// Tells this process from the other replicas.
    pub(super) replica: String,
    /// Whether no more connections are taken.
    pub(super) closing: AtomicBool,
}

impl std::ops::Deref for Hub {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Hub {
    /// Puts the parts together.
    pub(super) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Returns whether no more connections are taken.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire) || self.lifecycle.stopping().is_cancelled()
    }

    /// Tells everybody in a room on this replica.
    pub(super) fn tell<T: Serialize>(&self, place: Place, event: &'static str, payload: &T) {
        tell_all(&self.crowd.lines_in(place, None), event, payload);
    }

    /// Tells everybody in a room on this replica, but for one.
    pub(super) fn tell_others<T: Serialize>(&self, place: Place, but: Sid, event: &'static str, payload: &T) {
        tell_all(&self.crowd.lines_in(place, Some(but)), event, payload);
    }

    /// Returns a socket.
    pub(super) fn socket(&self, sid: Sid) -> Option<SocketRef> {
        self.io.of("/")?.get_socket(sid)
    }

    /// Ends a socket for good: its client does not come back by itself.
    pub(super) fn dismiss(&self, sid: Sid) {
        if let Some(socket) = self.socket(sid) {
            // A client that takes nothing is not told; its connection is closed all the same.
            _ = socket.disconnect();
        }
        self.hang_up(sid);
    }

    /// Closes a connection; its client comes back, and says anew who it is.
    pub(super) fn hang_up(&self, sid: Sid) {
        let is_closed = self.connections.find(sid).is_some_and(|connection| connection.close());
        if !is_closed && let Some(socket) = self.socket(sid) {
            // One that polls has nothing to close, and is told instead.
            _ = socket.disconnect();
        }
    }
}

/// Tells all of these. What goes over WebSockets is encoded and framed once, and written past the library: each of
/// them costs a copy and a system call. The library tells those that poll.
pub(super) fn tell_all<T: Serialize>(lines: &[Line], event: &'static str, payload: &T) {
    if lines.is_empty() {
        return;
    }
    metrics::counter!("socketio_broadcasts_total", "event" => event).increment(1);
    let frame = match frame::event(event, payload) {
        Ok(frame) => frame,
        Err(error) => return tracing::error!(%error, event, "cannot be encoded"),
    };
    let (mut told, mut dropped) = (0, 0);
    for Line { socket, connection } in lines {
        let is_on_wire = socket.transport_type() == TransportType::Websocket;
        match if is_on_wire { connection.tell(&frame) } else { Told::Gone } {
            Told::Yes => told += 1,
            Told::Full => dropped += 1,
            Told::Gone => note_sent(&socket.emit(event, payload)),
        }
    }
    metrics::counter!("socketio_deliveries_total").increment(told);
    note_dropped(dropped);
}

/// Counts a packet for one socket that had no room for it. A slow reader misses some and sees it by the next version.
pub(super) fn note_sent(sent: &Result<(), SendError>) {
    if let Err(SendError::Socket(SocketError::InternalChannelFull)) = sent {
        note_dropped(1);
    }
}

fn note_dropped(count: u64) {
    if count > 0 {
        metrics::counter!("socketio_dropped_packets_total").increment(count);
    }
}
