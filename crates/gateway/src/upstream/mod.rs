//! The addresses of a service: which one is next, and which ones are better left alone for a while.
//!
//! Of two addresses the one with fewer requests in flight is next: one that is slow or far gets fewer by itself, and
//! nobody has to know the state of all. What is more than an address, or the service, can take at once is refused here
//! rather than left to wait.

mod address;
#[cfg(test)]
mod tests;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use actix_web::http::StatusCode;
use address::Standing;
pub use address::{Address, Lease};
use chassis::{
    client::RetryBudget,
    problem::{Outcome, Problem},
};
use domain::principal::Service;
use tokio::time::Instant;
use url::Url;

use crate::faults::OVERLOADED;

/// How long an address is avoided after it refused or broke off: about as long as a process takes to start again.
const AVOID_BROKEN: Duration = Duration::from_secs(3);
/// How long an address is avoided after it said that it is about to stop.
const AVOID_DRAINING: Duration = Duration::from_secs(10);

/// Most requests in flight.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// At a service.
    pub service: usize,
    /// At one of its addresses.
    pub address: usize,
}

/// The addresses of one service, shared by all workers.
pub struct Upstream {
    /// Which service.
    pub service: Service,
    addresses: Vec<Arc<Address>>,
    tally: Arc<Tally>,
    room: Room,
    started: Instant,
}

/// What all workers write for each request to a service. In one place: each such place is fetched from another core first.
#[derive(Debug, Default)]
struct Tally {
    in_flight: AtomicUsize,
    /// Counts requests, and limits second tries.
    budget: RetryBudget,
}

/// How an address is chosen.
#[derive(Clone, Copy, Debug)]
pub enum Choice {
    /// The less busy of two.
    LessBusy,
    /// The same for the same key, while it can be used.
    By(u64),
}

impl Upstream {
    /// Takes the addresses of a service.
    ///
    /// # Errors
    /// Returns a problem when an address is none.
    pub fn new(service: Service, urls: &[Url], room: Room) -> Outcome<Self> {
        let addresses = urls.iter().map(|url| Address::new(url).map(Arc::new));
        Ok(Self {
            service,
            addresses: addresses.collect::<Outcome<_>>()?,
            tally: Arc::default(),
            room,
            started: Instant::now(),
        })
    }

    /// Chooses an address, if possible not the one that was `tried`, and if possible not an avoided one; when all are
    /// avoided, the one whose time is over first. A request that is not `counted` takes nobody's room. What nothing was
    /// `tried` for is a new request, and adds to what second tries there may be.
    ///
    /// # Errors
    /// 503 when the service has no address at all, or no room.
    pub fn choose(&self, choice: Choice, counted: bool, tried: Option<&Address>) -> Outcome<Lease> {
        // A second try is nobody's turn: it would make the same address the first of every request.
        let turn = if tried.is_none() { self.tally.budget.deposit() } else { self.tally.budget.calls() };
        if counted && self.tally.in_flight.load(Relaxed) >= self.room.service {
            return Err(self.overloaded());
        }
        let (now, turn) = (self.now(), usize::try_from(turn).unwrap_or_default());
        let has_room = |address: &Address| !counted || address.in_flight() < self.room.address;
        let was_tried = |address: &Address| tried.is_some_and(|tried| std::ptr::eq(tried, address));
        let good = |address: &&Arc<Address>| {
            has_room(address) && !was_tried(address) && !matches!(address.standing(now), Standing::Avoided(_))
        };
        // Each round that finds nothing lost a race for a probe.
        for _ in &self.addresses {
            let chosen = match choice {
                Choice::LessBusy => self.less_busy(turn, good),
                Choice::By(key) => self.addresses.iter().filter(good).min_by_key(|address| rank(address, key)),
            };
            match chosen.map(|address| (address, address.standing(now))) {
                None => break,
                Some((address, Standing::Due(due))) if !address.claim_probe(due, now) => {}
                Some((address, _)) => return Ok(self.lease(address, counted)),
            }
        }
        let with_room = self.addresses.iter().filter(|address| has_room(address));
        let least_bad = with_room.min_by_key(|address| {
            let until = match address.standing(now) {
                Standing::Ready | Standing::Due(_) => 0,
                Standing::Avoided(until) => until,
            };
            (was_tried(address), until)
        });
        match least_bad {
            Some(address) => Ok(self.lease(address, counted)),
            None if self.addresses.is_empty() => Err(Problem::unavailable("the service has no address")),
            None => Err(self.overloaded()),
        }
    }

    /// Takes the address whose turn it is, or another one that is less busy.
    fn less_busy(&self, turn: usize, good: impl Fn(&&Arc<Address>) -> bool) -> Option<&Arc<Address>> {
        let count = self.addresses.iter().filter(&good).count();
        let nth = |at: usize| self.addresses.iter().filter(&good).nth(at);
        let first = turn.checked_rem(count)?;
        let (one, other) = (nth(first)?, nth((first + 1 + scatter(turn) % (count - 1).max(1)) % count));
        Some(other.filter(|other| other.in_flight() < one.in_flight()).unwrap_or(one))
    }

    fn lease(&self, address: &Arc<Address>, counted: bool) -> Lease {
        Lease::take(address, counted.then_some(&self.tally))
    }

    fn overloaded(&self) -> Problem {
        metrics::counter!("upstream_overloaded_total", "service" => self.service.name()).increment(1);
        Problem::from(OVERLOADED)
    }

    /// Takes a second try out of the budget, if there is one.
    pub fn may_try_again(&self) -> bool {
        self.tally.budget.withdraw()
    }

    /// Leaves an address alone for some seconds: it refused, or broke off before it answered.
    pub fn note_broken(&self, address: &Address) {
        metrics::counter!("upstream_failures_total", "service" => self.service.name()).increment(1);
        address.avoid(self.now() + millis(AVOID_BROKEN));
        self.note_failure(address);
    }

    /// Takes note of what an address answered.
    pub fn note_answer(&self, address: &Address, status: StatusCode, is_draining: bool) {
        if is_draining {
            address.avoid(self.now() + millis(AVOID_DRAINING));
        } else if matches!(status.as_u16(), 502..=504) {
            self.note_failure(address);
        } else {
            address.note_success();
        }
    }

    /// Ejects an address after too many errors in a row; never more than half of all, because when most of them fail it
    /// is not they who are at fault.
    fn note_failure(&self, address: &Address) {
        let now = self.now();
        if !address.note_failure() || address.is_ejected(now) {
            return;
        }
        let ejected = self.addresses.iter().filter(|address| address.is_ejected(now)).count();
        if (ejected + 1) * 2 <= self.addresses.len() {
            metrics::counter!("upstream_ejections_total", "service" => self.service.name()).increment(1);
            address.eject(now);
        }
    }

    /// At least 1: 0 stands for never.
    fn now(&self) -> u64 {
        millis(self.started.elapsed()) + 1
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}

/// Spreads consecutive numbers (Knuth's multiplicative hash), so that the second of two is anybody.
fn scatter(turn: usize) -> usize {
    turn.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}

/// Ranks the addresses for a key in an order that a lost or new address changes for few keys only (rendezvous).
fn rank(address: &Address, key: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, address.authority.as_str()).hash(&mut hasher);
    hasher.finish()
}
