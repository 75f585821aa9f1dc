//! One socket and what its client may say.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::{locale::Locale, principal::Principal, rate::Rate};
use tokio::time::Instant;

/// How often a client may say something: a page says a handful of things when it opens and one for each click.
const RATE: Rate = Rate { burst: 40, every: Duration::from_millis(50) };
/// How many messages may be too many before the socket is closed.
const PATIENCE: Rate = Rate { burst: 200, every: Duration::from_secs(1) };

/// Who is behind a socket.
pub(super) struct Visitor {
    /// The person.
    pub(super) person: Principal,
    /// When the token it came in with ends, where that is known.
    pub(super) expires_at: Option<DateTime<Utc>>,
    /// The language it is spoken to in.
    pub(super) locale: Locale,
    /// One message at a time, in the order they came: to join and to leave again must not change places.
    pub(super) turn: tokio::sync::Mutex<()>,
    has_left: AtomicBool,
    said: Mutex<Said>,
}

struct Said {
    since: Instant,
    arrival_us: i64,
    refused_us: i64,
}

/// Whether a client may say what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    Yes,
    /// Not now.
    TooMuch,
    /// It does not stop.
    Enough,
}

impl Visitor {
    /// Describes a socket that was just let in.
    pub(super) fn new(person: Principal, expires_at: Option<DateTime<Utc>>, locale: Locale) -> Self {
        Self {
            person,
            expires_at,
            locale,
            turn: tokio::sync::Mutex::default(),
            has_left: AtomicBool::new(false),
            said: Mutex::new(Said { since: Instant::now(), arrival_us: 0, refused_us: 0 }),
        }
    }

    /// Counts a message.
    pub(super) fn say(&self) -> Allowance {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        // One second in: an arrival time of zero is in the past.
        let now_us = i64::try_from(said.since.elapsed().as_micros()).unwrap_or(i64::MAX / 2) + 1_000_000;
        let (decision, arrival_us) = RATE.take(said.arrival_us, now_us);
        said.arrival_us = arrival_us;
        if decision.is_allowed {
            return Allowance::Yes;
        }
        let (patience, refused_us) = PATIENCE.take(said.refused_us, now_us);
        said.refused_us = refused_us;
        if patience.is_allowed { Allowance::TooMuch } else { Allowance::Enough }
    }

    /// Notes that it is gone.
    pub(super) fn leave(&self) {
        self.has_left.store(true, Ordering::Release);
    }

    /// Returns whether it is gone.
    pub(super) fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use chassis::clock::Clock;
    use domain::principal::Role;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_talks_without_end_is_not_heard_and_then_shown_out() {
        let clock = Clock::system();
        let person = Principal { user_id: clock.id(), login_id: clock.id(), role: Role::User };
        let visitor = Visitor::new(person, None, Locale::Ko);
        assert!((0..40).all(|_| visitor.say() == Allowance::Yes));
        assert_eq!(visitor.say(), Allowance::TooMuch);
        tokio::time::advance(Duration::from_millis(50)).await;
        assert_eq!(visitor.say(), Allowance::Yes);
        assert!((1..PATIENCE.burst).all(|_| visitor.say() == Allowance::TooMuch));
        assert_eq!(visitor.say(), Allowance::Enough);
    }
}
