//! Logins that ended before their tokens: refused within a second by whoever keeps this memory, their open connections
//! closed. The gateway keeps it, and so does a service whose clients show their tokens where the gateway does not look.
//!
//! The auth service's rows are the truth. This memory is filled from it at start and every few seconds, and Redis pushes
//! what happens in between; an entry is dropped when no token of its login is valid any more.

mod feed;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use chrono::{DateTime, Utc};
use domain::{contract::Revocation, ids::LoginId};
pub use feed::Feed;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// The memory; clones share it.
#[derive(Clone)]
pub struct Revocations(Arc<Inner>);

struct Inner {
    clock: Clock,
    revoked: RwLock<HashMap<LoginId, DateTime<Utc>>>,
    /// How often more logins have ended.
    version: AtomicU64,
    open: Mutex<HashMap<LoginId, Open>>,
    changes: watch::Sender<()>,
}

/// The open connections of one login.
#[derive(Default)]
struct Open {
    ended: CancellationToken,
    connections: usize,
}

impl Revocations {
    /// Starts with nothing revoked.
    pub fn new(clock: Clock) -> Self {
        Self(Arc::new(Inner {
            clock,
            revoked: RwLock::default(),
            version: AtomicU64::new(0),
            open: Mutex::default(),
            changes: watch::Sender::new(()),
        }))
    }

    /// Returns whether a login has ended.
    pub fn contains(&self, login_id: LoginId) -> bool {
        self.0.revoked.read().unwrap_or_else(PoisonError::into_inner).contains_key(&login_id)
    }

    /// Returns what changes whenever another login has ended: whoever has asked about a login at this version need not
    /// ask again, for as long as it is the same. Take it before asking.
    pub fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }

    /// Adds what was learnt, and closes the connections of those logins.
    pub fn add(&self, learnt: impl IntoIterator<Item = Revocation>) {
        let now = self.0.clock.now();
        let mut ended = Vec::new();
        {
            let mut revoked = self.0.revoked.write().unwrap_or_else(PoisonError::into_inner);
            for revocation in learnt.into_iter().filter(|revocation| revocation.expires_at.0 > now) {
                if revoked.insert(revocation.login_id, revocation.expires_at.0).is_none() {
                    ended.push(revocation.login_id);
                }
            }
            if !ended.is_empty() {
                self.0.version.fetch_add(1, Ordering::Release);
            }
        }
        let open = self.open();
        ended.iter().filter_map(|login_id| open.get(login_id)).for_each(|open| open.ended.cancel());
        if !ended.is_empty() {
            self.0.changes.send_replace(());
        }
    }

    /// Tells whenever more logins have ended: for whoever has many connections, and looks through them then.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    /// Drops what needs no remembering any more.
    pub fn forget_expired(&self) {
        let now = self.0.clock.now();
        let mut revoked = self.0.revoked.write().unwrap_or_else(PoisonError::into_inner);
        revoked.retain(|_, expires_at| *expires_at > now);
        metrics::gauge!("revoked_logins").set(u32::try_from(revoked.len()).unwrap_or(u32::MAX));
    }

    /// Watches over a connection of a login, or of nobody.
    ///
    /// A login that ended while the connection was being made has its watch ended from the start.
    pub fn watch(&self, login_id: Option<LoginId>) -> Watch {
        let Some(login_id) = login_id else {
            return Watch { revocations: self.clone(), login_id: None, ended: CancellationToken::new() };
        };
        let ended = {
            let mut open = self.open();
            let entry = open.entry(login_id).or_default();
            entry.connections += 1;
            entry.ended.clone()
        };
        if self.contains(login_id) {
            ended.cancel();
        }
        Watch { revocations: self.clone(), login_id: Some(login_id), ended }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<LoginId, Open>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a connection on the list of those to close.
pub struct Watch {
    revocations: Revocations,
    login_id: Option<LoginId>,
    ended: CancellationToken,
}

impl Watch {
    /// Returns the token that is cancelled when the login ends.
    pub fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(login_id) = self.login_id else { return };
        let mut open = self.revocations.open();
        if let Some(entry) = open.get_mut(&login_id) {
            entry.connections -= 1;
            if entry.connections == 0 {
                open.remove(&login_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn setup() -> (Clock, Revocations, LoginId) {
        let clock = Clock::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let login_id = clock.id();
        (clock.clone(), Revocations::new(clock), login_id)
    }

    fn revocation(clock: &Clock, login_id: LoginId) -> Revocation {
        Revocation { login_id, expires_at: (clock.now() + Duration::from_mins(1)).into() }
    }

    #[test]
    fn the_version_changes_with_what_is_new_and_with_nothing_else() {
        let (clock, revocations, login_id) = setup();
        let before = revocations.version();
        revocations.add([revocation(&clock, login_id)]);
        let after = revocations.version();
        assert_ne!(after, before);
        // Every few seconds all of them are learnt again.
        revocations.add([revocation(&clock, login_id)]);
        assert_eq!(revocations.version(), after);
        revocations.add([revocation(&clock, clock.id())]);
        assert_ne!(revocations.version(), after);
    }

    #[test]
    fn an_entry_lasts_as_long_as_the_tokens() {
        let (clock, revocations, login_id) = setup();
        revocations.add([revocation(&clock, login_id)]);
        assert!(revocations.contains(login_id));
        clock.advance(Duration::from_secs(61));
        revocations.forget_expired();
        assert!(!revocations.contains(login_id));
    }

    #[test]
    fn every_connection_of_the_login_ends_and_no_other() {
        let (clock, revocations, login_id) = setup();
        let mine = [revocations.watch(Some(login_id)), revocations.watch(Some(login_id))];
        let others = [revocations.watch(Some(clock.id())), revocations.watch(None)];
        revocations.add([revocation(&clock, login_id)]);
        assert!(mine.iter().all(|watch| watch.ended().is_cancelled()));
        assert!(!others.iter().any(|watch| watch.ended().is_cancelled()));
        assert!(revocations.watch(Some(login_id)).ended().is_cancelled());
    }

    #[test]
    fn a_closed_connection_leaves_nothing_behind() {
        let (_, revocations, login_id) = setup();
        let watches = [revocations.watch(Some(login_id)), revocations.watch(Some(login_id))];
        drop(watches);
        assert!(revocations.open().is_empty());
    }
}
