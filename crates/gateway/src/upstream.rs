//! The addresses of a service: which one is next, and which ones are better left alone for a while.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use chassis::{
    client::RetryBudget,
    problem::{Outcome, Problem},
};
use domain::principal::Service;
use http::{HeaderValue, uri::Authority};
use tokio::time::Instant;
use url::Url;

/// How long an address is avoided after it refused or broke off: about as long as a process takes to start again.
const AVOID_BROKEN: Duration = Duration::from_secs(3);
/// How long an address is avoided after it said that it is about to stop.
const AVOID_DRAINING: Duration = Duration::from_secs(10);

/// The addresses of one service, shared by all workers.
pub struct Upstream {
    /// Which service.
    pub service: Service,
    /// Limits retries of calls to it.
    pub budget: RetryBudget,
    addresses: Vec<Address>,
    turn: AtomicUsize,
    started: Instant,
}

/// One address.
pub struct Address {
    /// Host and port.
    pub authority: Authority,
    /// The same as the header `Host`.
    pub host: HeaderValue,
    /// Milliseconds since the start of the [`Upstream`]; 0 when it may be used.
    avoided_until: AtomicU64,
}

/// How an address is chosen.
#[derive(Clone, Copy, Debug)]
pub enum Choice {
    /// One after the other.
    InTurn,
    /// The same for the same key, while it can be used.
    By(u64),
}

impl Upstream {
    /// Takes the addresses of a service.
    ///
    /// # Errors
    /// Returns a problem when an address is none.
    pub fn new(service: Service, urls: &[Url]) -> Outcome<Self> {
        let addresses = urls.iter().map(|url| {
            let authority: Authority = url.authority().parse().map_err(Problem::unexpected)?;
            let host = HeaderValue::from_str(authority.as_str()).map_err(Problem::unexpected)?;
            Ok(Address { authority, host, avoided_until: AtomicU64::new(0) })
        });
        Ok(Self {
            service,
            budget: RetryBudget::default(),
            addresses: addresses.collect::<Outcome<_>>()?,
            turn: AtomicUsize::new(0),
            started: Instant::now(),
        })
    }

    /// Chooses an address, if possible not the one that was `tried`, and if possible not an avoided one; when all are
    /// avoided, the one that has been for the longest time.
    ///
    /// # Errors
    /// 503 when the service has no address at all.
    pub fn choose(&self, choice: Choice, tried: Option<&Address>) -> Outcome<&Address> {
        let count = self.addresses.len();
        let start = match choice {
            Choice::InTurn => self.turn.fetch_add(1, Ordering::Relaxed),
            Choice::By(_) => 0,
        };
        let now = self.now();
        let chosen = self.addresses.iter().enumerate().min_by_key(|(at, address)| {
            let until = address.avoided_until.load(Ordering::Relaxed);
            let rank = match choice {
                Choice::InTurn => (at + count - start % count) % count,
                Choice::By(key) => address.rank(key),
            };
            let was_tried = tried.is_some_and(|tried| std::ptr::eq(tried, *address));
            (was_tried, if until > now { until } else { 0 }, rank)
        });
        chosen.map(|(_, address)| address).ok_or_else(|| Problem::unavailable("the service has no address"))
    }

    /// Leaves an address alone for some seconds: it refused, or broke off before it answered.
    pub fn avoid_broken(&self, address: &Address) {
        metrics::counter!("upstream_failures_total", "service" => self.service.name()).increment(1);
        self.avoid(address, AVOID_BROKEN);
    }

    /// Takes note that an address answered.
    pub fn note_answer(&self, address: &Address, is_draining: bool) {
        if is_draining {
            self.avoid(address, AVOID_DRAINING);
        } else if address.avoided_until.load(Ordering::Relaxed) != 0 {
            address.avoided_until.store(0, Ordering::Relaxed);
        }
    }

    fn avoid(&self, address: &Address, for_long: Duration) {
        let until = self.now() + u64::try_from(for_long.as_millis()).unwrap_or_default();
        address.avoided_until.store(until, Ordering::Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Address {
    /// Ranks the addresses for a key in an order that a lost or new address changes for few keys only (rendezvous).
    fn rank(&self, key: u64) -> usize {
        let mut hasher = DefaultHasher::new();
        (key, self.authority.as_str()).hash(&mut hasher);
        usize::try_from(hasher.finish()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(count: u16) -> Upstream {
        let urls: Vec<Url> = (1..=count).map(|port| format!("http://127.0.0.1:{port}").parse().unwrap()).collect();
        Upstream::new(Service::Memo, &urls).unwrap()
    }

    fn port(upstream: &Upstream, choice: Choice, tried: Option<&Address>) -> u16 {
        upstream.choose(choice, tried).unwrap().authority.port_u16().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_take_turns() {
        let upstream = upstream(3);
        let ports: Vec<u16> = (0..6).map(|_| port(&upstream, Choice::InTurn, None)).collect();
        assert_eq!(ports, [1, 2, 3, 1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_broken_address_is_left_alone_for_a_while() {
        let upstream = upstream(2);
        let first = upstream.choose(Choice::InTurn, None).unwrap();
        upstream.avoid_broken(first);
        assert!((0..4).all(|_| port(&upstream, Choice::InTurn, None) == 2));
        tokio::time::advance(AVOID_BROKEN + Duration::from_millis(1)).await;
        let ports: Vec<u16> = (0..2).map(|_| port(&upstream, Choice::InTurn, None)).collect();
        assert!(ports.contains(&1), "{ports:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_are_avoided_the_longest_avoided_is_used() {
        let upstream = upstream(2);
        let (first, second) = (&upstream.addresses[0], &upstream.addresses[1]);
        upstream.note_answer(second, true);
        upstream.avoid_broken(first);
        assert_eq!(port(&upstream, Choice::InTurn, None), 1);
        assert_eq!(port(&upstream, Choice::InTurn, Some(first)), 2);
        upstream.note_answer(second, false);
        assert_eq!(port(&upstream, Choice::InTurn, None), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_keeps_its_address_and_keys_are_spread() {
        let upstream = upstream(3);
        let ports: Vec<u16> = (0..100).map(|key| port(&upstream, Choice::By(key), None)).collect();
        assert_eq!(ports, (0..100).map(|key| port(&upstream, Choice::By(key), None)).collect::<Vec<_>>());
        assert!([1, 2, 3].iter().all(|port| ports.contains(port)));
        assert_ne!(port(&upstream, Choice::By(7), upstream.choose(Choice::By(7), None).ok()), ports[7]);
    }

    #[test]
    fn a_service_without_addresses_is_unavailable() {
        assert_eq!(upstream(0).choose(Choice::InTurn, None).err().unwrap().code(), "unavailable");
    }
}
