//! The lane: where requests of this process for tickets, or for seats, meet on their way to the database.
//!
//! A ticket type that everybody wants is one row, and each transaction that changes it waits for the one before; seats
//! are many rows, but each hold by itself spends most of its time on what every transaction costs. So requests that come
//! while one is written travel together and share one transaction; each gets its own answer. Nobody waits for company: a
//! request that finds the lane empty goes at once. A lane has connections of its own, so that a rush on one event leaves
//! those of other requests alone. A request that was answered is on disk.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chassis::{
    gauges,
    lifecycle::Lifecycle,
    outbox::Outbox,
    pg::{Connection, Pg, PgConfig},
    problem::{Outcome, Problem},
};
use diesel_async::AsyncPgConnection;
use domain::{fault::common, ids::UserId};
use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::{
        Mutex, Notify, OnceCell,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use super::{batch::Terms, verdict::Verdict};

/// Most requests of one batch: fewer leave throughput behind, more only add to everybody's wait.
const BATCH: usize = 64;
/// Batches on their way at once.
const DEPTH: usize = 2;
/// Requests of a second batch that goes behind the first on the same connection. The server begins with it the moment it
/// has done the first, where it would wait for answers to be read and another batch to be put together otherwise. Fewer
/// leave what every transaction costs to too few, more leave the server without work (`maru-bench hot-sale`: 64 buyers at
/// once place 19,000 orders a second one batch after the other, 20,500 from 20, 22,000 from 28 and 19,000 from 36 on).
const BEHIND: usize = 28;
/// Most requests that wait in this process; at 20,000 a second they are answered within a fifth of a second.
const MOST_WAITING: usize = 4_096;
/// Longest wait for a lock: whoever holds a row for longer must not stop everybody else.
const LOCK_TIMEOUT_MS: u32 = 250;
/// How long requests of a batch that failed are tried one by one.
const ONE_BY_ONE: Duration = Duration::from_secs(1);
/// How long notices gather: people who look on need not hear of each of several hundred batches a second.
const GATHER: Duration = Duration::from_millis(25);

/// What travels in a lane.
pub trait Request: Send + Sync + Sized + 'static {
    /// The name of the lane, in the plural.
    const KIND: &'static str;

    /// Returns who asks. Of each person a batch has at most one request.
    fn buyer(&self) -> UserId;

    /// Returns the rows that it may have to wait for.
    fn wanted(&self) -> impl Iterator<Item = Uuid>;

    /// Does as all of them ask, or refuses, each for itself and in their order; none is left due. Each of its statements is
    /// a transaction of its own: others may be on the same connection.
    ///
    /// # Errors
    /// Returns a problem when the database is away or a lock is not free in time; nothing has changed then, unless the
    /// connection broke, when nobody knows. Asked again, whatever was done is answered as before.
    fn together(
        conn: &AsyncPgConnection,
        requests: &[&Self],
        terms: Terms,
    ) -> impl Future<Output = Outcome<Vec<Verdict>>> + Send;

    /// Does everything once and takes it back: a connection's first use of a function costs some thirty milliseconds of
    /// compiling and planning, which at the opening of a sale nobody has.
    ///
    /// # Errors
    /// Returns a problem when the database is away.
    fn rehearse(conn: &mut AsyncPgConnection, terms: Terms) -> impl Future<Output = Outcome<()>> + Send;
}

struct Job<R> {
    request: R,
    answer: oneshot::Sender<Outcome<Verdict>>,
}

/// A request that waits, counted for as long as this lives: whoever goes with a batch, has hung up, or went down with a
/// panic is counted no more, and nobody is twice.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    /// Counts one more, unless too many wait already.
    fn begin(count: &Arc<AtomicUsize>) -> Option<Self> {
        let before = count.fetch_add(1, Ordering::Relaxed);
        let waiting = Self(count.clone());
        (before < MOST_WAITING).then_some(waiting)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request on its way to the next batch.
type Queued<R> = (Waiting, Job<R>);

/// The way of requests into the database; clones share it.
pub struct Lane<R>(Arc<Inner<R>>);

impl<R> Clone for Lane<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The connection of batches that go one behind the other, taken when the first one goes and given back after the last.
type Road = OnceCell<Connection>;

/// How a batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// On a connection of its own.
    Beside,
    /// On the connection of the one before.
    Behind,
}

impl Way {
    /// Decides whether a batch goes, with so many running and so many requests waiting.
    const fn of(running: usize, waiting: usize) -> Option<Self> {
        match running {
            _ if waiting == 0 || running >= DEPTH => None,
            0 => Some(Self::Beside),
            // Both at the same time, until they come to the same row.
            _ if waiting >= BATCH => Some(Self::Beside),
            _ if waiting >= BEHIND => Some(Self::Behind),
            _ => None,
        }
    }
}

struct Inner<R> {
    pg: Pg,
    terms: Terms,
    waiting: Arc<AtomicUsize>,
    jobs: UnboundedSender<Queued<R>>,
    queue: Mutex<UnboundedReceiver<Queued<R>>>,
    committed: Notify,
}

impl<R: Request> Lane<R> {
    /// Builds a lane to this database; nothing moves on it before [`start`](Self::start).
    ///
    /// # Errors
    /// Returns a problem when the database's URL cannot be read.
    pub fn new(pg: &PgConfig, name: &'static str, terms: Terms) -> Outcome<Self> {
        let pg = Pg::new(&own(pg)?, name).map_err(Problem::unexpected)?;
        let (jobs, queue) = unbounded_channel();
        let (waiting, queue) = (Arc::default(), Mutex::new(queue));
        Ok(Self(Arc::new(Inner { pg, terms, waiting, jobs, queue, committed: Notify::new() })))
    }

    /// Starts the loops that move it; they end when everything that was accepted is answered.
    pub fn start(&self, lifecycle: &Lifecycle, outbox: &Outbox) {
        let lane = self.0.clone();
        lifecycle.spawn_loop(R::KIND, move |stop| {
            let lane = lane.clone();
            async move { lane.combine(stop).await }
        });
        let (lane, outbox) = (self.0.clone(), outbox.clone());
        lifecycle.spawn_loop("lane_notices", move |stop| {
            let (lane, outbox) = (lane.clone(), outbox.clone());
            async move {
                while !stop.is_cancelled() {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = lane.committed.notified() => {
                            tokio::time::sleep(GATHER).await;
                            outbox.wake();
                        }
                    }
                }
            }
        });
    }

    /// Places a request and waits for what comes of it.
    ///
    /// # Errors
    /// 503 when too many wait already, and when the database is away.
    pub async fn place(&self, request: R) -> Outcome<Verdict> {
        let Some(waiting) = Waiting::begin(&self.0.waiting) else {
            metrics::counter!("lane_shed_total", "lane" => R::KIND).increment(1);
            return Err(Problem::from(common::UNAVAILABLE).retry_after(1));
        };
        let (answer, answered) = oneshot::channel();
        if self.0.jobs.send((waiting, Job { request, answer })).is_err() {
            return Err(Problem::unavailable("requests are not taken any more"));
        }
        answered.await.map_err(Problem::unavailable)?
    }
}

impl<R: Request> Inner<R> {
    async fn combine(&self, stop: CancellationToken) {
        let mut queue = self.queue.lock().await;
        self.rehearse().await;
        let mut waiting = VecDeque::new();
        let mut arrived = Vec::new();
        let mut running = FuturesUnordered::new();
        let mut last = Weak::new();
        let mut is_open = true;
        while is_open || !waiting.is_empty() || !running.is_empty() {
            while let Some(way) = Way::of(running.len(), waiting.len()) {
                let jobs = self.take_batch(&mut waiting);
                if !jobs.is_empty() {
                    let road = last.upgrade().filter(|_| way == Way::Behind).unwrap_or_default();
                    last = Arc::downgrade(&road);
                    running.push(self.run(jobs, road));
                }
            }
            tokio::select! {
                Some(()) = running.next() => {}
                taken = queue.recv_many(&mut arrived, MOST_WAITING), if is_open => {
                    waiting.extend(arrived.drain(..));
                    is_open = taken > 0;
                }
                // From here on nothing is accepted; what was is worked off.
                () = stop.cancelled(), if !queue.is_closed() => queue.close(),
                else => {}
            }
        }
        // A loop that returns while the service lives is started again, and would spin.
        stop.cancelled().await;
    }

    /// Warms all connections; one that cannot be had is warmed by its first request.
    async fn rehearse(&self) {
        let warming = (0..DEPTH).map(|_| async {
            let mut conn = self.pg.conn().await?;
            R::rehearse(&mut conn, self.terms).await?;
            // Given back only when all are out, or the same one would be warmed twice.
            Outcome::Ok(conn)
        });
        for warmed in join_all(warming).await {
            if let Err(problem) = warmed {
                tracing::warn!(code = problem.code(), lane = R::KIND, "a lane begins without a rehearsal");
            }
        }
    }

    /// Takes the requests of the next batch, at most one of each person, in the order they came; those whose clients have
    /// gone are left out.
    fn take_batch(&self, waiting: &mut VecDeque<Queued<R>>) -> Vec<Job<R>> {
        let mut buyers = HashSet::with_capacity(BATCH);
        let (mut jobs, mut later) = (Vec::with_capacity(BATCH.min(waiting.len())), Vec::new());
        while jobs.len() < BATCH
            && let Some((waits, job)) = waiting.pop_front()
        {
            if job.answer.is_closed() {
                continue;
            }
            if buyers.insert(job.request.buyer()) {
                jobs.push(job);
            } else {
                later.push((waits, job));
            }
        }
        for queued in later.into_iter().rev() {
            waiting.push_front(queued);
        }
        let still = self.waiting.load(Ordering::Relaxed);
        metrics::gauge!("lane_requests_waiting", "lane" => R::KIND).set(gauges::count(still));
        jobs
    }

    async fn run(&self, jobs: Vec<Job<R>>, road: Arc<Road>) {
        let requests: Vec<_> = jobs.iter().map(|job| &job.request).collect();
        #[expect(clippy::cast_precision_loss, reason = "at most 64")]
        metrics::histogram!("lane_batch_size", "lane" => R::KIND).record(requests.len() as f64);
        let verdicts = match self.together(&requests, &road).await {
            Ok(verdicts) => verdicts.into_iter().map(Ok).collect(),
            Err(problem) => {
                drop(road);
                problem.log();
                metrics::counter!("lane_batches_failed_total", "lane" => R::KIND).increment(1);
                self.one_by_one(&requests).await
            }
        };
        self.committed.notify_one();
        for (job, verdict) in jobs.into_iter().zip(verdicts) {
            metrics::counter!("lane_requests_total", "lane" => R::KIND, "outcome" => outcome(&verdict)).increment(1);
            // Whoever has gone meanwhile finds the reservation in their list.
            _ = job.answer.send(verdict);
        }
    }

    async fn together(&self, requests: &[&R], road: &Road) -> Outcome<Vec<Verdict>> {
        R::together(road.get_or_try_init(|| self.pg.conn()).await?, requests, self.terms).await
    }

    /// Tries each request for itself after all together have failed: one that cannot be done, or waits for a lock, must
    /// not take the others with it. What waits for the same rows as one that failed is not tried.
    async fn one_by_one(&self, requests: &[&R]) -> Vec<Outcome<Verdict>> {
        let until = Instant::now() + ONE_BY_ONE;
        let mut stuck = HashSet::new();
        let mut verdicts = Vec::with_capacity(requests.len());
        for request in requests {
            if Instant::now() >= until || request.wanted().any(|wanted| stuck.contains(&wanted)) {
                verdicts.push(Err(Problem::from(common::UNAVAILABLE).retry_after(1)));
                continue;
            }
            let verdict = self.together(&[request], &Road::default()).await.and_then(|verdicts| {
                verdicts.into_iter().next().ok_or_else(|| Problem::unexpected("a request without a verdict"))
            });
            if verdict.as_ref().is_err_and(|problem| problem.code() == common::UNAVAILABLE.code) {
                stuck.extend(request.wanted());
            }
            verdicts.push(verdict);
        }
        verdicts
    }
}

fn outcome(verdict: &Outcome<Verdict>) -> &'static str {
    match verdict {
        Ok(Verdict::Given { .. }) => "given",
        Ok(Verdict::Refused(fault)) => fault.code,
        Ok(Verdict::Due) => "due",
        Err(problem) => problem.code(),
    }
}

/// Returns the configuration of the lane's own connections.
fn own(pg: &PgConfig) -> Outcome<PgConfig> {
    let mut url = Url::parse(pg.database_url.expose_secret()).map_err(Problem::unexpected)?;
    url.query_pairs_mut().append_pair("options", &format!("-c lock_timeout={LOCK_TIMEOUT_MS}"));
    Ok(PgConfig { database_url: SecretString::from(String::from(url)), database_pool_size: DEPTH })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_goes_when_it_is_alone_or_worth_it() {
        assert_eq!([Way::of(0, 0), Way::of(1, 0), Way::of(1, BEHIND - 1)], [None; 3]);
        assert_eq!(Way::of(0, 1), Some(Way::Beside), "nobody waits for company");
        assert_eq!([Way::of(1, BEHIND), Way::of(1, BATCH - 1)], [Some(Way::Behind); 2]);
        assert_eq!(Way::of(1, BATCH), Some(Way::Beside));
        assert_eq!(Way::of(DEPTH, MOST_WAITING), None);
    }

    #[test]
    fn whoever_waits_is_counted_once_and_for_as_long_as_they_wait() {
        let count = Arc::default();
        let mut waiting: Vec<_> = (0..MOST_WAITING).map_while(|_| Waiting::begin(&count)).collect();
        assert_eq!(waiting.len(), MOST_WAITING);
        assert!(Waiting::begin(&count).is_none() && Waiting::begin(&count).is_none(), "who is refused does not wait");
        waiting.pop();
        waiting.extend(Waiting::begin(&count));
        assert!(waiting.len() == MOST_WAITING && Waiting::begin(&count).is_none());
        drop(waiting);
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}
