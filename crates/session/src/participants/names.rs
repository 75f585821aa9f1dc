//! The names of presenters, as the auth service knows them.
//!
//! Everybody who types a code sees who holds the session, so a name is asked for once and remembered for a minute. It is
//! an ornament: when the auth service is away or slow there is none, and people come in all the same.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::{
    client::{CallError, Peer},
    clock::Clock,
    recent::Recent,
};
use chrono::{DateTime, Utc};
use domain::{contract::UserCard, ids::UserId};
use tokio::time::timeout;

/// Names remembered by a process.
const REMEMBERED: usize = 4_096;
/// How long a name is believed: a new one is seen within that.
const FRESH: Duration = Duration::from_mins(1);
/// How long it is believed that there is none to be had: every other visitor need not wait for it too.
const ABSENT: Duration = Duration::from_secs(2);
/// Longest that the auth service may take to tell one.
pub(crate) const PATIENCE: Duration = Duration::from_millis(250);
/// Longest that somebody waits for a name, those included who wait for another's question: a little more.
const WAIT: Duration = Duration::from_millis(300);
/// Names that are asked for at the same time; the same name is asked for once.
const LANES: usize = 32;

#[derive(Clone)]
struct Known {
    name: Option<String>,
    until: DateTime<Utc>,
}

/// Asks for names and remembers them.
pub struct Names {
    clock: Clock,
    hasher: RandomState,
    lanes: [tokio::sync::Mutex<()>; LANES],
    known: Mutex<Recent<UserId, Known>>,
}

impl Names {
    /// Remembers nothing yet.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            hasher: RandomState::new(),
            lanes: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            known: Mutex::new(Recent::new(REMEMBERED)),
        }
    }

    /// Returns a person's name; nothing when there is no such person, or nobody tells it in time.
    pub async fn of(&self, auth: &Peer, person: UserId) -> Option<String> {
        if let Some(known) = self.fresh(person) {
            return known.name;
        }
        timeout(WAIT, self.ask(auth, person)).await.ok().flatten()
    }

    async fn ask(&self, auth: &Peer, person: UserId) -> Option<String> {
        let lane = usize::try_from(self.hasher.hash_one(person) % LANES as u64).unwrap_or_default();
        let _turn = self.lanes.get(lane)?.lock().await;
        if let Some(known) = self.fresh(person) {
            return known.name;
        }
        let id = person.to_string();
        let (name, believed) = match auth.get::<UserCard>(None, &["internal", "users", &id, "card"]).await {
            Ok(card) => (Some(card.name), FRESH),
            Err(CallError::Refused(_)) => (None, FRESH),
            Err(CallError::Failed(problem)) => {
                tracing::debug!(code = problem.code(), "a presenter's name is not told");
                (None, ABSENT)
            }
        };
        let known = Known { name: name.clone(), until: self.clock.now() + believed };
        self.known().put(person, known);
        name
    }

    fn fresh(&self, person: UserId) -> Option<Known> {
        self.known().get(&person).filter(|known| self.clock.now() < known.until)
    }

    fn known(&self) -> MutexGuard<'_, Recent<UserId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
