//! Which logins are at work, told to the auth service within a second.
//!
//! That the access token of a rotation is used proves that the rotation arrived: whoever shows the refresh token before
//! it from then on has stolen it. So what is new about a login is told at once, and what is not once a minute, in batches
//! and from a memory that cannot grow.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::{
    client::{CallError, Peer},
    lifecycle::Lifecycle,
};
use domain::{
    contract::{LoginSeen, LoginsNoted, LoginsSeen, SEEN_MAX},
    ids::LoginId,
};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

/// Most logins that wait to be told; one costs about 60 bytes. What finds no room is noted at its next use.
const WAITING_MAX: usize = 10_000;
/// How long the first of a batch waits for company.
const GATHER: Duration = Duration::from_millis(400);
/// How long to wait after the auth service did not answer.
const RETRY: Duration = Duration::from_secs(1);

/// The logins that wait to be told; clones share them.
#[derive(Clone, Default)]
pub struct SeenLogins(Arc<Inner>);

#[derive(Default)]
struct Inner {
    waiting: Mutex<HashMap<LoginId, LoginSeen>>,
    some: Notify,
}

impl SeenLogins {
    /// Tells `auth` what is noted, for as long as `lifecycle` lasts, and what is left when it ends.
    pub fn tell(&self, auth: Peer, lifecycle: &Lifecycle) {
        let (seen, auth) = (self.clone(), Arc::new(auth));
        lifecycle.spawn_loop("logins-seen", move |stop| {
            let (seen, auth) = (seen.clone(), auth.clone());
            async move { seen.run(&auth, stop).await }
        });
    }

    /// Notes a login at work; returns whether there was room.
    pub fn note(&self, seen: LoginSeen) -> bool {
        let has_room = add(&mut self.waiting(), seen);
        self.0.some.notify_one();
        has_room
    }

    async fn run(&self, auth: &Peer, stop: CancellationToken) {
        let mut failing = false;
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.0.some.notified() => {}
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(if failing { RETRY } else { GATHER }) => {}
            }
            let failed = !self.flush(auth).await;
            if failed && !failing {
                tracing::warn!("the auth service does not hear which logins are at work; telling on");
            }
            failing = failed;
        }
        self.flush(auth).await;
    }

    /// Tells everything that waits; returns whether the auth service heard it.
    async fn flush(&self, auth: &Peer) -> bool {
        let waiting: Vec<LoginSeen> = self.waiting().drain().map(|(_, seen)| seen).collect();
        let mut heard = true;
        for batch in waiting.chunks(SEEN_MAX) {
            if heard {
                let body = LoginsSeen { seen: batch.to_vec() };
                match auth.post::<_, LoginsNoted>(None, &["internal", "logins", "seen"], &body).await {
                    Ok(_noted) => continue,
                    Err(CallError::Refused(view)) => {
                        // Told again it would be refused again.
                        tracing::error!(
                            status = view.status,
                            code = view.code,
                            "the auth service refuses what is seen"
                        );
                        continue;
                    }
                    Err(CallError::Failed(_away)) => heard = false,
                }
            }
            self.put_back(batch);
        }
        heard
    }

    fn put_back(&self, batch: &[LoginSeen]) {
        metrics::counter!("logins_seen_retries_total").increment(1);
        let mut waiting = self.waiting();
        for seen in batch {
            add(&mut waiting, *seen);
        }
        self.0.some.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<LoginId, LoginSeen>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the latest of each login.
fn add(waiting: &mut HashMap<LoginId, LoginSeen>, seen: LoginSeen) -> bool {
    let is_full = waiting.len() >= WAITING_MAX;
    match waiting.entry(seen.login_id) {
        Entry::Occupied(mut known) => {
            let known = known.get_mut();
            known.refresh_counter = known.refresh_counter.max(seen.refresh_counter);
            known.at = known.at.max(seen.at);
            true
        }
        Entry::Vacant(_) if is_full => false,
        Entry::Vacant(free) => {
            free.insert(seen);
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use chassis::clock::Clock;

    use super::*;

    fn seen(login_id: LoginId, refresh_counter: u32, later: u64) -> LoginSeen {
        let at = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap() + Duration::from_secs(later);
        LoginSeen { login_id, refresh_counter, at: at.into() }
    }

    #[test]
    fn a_login_is_told_once_with_what_is_latest_about_it() {
        let (logins, login_id) = (SeenLogins::default(), Clock::system().id());
        for (counter, later) in [(1, 5), (3, 4), (2, 9)] {
            assert!(logins.note(seen(login_id, counter, later)));
        }
        assert_eq!(logins.waiting().values().copied().collect::<Vec<_>>(), [seen(login_id, 3, 9)]);
    }

    #[test]
    fn a_flood_of_logins_finds_no_more_room_than_there_is() {
        let (logins, clock) = (SeenLogins::default(), Clock::system());
        let first = clock.id();
        assert!(logins.note(seen(first, 0, 0)));
        let found_room = (0..WAITING_MAX).filter(|_| logins.note(seen(clock.id(), 0, 0))).count();
        assert_eq!((found_room, logins.waiting().len()), (WAITING_MAX - 1, WAITING_MAX));
        assert!(logins.note(seen(first, 1, 0)));
    }
}
