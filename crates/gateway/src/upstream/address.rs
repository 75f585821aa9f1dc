//! One address of a service: how much it has to do, and how long it is better left alone.
//!
//! An address that refuses, breaks off or is about to stop is avoided for a while. One that answers with errors five
//! times in a row is ejected: avoided for longer each time it happens again. When the time is over a single request
//! probes it, and only its answer lets the others back.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use chassis::problem::{Outcome, Problem};
use http::{HeaderValue, uri::Authority};
use url::Url;

use super::Tally;

/// Errors in a row that eject an address.
const FAILURES: u32 = 5;
/// How long the first ejection lasts, milliseconds: about as long as a process takes to start again.
const FIRST_EJECTION_MS: u64 = 3_000;
/// The longest one; also how long an address must have done well for its past to be forgotten, milliseconds.
const LONGEST_EJECTION_MS: u64 = 30_000;

/// One address. Times are milliseconds since the start of its service's [`Upstream`](super::Upstream).
pub struct Address {
    /// Host and port.
    pub authority: Authority,
    /// The same as the header `Host`.
    pub host: HeaderValue,
    in_flight: AtomicUsize,
    /// 0 when it may be used.
    avoided_until: AtomicU64,
    /// Errors in a row.
    failures: AtomicU32,
    ejections: AtomicU32,
    ejected_until: AtomicU64,
}

/// Whether an address may be used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// By anybody.
    Ready,
    /// By one request that finds out; the time it was avoided until.
    Due(u64),
    /// Only when there is no other; the time it is avoided until.
    Avoided(u64),
}

impl Address {
    pub(super) fn new(url: &Url) -> Outcome<Self> {
        let authority: Authority = url.authority().parse().map_err(Problem::unexpected)?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(Problem::unexpected)?;
        Ok(Self {
            authority,
            host,
            in_flight: AtomicUsize::new(0),
            avoided_until: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected_until: AtomicU64::new(0),
        })
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    pub(super) fn standing(&self, now: u64) -> Standing {
        match self.avoided_until.load(Relaxed) {
            0 => Standing::Ready,
            until if until <= now => Standing::Due(until),
            until => Standing::Avoided(until),
        }
    }

    /// Takes the one probe of an address whose time is over; the others wait for its answer, or for as long again.
    pub(super) fn claim_probe(&self, due: u64, now: u64) -> bool {
        self.avoided_until.compare_exchange(due, now + FIRST_EJECTION_MS, Relaxed, Relaxed).is_ok()
    }

    pub(super) fn avoid(&self, until: u64) {
        self.avoided_until.fetch_max(until, Relaxed);
    }

    pub(super) fn note_success(&self) {
        // Read before written: most requests find nothing to change, and share the line with all workers.
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
        if self.avoided_until.load(Relaxed) != 0 {
            self.avoided_until.store(0, Relaxed);
        }
    }

    /// Counts an error; returns whether there were too many in a row.
    pub(super) fn note_failure(&self) -> bool {
        self.failures.fetch_add(1, Relaxed) + 1 >= FAILURES
    }

    pub(super) fn is_ejected(&self, now: u64) -> bool {
        self.ejected_until.load(Relaxed) > now
    }

    /// Ejects it, for twice as long as the last time unless that is long ago.
    pub(super) fn eject(&self, now: u64) {
        let before = self.ejected_until.load(Relaxed);
        let is_news = before == 0 || now > before + LONGEST_EJECTION_MS;
        let count = if is_news { 0 } else { self.ejections.load(Relaxed) };
        self.ejections.store(count.saturating_add(1), Relaxed);
        let until = now + (FIRST_EJECTION_MS << count.min(4)).min(LONGEST_EJECTION_MS);
        self.ejected_until.store(until, Relaxed);
        self.avoid(until);
    }
}

/// A request's place at an address; given up when it is dropped.
pub struct Lease {
    address: Arc<Address>,
    service: Option<Arc<Tally>>,
}

impl Lease {
    /// Takes a place, counted at the address and at `service`, or at neither.
    pub(super) fn take(address: &Arc<Address>, service: Option<&Arc<Tally>>) -> Self {
        if let Some(service) = service {
            service.in_flight.fetch_add(1, Relaxed);
            address.in_flight.fetch_add(1, Relaxed);
        }
        Self { address: address.clone(), service: service.cloned() }
    }

    /// Returns where it is.
    pub fn address(&self) -> &Arc<Address> {
        &self.address
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(service) = &self.service {
            service.in_flight.fetch_sub(1, Relaxed);
            self.address.in_flight.fetch_sub(1, Relaxed);
        }
    }
}
