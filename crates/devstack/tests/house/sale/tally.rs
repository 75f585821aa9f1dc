//! What has happened so far, for who waits for it and for whoever reads the output.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

/// How the description ends of two clicks that were both answered the first time.
pub(super) const AT_ONCE: &str = "at once";

/// The counters of a storm; everybody in it shares them.
#[derive(Default)]
pub(super) struct Tally {
    /// Reservations that were answered with 201, each once.
    held: AtomicUsize,
    /// Of them, those that were paid for.
    paid: AtomicUsize,
    /// Two requests at once with one key, of which at least one was answered with 201.
    doubled: AtomicUsize,
    /// Of them, those of which one was refused, because what it wanted came free in between.
    split: Mutex<BTreeMap<String, usize>>,
    refused: Mutex<BTreeMap<String, usize>>,
    retried: Mutex<BTreeMap<String, usize>>,
    is_closing: AtomicBool,
}

impl Tally {
    pub(super) fn held(&self) {
        self.held.fetch_add(1, Relaxed);
    }

    pub(super) fn paid(&self) {
        self.paid.fetch_add(1, Relaxed);
    }

    /// Counts a double click; `refused` says how one of the two was, if it was.
    pub(super) fn doubled(&self, refused: Option<&str>) {
        self.doubled.fetch_add(1, Relaxed);
        if let Some(how) = refused {
            count(&self.split, how);
        }
    }

    pub(super) fn refused(&self, code: &str) {
        count(&self.refused, code);
    }

    pub(super) fn retried(&self, why: &str) {
        count(&self.retried, why);
    }

    /// Ends the storm: everybody finishes what they are at, and buys once more.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Relaxed);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Relaxed)
    }

    pub(super) fn holds(&self) -> usize {
        self.held.load(Relaxed)
    }

    pub(super) fn payments(&self) -> usize {
        self.paid.load(Relaxed)
    }

    /// Returns how often a key was used twice at once, how often one of the two was refused at once, and how.
    pub(super) fn doubles(&self) -> (usize, usize, String) {
        let split = self.split.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let at_once = split.iter().filter(|(how, _)| how.ends_with(AT_ONCE)).map(|(_, count)| count).sum();
        (self.doubled.load(Relaxed), at_once, listed(&self.split))
    }

    /// Returns refusals and retries, by their reasons.
    pub(super) fn reasons(&self) -> (String, String) {
        (listed(&self.refused), listed(&self.retried))
    }
}

fn count(counts: &Mutex<BTreeMap<String, usize>>, name: &str) {
    *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default() += 1;
}

fn listed(counts: &Mutex<BTreeMap<String, usize>>) -> String {
    let counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    let total: usize = counts.values().sum();
    let each: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!("{total} ({})", each.join(", "))
}
