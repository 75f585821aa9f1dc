//! Answers that many people ask for at once, kept as the bytes that are sent.
//!
//! An answer lives less than a second from the moment its query began, so none is ever older than that, whatever
//! notice was lost on the way. Between those moments marks tell that it is old: a change of the event itself at once, a
//! change of the stock after a moment, because a hot sale makes hundreds of those in a second and everybody who looks on
//! would have each of them read again. Whoever finds nothing fresh reads it, one at a time for each answer; the others
//! wait for that one.

use std::{
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chassis::{
    problem::{Outcome, Problem},
    recent::Recent,
};
use tokio::time::Instant;

/// How long an answer lives: what the catalogue promises is one second, and this leaves time to send it.
const LIFE: Duration = Duration::from_millis(900);
/// How long an answer is good enough although the stock has moved.
const SETTLE: Duration = Duration::from_millis(50);

/// Says when answers have become old.
#[derive(Debug, Default)]
pub(crate) struct Mark {
    changed: AtomicU64,
    moved: AtomicU64,
}

/// What a mark said at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    changed: u64,
    moved: u64,
}

impl Mark {
    /// Says that whatever is kept is old.
    pub(crate) fn change(&self) {
        self.changed.fetch_add(1, Ordering::AcqRel);
    }

    /// Says that the stock has moved.
    pub(crate) fn shift(&self) {
        self.moved.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns what the mark says now.
    pub(crate) fn seen(&self) -> Seen {
        Seen { changed: self.changed.load(Ordering::Acquire), moved: self.moved.load(Ordering::Acquire) }
    }
}

impl Seen {
    /// Returns what two marks say together: it differs as soon as one of them does.
    pub(crate) const fn with(self, other: Self) -> Self {
        Self { changed: self.changed.wrapping_add(other.changed), moved: self.moved.wrapping_add(other.moved) }
    }
}

/// Kept answers of one kind.
pub(crate) struct Shelf<K> {
    places: Mutex<Recent<K, Arc<Place>>>,
    largest: usize,
}

/// Where one answer is kept.
#[derive(Default)]
struct Place {
    kept: Mutex<Option<Kept>>,
    filling: tokio::sync::Mutex<()>,
    failures: AtomicU64,
}

struct Kept {
    answer: Bytes,
    since: Instant,
    seen: Seen,
}

impl<K: Eq + Hash> Shelf<K> {
    /// Makes a shelf for at most `places` answers of at most `largest` bytes each: together they bound its memory.
    pub(crate) fn new(places: usize, largest: usize) -> Self {
        Self { places: Mutex::new(Recent::new(places)), largest }
    }

    /// Returns the kept answer, or reads it; `seen` says what its marks say at the moment.
    ///
    /// # Errors
    /// What `read` returns; 503 when whoever read it for others too could not.
    pub(crate) async fn get(
        &self,
        key: K,
        seen: impl Fn() -> Seen,
        read: impl AsyncFnOnce() -> Outcome<Bytes>,
    ) -> Outcome<Bytes> {
        let place = self.place(key);
        if let Some(answer) = place.fresh(seen()) {
            return Ok(answer);
        }
        let failures = place.failures.load(Ordering::Acquire);
        let _turn = place.filling.lock().await;
        if let Some(answer) = place.fresh(seen()) {
            return Ok(answer);
        }
        if place.failures.load(Ordering::Acquire) != failures {
            // Not everybody who waits tries again what has just failed, one after the other.
            return Err(Problem::unavailable("whoever read this for others could not"));
        }
        // Both from before the query: what is committed after it has begun may be missing in the answer.
        let (since, seen) = (Instant::now(), seen());
        let answer = read().await.inspect_err(|problem| place.note(problem))?;
        if answer.len() <= self.largest {
            place.put(Kept { answer: answer.clone(), since, seen });
        }
        Ok(answer)
    }

    fn place(&self, key: K) -> Arc<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get(&key) {
            return place;
        }
        let place = Arc::<Place>::default();
        places.put(key, place.clone());
        place
    }
}

impl Place {
    fn fresh(&self, seen: Seen) -> Option<Bytes> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|kept| kept.is_fresh(seen, kept.since.elapsed())).map(|kept| kept.answer.clone())
    }

    fn put(&self, kept: Kept) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
    }

    fn note(&self, problem: &Problem) {
        if problem.status().is_server_error() {
            self.failures.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Kept {
    fn is_fresh(&self, seen: Seen, age: Duration) -> bool {
        age < LIFE && self.seen.changed == seen.changed && (self.seen.moved == seen.moved || age < SETTLE)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use domain::fault::common;
    use futures_util::future::join_all;

    use super::*;

    /// Longer than anything here takes, and far below the life of an answer.
    const SHORT: Duration = Duration::from_millis(20);

    struct Desk {
        shelf: Shelf<u8>,
        mark: Mark,
        reads: Cell<u32>,
    }

    impl Desk {
        fn new() -> Self {
            Self { shelf: Shelf::new(8, 64), mark: Mark::default(), reads: Cell::new(0) }
        }

        /// Asks for an answer that says how often it was read.
        async fn ask(&self, takes: Duration) -> String {
            let read = async || {
                self.reads.set(self.reads.get() + 1);
                let read = self.reads.get().to_string();
                tokio::time::sleep(takes).await;
                Ok(read.into())
            };
            let answer = self.shelf.get(1, || self.mark.seen(), read).await.unwrap();
            String::from_utf8(answer.to_vec()).unwrap()
        }
    }

    #[test]
    fn an_answer_lives_less_than_a_second_and_shorter_when_something_has_changed() {
        let mark = Mark::default();
        let kept = Kept { answer: Bytes::new(), since: Instant::now(), seen: mark.seen() };
        let nothing = Duration::ZERO;
        let just_below = |limit: Duration| limit.saturating_sub(Duration::from_millis(1));
        assert!(kept.is_fresh(mark.seen(), just_below(LIFE)) && !kept.is_fresh(mark.seen(), LIFE));
        assert!(LIFE < Duration::from_secs(1));
        mark.shift();
        assert!(kept.is_fresh(mark.seen(), just_below(SETTLE)) && !kept.is_fresh(mark.seen(), SETTLE));
        mark.change();
        assert!(!kept.is_fresh(mark.seen(), nothing));
    }

    #[tokio::test]
    async fn many_who_ask_at_once_share_one_reading() {
        let desk = Desk::new();
        let answers = join_all((0..50).map(|_| desk.ask(SHORT))).await;
        assert!(answers.iter().all(|answer| answer == "1"), "{answers:?}");
        desk.mark.change();
        assert_eq!(desk.ask(Duration::ZERO).await, "2");
    }

    #[tokio::test]
    async fn what_was_read_before_a_change_is_not_kept_for_those_after_it() {
        let desk = Desk::new();
        let before = desk.ask(SHORT);
        let change = async {
            // Whoever reads has begun.
            tokio::task::yield_now().await;
            desk.mark.change();
            desk.ask(Duration::ZERO).await
        };
        let (before, after) = tokio::join!(before, change);
        assert_eq!((before.as_str(), after.as_str()), ("1", "2"));
    }

    #[tokio::test]
    async fn those_who_wait_for_a_reading_that_fails_do_not_all_try_again() {
        let (shelf, tries) = (Shelf::new(8, 64), Cell::new(0));
        let ask = || {
            shelf.get(1, Seen::default, async || {
                tries.set(tries.get() + 1);
                tokio::time::sleep(SHORT).await;
                Err(Problem::unavailable("away"))
            })
        };
        let answers = join_all((0..20).map(|_| ask())).await;
        assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(|p| p.code() == common::UNAVAILABLE.code)));
        assert_eq!(tries.get(), 1);
        // Whoever comes later does.
        assert!(ask().await.is_err());
        assert_eq!(tries.get(), 2);
    }

    #[tokio::test]
    async fn an_answer_that_is_too_large_is_given_and_not_kept() {
        let (shelf, tries) = (Shelf::new(8, 64), Cell::new(0));
        for _ in 0..2 {
            let read = async || {
                tries.set(tries.get() + 1);
                Ok(vec![0; 65].into())
            };
            assert_eq!(shelf.get(1, Seen::default, read).await.unwrap().len(), 65);
        }
        assert_eq!(tries.get(), 2);
    }
}
