//! Where ended logins are learnt from: the auth service, asked at start and every few seconds, and Redis in between.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::{
    contract::{self, REVOCATIONS, Revocation, RevocationsSince},
    time::Instant as Wall,
};
use futures_util::StreamExt;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::Revocations;
use crate::{client::Peer, lifecycle::Lifecycle, redis::Redis};

/// How often the auth service is asked; the longest a logout can go unnoticed when Redis is away.
const ASK_EVERY: Duration = Duration::from_secs(5);
/// How long a start waits for the first answer before it lets people in without.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the auth service is asked until it has answered once.
const ASK_FIRST_EVERY: Duration = Duration::from_millis(200);
/// How often the auth service is asked for everything again, in case an answer in between lacked something.
const ASK_ALL_EVERY: Duration = Duration::from_mins(5);
/// Longest to wait for a subscription.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(2);

/// What to ask for: everything at first and every few minutes, and in between what is new.
#[derive(Default)]
struct Progress {
    as_of: Option<Wall>,
    all_at: Option<Instant>,
}

impl Progress {
    fn question(&self) -> RevocationsSince {
        let all_is_recent = self.all_at.is_some_and(|at| at.elapsed() < ASK_ALL_EVERY);
        RevocationsSince { since: self.as_of.filter(|_| all_is_recent) }
    }

    fn note(&mut self, asked: RevocationsSince, as_of: Option<Wall>) {
        if asked.since.is_none() {
            self.all_at = Some(Instant::now());
        }
        self.as_of = as_of;
    }
}

/// Keeps [`Revocations`] up to date.
pub struct Feed {
    revocations: Revocations,
    auth: Peer,
    redis: Redis,
    loaded: AtomicBool,
    started: Instant,
    ask_now: Notify,
}

impl Feed {
    /// Starts to learn, for as long as `lifecycle` lasts.
    pub fn start(revocations: Revocations, auth: Peer, redis: Redis, lifecycle: &Lifecycle) -> Arc<Self> {
        let (loaded, started, ask_now) = (AtomicBool::new(false), Instant::now(), Notify::new());
        let feed = Arc::new(Self { revocations, auth, redis, loaded, started, ask_now });
        let (asking, listening) = (feed.clone(), feed.clone());
        lifecycle.spawn_loop("revocations-ask", move |stop| {
            let feed = asking.clone();
            async move { feed.ask(stop).await }
        });
        lifecycle.spawn_loop("revocations-listen", move |stop| {
            let feed = listening.clone();
            async move { feed.listen(stop).await }
        });
        feed
    }

    /// Returns whether people may be let in: the ended logins are known, or it is not worth waiting for them any longer.
    pub fn is_settled(&self) -> bool {
        self.loaded.load(Ordering::Acquire) || self.started.elapsed() > PATIENCE
    }

    /// Returns how long to wait before asking again; nobody is let in before the first answer, so that one is hurried.
    fn pause(&self) -> Duration {
        if self.loaded.load(Ordering::Acquire) { ASK_EVERY } else { ASK_FIRST_EVERY }
    }

    async fn ask(&self, stop: CancellationToken) {
        let (mut failing, mut progress) = (false, Progress::default());
        while !stop.is_cancelled() {
            self.revocations.forget_expired();
            let question = progress.question();
            let asked = self.auth.get_with::<_, contract::Revocations>(None, &["internal", "revocations"], &question);
            match asked.await {
                Ok(answer) => {
                    progress.note(question, answer.as_of);
                    self.revocations.add(answer.revoked);
                    self.loaded.store(true, Ordering::Release);
                    failing = false;
                }
                Err(error) => {
                    if !failing {
                        tracing::warn!(?error, "the auth service does not tell which logins have ended; asking on");
                    }
                    failing = true;
                    metrics::counter!("revocations_ask_failures_total").increment(1);
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.ask_now.notified() => {}
                () = tokio::time::sleep(self.pause()) => {}
            }
        }
    }

    async fn listen(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let subscribed = timeout(SUBSCRIBE_TIMEOUT, self.redis.subscribe(REVOCATIONS)).await;
            if let Ok(Ok(notices)) = subscribed {
                // What was said before the subscription stood is only to be had from the auth service.
                self.ask_now.notify_one();
                let notices = notices.take_until(stop.cancelled()).for_each(|notice| {
                    self.learn(&notice);
                    std::future::ready(())
                });
                notices.await;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(Redis::resubscribe_pause()) => {}
            }
        }
    }

    fn learn(&self, notice: &str) {
        match serde_json::from_str::<Revocation>(notice) {
            Ok(revocation) => self.revocations.add([revocation]),
            Err(error) => tracing::warn!(%error, "a notice of an ended login cannot be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn everything_is_asked_for_at_first_and_every_few_minutes() {
        let as_of = Some(Wall(DateTime::from_timestamp(1_800_000_000, 0).unwrap()));
        let mut progress = Progress::default();
        assert_eq!(progress.question().since, None);
        progress.note(progress.question(), as_of);
        assert_eq!(progress.question().since, as_of);
        tokio::time::advance(Duration::from_secs(299)).await;
        progress.note(progress.question(), as_of);
        assert_eq!(progress.question().since, as_of);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(progress.question().since, None);
        progress.note(progress.question(), None);
        assert_eq!(progress.question().since, None);
    }
}
