//! Who owns every loop and when it ends.
//!
//! A service drains in four steps: `/readyz` turns 503 while requests are still served and answered with
//! `Connection: close`; after the drain delay sockets are told to close, the listener stops and requests in flight
//! finish; then loops are told to end, because requests lean on them; tracked tasks are awaited up to a limit. Sockets end
//! one after the other: all who are sent away come back.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{runtime::Handle, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

/// First pause before a loop that panicked is started again; doubles up to [`RESTART_MAX`].
const RESTART_MIN: Duration = Duration::from_millis(100);
/// Longest pause between restarts: a loop that cannot run is retried, and does not spin.
const RESTART_MAX: Duration = Duration::from_secs(10);
/// A loop that ran this long was sound: its next restart is the first again.
const SOUND_AFTER: Duration = Duration::from_mins(1);

/// Sockets that may come back in one second without being noticed where they arrive.
const RETURNS_PER_SECOND: u32 = 500;
/// Longest that sending all sockets away takes; under the time that a process has to end.
const LONGEST_FAREWELL: Duration = Duration::from_secs(10);
/// The golden ratio, as a part of 2^32: multiples of it fall evenly into any range, however many there are.
const GOLDEN: u32 = 2_654_435_769;

/// The life of one running service; clones share it.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    draining: Arc<AtomicBool>,
    closing: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
    sockets: Arc<Sockets>,
    /// Where tasks live. Each HTTP worker has a runtime of its own that ends with it, and with it whatever a handler
    /// started there; the process's own runtime stays to the end.
    runtime: Option<Handle>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

impl Lifecycle {
    /// Begins a life; call inside the process's own runtime, which is where its tasks will run.
    pub fn new() -> Self {
        Self {
            draining: Arc::default(),
            closing: CancellationToken::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            sockets: Arc::default(),
            runtime: Handle::try_current().ok(),
        }
    }

    /// Says that the service is about to stop: it still serves, and asks to be left.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Returns whether the service is about to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Returns the token that is cancelled when sockets and other answers without an end must end.
    pub fn stopping(&self) -> CancellationToken {
        self.closing.clone()
    }

    /// Counts a socket, or another answer without an end, until what is returned is dropped.
    pub fn socket(&self) -> OpenSocket {
        self.sockets.open.fetch_add(1, Ordering::Relaxed);
        let number = self.sockets.last.fetch_add(1, Ordering::Relaxed);
        OpenSocket { sockets: self.sockets.clone(), closing: self.closing.clone(), number }
    }

    /// Says how long the service may take to end: sockets are sent away in the first half of that.
    pub fn ends_within(&self, limit: Duration) {
        // It is known from the start and does not change.
        _ = self.sockets.longest.set(limit / 2);
    }

    /// Returns over how long so many sockets are sent away.
    pub fn farewell(&self, sockets: u32) -> Duration {
        self.sockets.farewell(sockets)
    }

    /// Tells sockets to end; requests in flight still have the loops they lean on.
    pub fn close_sockets(&self) {
        self.begin_drain();
        self.closing.cancel();
    }

    /// Tells sockets and loops to end.
    pub fn stop(&self) {
        self.close_sockets();
        self.stop.cancel();
    }

    /// Runs `future` as an owned task that ends by itself or with the service.
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let span = tracing::info_span!("task", task = name);
        let tracked = self.tasks.track_future(future.instrument(span));
        #[expect(clippy::disallowed_methods, reason = "the one place that starts tasks, and it tracks them")]
        match &self.runtime {
            Some(runtime) => drop(runtime.spawn(tracked)),
            None => drop(tokio::spawn(tracked)),
        }
    }

    /// Runs a loop for as long as the service lives and starts it again when it panics or returns early.
    ///
    /// Restarts are counted in the metric `task_restarts_total`.
    pub fn spawn_loop<F, Fut>(&self, name: &'static str, run: F)
    where
        F: Fn(CancellationToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let stop = self.stop.clone();
        self.spawn(name, async move {
            let mut pause = RESTART_MIN;
            while !stop.is_cancelled() {
                let started = Instant::now();
                let ended = AssertUnwindSafe(async { run(stop.clone()).await }).catch_unwind().await;
                if stop.is_cancelled() {
                    break;
                }
                if started.elapsed() > SOUND_AFTER {
                    pause = RESTART_MIN;
                }
                metrics::counter!("task_restarts_total", "task" => name).increment(1);
                tracing::error!(panicked = ended.is_err(), "loop ended early, starting it again");
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(RESTART_MAX),
                }
            }
        });
    }

    /// Does something at once and then every so often, for as long as the service lives; a panic is as in
    /// [`spawn_loop`](Self::spawn_loop).
    pub fn spawn_every<F, Fut>(&self, name: &'static str, pause: Duration, round: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let round = Arc::new(round);
        self.spawn_loop(name, move |stop| {
            let round = Arc::clone(&round);
            async move {
                while !stop.is_cancelled() {
                    round().await;
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(pause) => {}
                    }
                }
            }
        });
    }

    /// Waits until every owned task has ended, at most `limit`; returns whether all did.
    pub async fn finished(&self, limit: Duration) -> bool {
        self.tasks.close();
        tokio::time::timeout(limit, self.tasks.wait()).await.is_ok()
    }
}

#[derive(Debug, Default)]
struct Sockets {
    open: AtomicU32,
    last: AtomicU32,
    /// The part of the time to end that sending them away may take, once that is known.
    longest: OnceLock<Duration>,
}

impl Sockets {
    fn farewell(&self, sockets: u32) -> Duration {
        let longest = self.longest.get().map_or(LONGEST_FAREWELL, |most| LONGEST_FAREWELL.min(*most));
        (Duration::from_secs(1) * sockets / RETURNS_PER_SECOND).min(longest)
    }
}

/// A socket that must end with the service.
#[derive(Debug)]
pub struct OpenSocket {
    sockets: Arc<Sockets>,
    closing: CancellationToken,
    number: u32,
}

impl OpenSocket {
    /// Waits until this socket must end: not in the same moment as all others. Await it once, not once in a loop.
    pub async fn must_end(&self) {
        self.closing.cancelled().await;
        let spread = self.sockets.farewell(self.sockets.open.load(Ordering::Relaxed));
        // In sixteen bits, for a duration is multiplied by 32 of them.
        tokio::time::sleep(spread * (self.number.wrapping_mul(GOLDEN) >> 16) / (1 << 16)).await;
    }

    /// As [`must_end`](Self::must_end); the socket counts as open until the future is dropped.
    pub async fn must_end_owned(self) {
        self.must_end().await;
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.sockets.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sockets_end_one_after_the_other_within_ten_seconds() {
        let lifecycle = Lifecycle::new();
        let alone = lifecycle.socket();
        let others: Vec<_> = (1..10_000).map(|_| lifecycle.socket()).collect();
        let ends = others.into_iter().chain([alone]).map(|socket| async move {
            let begun = Instant::now();
            socket.must_end().await;
            begun.elapsed()
        });
        lifecycle.close_sockets();
        let mut ends = futures_util::future::join_all(ends).await;
        ends.sort();
        assert!(ends.last().is_some_and(|last| *last <= LONGEST_FAREWELL), "{:?}", ends.last());
        for (second, end) in (0..10).zip(ends.iter().step_by(1_000)) {
            let expected = Duration::from_secs(second);
            assert!(end.abs_diff(expected) < Duration::from_millis(100), "{end:?} instead of {expected:?}");
        }

        let lifecycle = Lifecycle::new();
        lifecycle.ends_within(Duration::from_secs(4));
        let many: Vec<_> = (0..10_000).map(|_| lifecycle.socket()).collect();
        lifecycle.close_sockets();
        let begun = Instant::now();
        futures_util::future::join_all(many.iter().map(OpenSocket::must_end)).await;
        assert!(begun.elapsed() <= Duration::from_secs(2), "a service that must end soon has less time");

        let lifecycle = Lifecycle::new();
        let few: Vec<_> = (0..5).map(|_| lifecycle.socket()).collect();
        lifecycle.close_sockets();
        let begun = Instant::now();
        futures_util::future::join_all(few.iter().map(OpenSocket::must_end)).await;
        assert!(begun.elapsed() <= Duration::from_millis(10), "few need not wait");
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_panics_is_started_again() {
        let lifecycle = Lifecycle::new();
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = runs.clone();
        lifecycle.spawn_loop("test", move |stop| {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(run > 1, "the first two runs panic");
                stop.cancelled().await;
            }
        });
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(runs.load(Ordering::SeqCst), 3);
        lifecycle.stop();
        assert!(lifecycle.finished(Duration::from_secs(1)).await);
    }
}
