//! The connections of this process, from their first request to their end.
//!
//! The library tells about a connection only once its client has said who it is. This keeps account from the first byte:
//! how many there are, which of them may still try to say who they are, and how each is closed.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use domain::{locale::Locale, principal::Principal};
use socketioxide::socket::Sid;

use super::{
    pipe::{Told, Wire},
    visitor::Visitor,
};

/// Most connections of one replica, at about 25 KB each.
const CONNECTIONS_MAX: usize = 20_000;
/// How often a connection may say who it is before it is closed: the tokens of a client that is refused do not get
/// better.
const TRIES: u32 = 10;

/// The connections of this process; clones share them.
#[derive(Clone, Default)]
pub(super) struct Connections(Arc<Inner>);

#[derive(Default)]
struct Inner {
    open: AtomicUsize,
    last_id: AtomicU64,
    by_id: Mutex<HashMap<u64, Weak<Connection>>>,
    by_sid: Mutex<HashMap<Sid, Weak<Connection>>>,
}

/// One connection, whatever carries it: requests that are held, or a WebSocket, or first those and then this.
pub(super) struct Connection {
    /// Who the gateway recognised in its first request.
    pub(super) person: Option<Principal>,
    /// The language of that request.
    pub(super) locale: Locale,
    sid: OnceLock<Sid>,
    wire: Mutex<Option<Wire>>,
    tries: AtomicU32,
    visitor: Mutex<Option<Arc<Visitor>>>,
    id: u64,
    connections: Connections,
}

impl Connections {
    /// Admits a new connection, unless there are as many as this process takes.
    pub(super) fn open(&self, person: Option<Principal>, locale: Locale) -> Option<Arc<Connection>> {
        let before = self.0.open.fetch_add(1, Ordering::AcqRel);
        if before >= CONNECTIONS_MAX {
            self.0.open.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        metrics::gauge!("socketio_connections").increment(1);
        let connection = Arc::new(Connection {
            person,
            locale,
            sid: OnceLock::new(),
            wire: Mutex::default(),
            tries: AtomicU32::new(0),
            visitor: Mutex::default(),
            id: self.0.last_id.fetch_add(1, Ordering::Relaxed),
            connections: self.clone(),
        });
        lock(&self.0.by_id).insert(connection.id, Arc::downgrade(&connection));
        Some(connection)
    }

    /// Returns the connection of a session.
    pub(super) fn find(&self, sid: Sid) -> Option<Arc<Connection>> {
        lock(&self.0.by_sid).get(&sid)?.upgrade()
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.open.load(Ordering::Acquire)
    }

    /// Returns all of them.
    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        lock(&self.0.by_id).values().filter_map(Weak::upgrade).collect()
    }
}

fn lock<T>(memory: &Mutex<T>) -> MutexGuard<'_, T> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    /// Remembers under which id the library knows it.
    pub(super) fn begin(self: &Arc<Self>, sid: Sid) {
        if self.sid.set(sid).is_ok() {
            lock(&self.connections.0.by_sid).insert(sid, Arc::downgrade(self));
        }
    }

    /// Takes the WebSocket that carries it from now on.
    pub(super) fn carried_by(&self, wire: Wire) {
        let mut known = lock(&self.wire);
        // A second one for the same session is nobody's.
        if known.as_ref().is_none_or(Wire::is_gone) {
            *known = Some(wire);
        }
    }

    /// Sends a whole frame on its WebSocket, if it has one.
    pub(super) fn tell(&self, frame: &Bytes) -> Told {
        lock(&self.wire).as_ref().map_or(Told::Gone, |wire| wire.tell(frame))
    }

    /// Remembers who was let in on it.
    pub(super) fn visited_by(&self, visitor: Arc<Visitor>) {
        *lock(&self.visitor) = Some(visitor);
    }

    /// Returns who was let in on it last.
    pub(super) fn visitor(&self) -> Option<Arc<Visitor>> {
        lock(&self.visitor).clone()
    }

    /// Counts one try to say who it is; returns whether it may.
    pub(super) fn may_try(&self) -> bool {
        self.tries.fetch_add(1, Ordering::Relaxed) < TRIES
    }

    /// Closes its WebSocket, and returns whether it has one.
    pub(super) fn close(&self) -> bool {
        let wire = lock(&self.wire).clone();
        wire.is_some_and(|wire| {
            wire.close();
            true
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(sid) = self.sid.get() {
            lock(&self.connections.0.by_sid).remove(sid);
        }
        lock(&self.connections.0.by_id).remove(&self.id);
        self.connections.0.open.fetch_sub(1, Ordering::AcqRel);
        metrics::gauge!("socketio_connections").decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_found_by_its_session_until_it_ends() {
        let connections = Connections::default();
        let (connection, sid) = (connections.open(None, Locale::Ko).unwrap(), Sid::new());
        assert!(connections.find(sid).is_none());
        connection.begin(sid);
        assert!(connections.find(sid).is_some());
        drop(connection);
        assert!(connections.find(sid).is_none());
        assert_eq!(connections.count(), 0);
    }

    #[test]
    fn a_full_process_takes_no_more_until_one_leaves() {
        let connections = Connections::default();
        let mut all: Vec<_> = (0..CONNECTIONS_MAX).map(|_| connections.open(None, Locale::Ko).unwrap()).collect();
        assert!(connections.open(None, Locale::Ko).is_none());
        all.pop();
        assert!(connections.open(None, Locale::Ko).is_some());
    }
}
