//! The lane: where orders of this process meet on their way to the database.
//!
//! A ticket type that everybody wants is one row, and each transaction that changes it waits for the one before. So
//! orders that come while one is written travel together and share one transaction; each gets its own answer. Nobody
//! waits for company: an order that finds the lane empty goes at once. The lane has connections of its own, so that
//! a rush on one event leaves those of other requests alone. An order that was answered is on disk.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chassis::{
    lifecycle::Lifecycle,
    outbox::Outbox,
    pg::{Pg, PgConfig},
    problem::{Outcome, Problem},
};
use domain::fault::common;
use futures_util::{StreamExt, stream::FuturesUnordered};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::{
        Mutex, Notify,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    batch::{self, Manner, Order, Terms, Verdict},
    rehearsal,
};
use crate::seat::expiry;

/// Most orders of one batch: fewer leave throughput behind, more only add to everybody's wait.
const BATCH: usize = 64;
/// Batches on their way at once. A second one goes only when it is full: two half-empty ones wait for each other.
const DEPTH: usize = 2;
/// Most orders that wait in this process; at 20,000 a second they are answered within a fifth of a second.
const WAITING: usize = 4_096;
/// Longest wait for a lock: whoever holds a row for longer must not stop everybody else.
const LOCK_TIMEOUT_MS: u32 = 250;
/// How long orders of a batch that failed are tried one by one.
const ONE_BY_ONE: Duration = Duration::from_secs(1);
/// How long notices gather: people who look on need not hear of each of several hundred batches a second.
const GATHER: Duration = Duration::from_millis(25);

struct Job {
    order: Order,
    answer: oneshot::Sender<Outcome<Verdict>>,
}

/// The way of orders into the database; clones share it.
#[derive(Clone)]
pub struct Lane(Arc<Inner>);

struct Inner {
    pg: Pg,
    terms: Terms,
    waiting: AtomicUsize,
    jobs: UnboundedSender<Job>,
    queue: Mutex<UnboundedReceiver<Job>>,
    committed: Notify,
}

impl Lane {
    /// Builds a lane to this database; nothing moves on it before [`start`](Self::start).
    ///
    /// # Errors
    /// Returns a problem when the database's URL cannot be read.
    pub fn new(pg: &PgConfig, terms: Terms) -> Outcome<Self> {
        let pg = Pg::new(&own(pg)?, "ticketing-orders").map_err(Problem::unexpected)?;
        let (jobs, queue) = unbounded_channel();
        let (waiting, queue) = (AtomicUsize::new(0), Mutex::new(queue));
        Ok(Self(Arc::new(Inner { pg, terms, waiting, jobs, queue, committed: Notify::new() })))
    }

    /// Starts the loops that move it; they end when everything that was accepted is answered.
    pub fn start(&self, lifecycle: &Lifecycle, outbox: &Outbox) {
        let lane = self.0.clone();
        lifecycle.spawn_loop("orders", move |stop| {
            let lane = lane.clone();
            async move { lane.combine(stop).await }
        });
        let (lane, outbox) = (self.0.clone(), outbox.clone());
        lifecycle.spawn_loop("order_notices", move |stop| {
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

    /// Places an order and waits for what comes of it.
    ///
    /// # Errors
    /// 503 when too many wait already, and when the database is away.
    pub async fn place(&self, order: Order) -> Outcome<Verdict> {
        if self.0.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
            self.0.waiting.fetch_sub(1, Ordering::Relaxed);
            metrics::counter!("orders_shed_total").increment(1);
            return Err(Problem::from(common::UNAVAILABLE).retry_after(1));
        }
        let (answer, answered) = oneshot::channel();
        if self.0.jobs.send(Job { order, answer }).is_err() {
            self.0.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Problem::unavailable("orders are not taken any more"));
        }
        answered.await.map_err(Problem::unavailable)?
    }
}

impl Inner {
    async fn combine(&self, stop: CancellationToken) {
        let mut queue = self.queue.lock().await;
        rehearsal::run(&self.pg, self.terms, DEPTH).await;
        // What was accepted before a panic went down with it.
        self.waiting.store(queue.len(), Ordering::Relaxed);
        let mut waiting = VecDeque::new();
        let mut arrived = Vec::new();
        let mut running = FuturesUnordered::new();
        let mut is_open = true;
        while is_open || !waiting.is_empty() || !running.is_empty() {
            while !waiting.is_empty() && (running.is_empty() || (running.len() < DEPTH && waiting.len() >= BATCH)) {
                let jobs = self.take_batch(&mut waiting);
                if !jobs.is_empty() {
                    running.push(self.run(jobs));
                }
            }
            tokio::select! {
                Some(()) = running.next() => {}
                taken = queue.recv_many(&mut arrived, WAITING), if is_open => {
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

    /// Takes the orders of the next batch, at most one of each person, in the order they came; those whose clients have
    /// gone are left out.
    fn take_batch(&self, waiting: &mut VecDeque<Job>) -> Vec<Job> {
        let mut buyers = HashSet::with_capacity(BATCH);
        let (mut jobs, mut later) = (Vec::with_capacity(BATCH.min(waiting.len())), Vec::new());
        let mut gone = 0;
        while jobs.len() < BATCH
            && let Some(job) = waiting.pop_front()
        {
            if job.answer.is_closed() {
                gone += 1;
            } else if buyers.insert(job.order.buyer) {
                jobs.push(job);
            } else {
                later.push(job);
            }
        }
        for job in later.into_iter().rev() {
            waiting.push_front(job);
        }
        self.waiting.fetch_sub(jobs.len() + gone, Ordering::Relaxed);
        jobs
    }

    async fn run(&self, jobs: Vec<Job>) {
        let orders: Vec<_> = jobs.iter().map(|job| &job.order).collect();
        #[expect(clippy::cast_precision_loss, reason = "at most 64")]
        metrics::histogram!("order_batch_size").record(orders.len() as f64);
        let verdicts = match self.together(&orders).await {
            Ok(verdicts) => verdicts.into_iter().map(Ok).collect(),
            Err(problem) => {
                problem.log();
                metrics::counter!("order_batches_failed_total").increment(1);
                self.one_by_one(&orders).await
            }
        };
        self.committed.notify_one();
        for (job, verdict) in jobs.into_iter().zip(verdicts) {
            count(&verdict);
            // Whoever has gone meanwhile finds the order in their list.
            _ = job.answer.send(verdict);
        }
    }

    /// Makes orders in one transaction, and those that want what overdue reservations hold in another.
    async fn together(&self, orders: &[&Order]) -> Outcome<Vec<Verdict>> {
        let mut conn = self.pg.conn().await?;
        let mut verdicts = match batch::run(&mut conn, orders, self.terms, Manner::Hopeful).await? {
            Some(verdicts) => verdicts,
            None => self.cautiously(&mut conn, orders, Manner::Cautious).await?,
        };
        let left: Vec<_> = orders.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == Verdict::Due).collect();
        if !left.is_empty() {
            let left: Vec<_> = left.into_iter().map(|(order, _)| *order).collect();
            let types: Vec<_> = left.iter().flat_map(|order| order.types()).collect();
            let buyers: Vec<_> = left.iter().map(|order| order.buyer).collect();
            expiry::expire_for(&mut conn, &types, &buyers).await?;
            let mut second = self.cautiously(&mut conn, &left, Manner::Final).await?.into_iter();
            for verdict in verdicts.iter_mut().filter(|verdict| **verdict == Verdict::Due) {
                if let Some(settled) = second.next() {
                    *verdict = settled;
                }
            }
        }
        Ok(verdicts)
    }

    async fn cautiously(
        &self,
        conn: &mut chassis::pg::Connection,
        orders: &[&Order],
        manner: Manner,
    ) -> Outcome<Vec<Verdict>> {
        let verdicts = batch::run(conn, orders, self.terms, manner).await?;
        verdicts.ok_or_else(|| Problem::unexpected("a cautious batch ran short"))
    }

    /// Tries each order for itself after all together have failed: one that cannot be made, or waits for a lock, must
    /// not take the others with it. What waits for the same tickets as one that failed is not tried.
    async fn one_by_one(&self, orders: &[&Order]) -> Vec<Outcome<Verdict>> {
        let until = Instant::now() + ONE_BY_ONE;
        let mut stuck = HashSet::new();
        let mut verdicts = Vec::with_capacity(orders.len());
        for order in orders {
            if Instant::now() >= until || order.types().any(|wanted| stuck.contains(&wanted)) {
                verdicts.push(Err(Problem::from(common::UNAVAILABLE).retry_after(1)));
                continue;
            }
            let verdict = self.together(&[order]).await.and_then(|verdicts| {
                verdicts.into_iter().next().ok_or_else(|| Problem::unexpected("an order without a verdict"))
            });
            if verdict.as_ref().is_err_and(|problem| problem.code() == common::UNAVAILABLE.code) {
                stuck.extend(order.types());
            }
            verdicts.push(verdict);
        }
        verdicts
    }
}

fn count(verdict: &Outcome<Verdict>) {
    let outcome = match verdict {
        Ok(Verdict::Given { .. }) => "given",
        Ok(Verdict::Refused(fault)) => fault.code,
        Ok(Verdict::Due) => "due",
        Err(problem) => problem.code(),
    };
    metrics::counter!("orders_total", "outcome" => outcome).increment(1);
}

/// Returns the configuration of the lane's own connections.
fn own(pg: &PgConfig) -> Outcome<PgConfig> {
    let mut url = Url::parse(pg.database_url.expose_secret()).map_err(Problem::unexpected)?;
    url.query_pairs_mut().append_pair("options", &format!("-c lock_timeout={LOCK_TIMEOUT_MS}"));
    Ok(PgConfig { database_url: SecretString::from(String::from(url)), database_pool_size: DEPTH })
}
