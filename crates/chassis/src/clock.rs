//! Where services get the time and new ids from, so that a test can decide both.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::ids::Id;
use uuid::{NoContext, Timestamp, Uuid};

/// A source of instants and ids; clones share it.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until [`advance`](Self::advance) moves it.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self(Source::Manual(Arc::new(Mutex::new(start))))
    }

    /// Returns the current instant.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
            Source::System => Utc::now(),
            Source::Manual(at) => *at.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Moves a manual clock forward; the machine's clock is left alone.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(at) = &self.0 {
            let mut at = at.lock().unwrap_or_else(PoisonError::into_inner);
            *at += by;
        }
    }

    /// Makes a new time-ordered id (UUID v7), stamped with this clock.
    pub fn id<I: Id>(&self) -> I {
        I::from_uuid(self.uuid())
    }

    /// Makes a new UUID v7, stamped with this clock.
    pub fn uuid(&self) -> Uuid {
        Self::uuid_of(self.now())
    }

    /// Makes a new UUID v7 of an instant.
    pub fn uuid_of(now: DateTime<Utc>) -> Uuid {
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.timestamp_subsec_nanos()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let clock = Clock::manual(start);
        assert_eq!(clock.now(), start);
        clock.clone().advance(Duration::from_mins(5));
        assert_eq!(clock.now(), start + Duration::from_mins(5));
    }

    #[test]
    fn ids_sort_by_time_and_never_repeat() {
        let clock = Clock::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let first = clock.uuid();
        assert_ne!(first, clock.uuid());
        clock.advance(Duration::from_millis(1));
        assert!(first < clock.uuid());
    }
}
