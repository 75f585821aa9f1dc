//! How often is too often: the generic cell rate algorithm.
//!
//! One number per key says when the key will have used up what it took: its theoretical arrival time. A request moves it
//! forward by one interval, and is refused while it is further ahead than the burst allows. Nothing has to be refilled,
//! so a key that nobody uses costs nothing, and the same arithmetic runs in this process and in a Redis script.

use std::time::Duration;

/// A rate: `burst` at once, and one more every `every`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests that may come at once; at least one.
    pub burst: u32,
    /// How long it takes to earn one more.
    pub every: Duration,
}

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may go on.
    pub is_allowed: bool,
    /// Requests that could follow at once.
    pub remaining: u32,
    /// How long to wait until the next one is allowed; zero while some remain.
    pub retry_after: Duration,
    /// How long until everything that was taken is earned back.
    pub reset_after: Duration,
}

impl Rate {
    /// `burst` at once and as many again in each `window`.
    pub const fn per(burst: u32, window: Duration) -> Self {
        let burst = if burst == 0 { 1 } else { burst };
        let nanos = window.as_nanos() / burst as u128;
        #[expect(clippy::cast_possible_truncation, reason = "a window is shorter than 584 years")]
        let every = Duration::from_nanos(nanos as u64);
        Self { burst, every }
    }

    /// Microseconds between two requests.
    pub fn interval_us(self) -> i64 {
        i64::try_from(self.every.as_micros()).unwrap_or(i64::MAX / 1_000).max(1)
    }

    /// Microseconds that a burst takes to be earned; also how long a key is worth remembering.
    pub fn window_us(self) -> i64 {
        self.interval_us().saturating_mul(i64::from(self.burst.max(1)))
    }

    /// Judges a request at `now_us` of a key whose arrival time is `arrival_us` (0 for a new one); returns what becomes
    /// of it and the key's new arrival time.
    pub fn take(self, arrival_us: i64, now_us: i64) -> (Decision, i64) {
        let next = arrival_us.max(now_us).saturating_add(self.interval_us());
        if next - now_us > self.window_us() {
            return (self.decide(false, arrival_us, now_us), arrival_us);
        }
        (self.decide(true, next, now_us), next)
    }

    /// Returns the arrival time of a key that gets back what one request took.
    pub fn give_back(self, arrival_us: i64) -> i64 {
        (arrival_us - self.interval_us()).max(0)
    }

    /// Describes the state of a key after a request was judged.
    pub fn decide(self, is_allowed: bool, arrival_us: i64, now_us: i64) -> Decision {
        let used = (arrival_us - now_us).max(0);
        let left = self.window_us() - used;
        let micros = |us: i64| Duration::from_micros(u64::try_from(us).unwrap_or_default());
        Decision {
            is_allowed,
            remaining: u32::try_from(left / self.interval_us()).unwrap_or_default(),
            retry_after: micros(self.interval_us() - left),
            reset_after: micros(used),
        }
    }
}

impl Decision {
    /// Whole seconds for `Retry-After`: at least one, and never too few.
    pub fn retry_after_seconds(self) -> u32 {
        let seconds = self.retry_after.as_secs() + u64::from(self.retry_after.subsec_nanos() > 0);
        u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { burst: 3, every: Duration::from_secs(2) };

    #[test]
    fn a_burst_passes_and_then_one_for_each_interval() {
        let mut arrival = 0;
        let mut ask = |now_s: i64| {
            let (decision, next) = RATE.take(arrival, now_s * 1_000_000);
            arrival = next;
            decision
        };
        assert_eq!([100, 100, 100].map(|at| ask(at).remaining), [2, 1, 0]);
        let refused = ask(100);
        assert!(!refused.is_allowed);
        assert_eq!((refused.retry_after, refused.retry_after_seconds()), (Duration::from_secs(2), 2));
        assert!(!ask(101).is_allowed && ask(102).is_allowed && !ask(103).is_allowed && ask(104).is_allowed);
        let later = ask(200);
        assert_eq!((later.is_allowed, later.remaining, later.retry_after), (true, 2, Duration::ZERO));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let rate = Rate { burst: 1, every: Duration::from_secs(10) };
        let (first, arrival) = rate.take(0, 1_000_000);
        let (again, arrival) = rate.take(rate.give_back(arrival), 1_000_001);
        assert!(first.is_allowed && again.is_allowed && !rate.take(arrival, 1_000_002).0.is_allowed);
        assert_eq!(rate.give_back(0), 0);
    }

    #[test]
    fn a_window_is_spread_over_its_burst() {
        assert_eq!(Rate::per(300, Duration::from_mins(1)).every, Duration::from_millis(200));
        assert_eq!(Rate::per(0, Duration::from_secs(1)).burst, 1);
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_the_rate_allows(
            burst in 1_u32..20, every_ms in 1_u64..5_000, gaps in prop::collection::vec(0_i64..3_000_000, 1..200),
        ) {
            let rate = Rate { burst, every: Duration::from_millis(every_ms) };
            let (mut arrival, mut now, mut passed) = (0, 1_000_000_000, Vec::new());
            for gap in gaps {
                now += gap;
                let (decision, next) = rate.take(arrival, now);
                prop_assert!(decision.remaining < burst || !decision.is_allowed);
                prop_assert_eq!(decision.is_allowed, next != arrival);
                arrival = next;
                if decision.is_allowed {
                    passed.push(now);
                }
            }
            for (first, from) in passed.iter().enumerate() {
                for (last, to) in passed.iter().enumerate().skip(first) {
                    let earned = (to - from) / rate.interval_us();
                    prop_assert!(i64::try_from(last - first + 1).unwrap() <= i64::from(burst) + earned);
                }
            }
        }
    }
}
