//! What became of a person's focus sessions, by the days of their own calendar.
//!
//! A span that lies across local midnight counts for both days, each for its part; days are as long as people live
//! them, 23 and 25 hours among them. Minutes are whole and cut off at the end, once: the minutes of the days may add up
//! to a little less than the total, never to more.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use utoipa::ToSchema;

use super::MINUTE_MS;
use crate::calendar::start_of_day;

/// A time in which a session ran: `from..until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first instant.
    pub from: DateTime<Utc>,
    /// The first instant after it.
    pub until: DateTime<Utc>,
}

/// Consecutive local days and where each begins.
#[derive(Clone, Debug)]
pub struct Days {
    first: NaiveDate,
    /// The beginning of each day, and that of the day after the last.
    bounds: Vec<DateTime<Utc>>,
}

impl Days {
    /// Lays out the days from `start` to `end`, both inclusive, as people in `tz` live them.
    pub fn of(start: NaiveDate, end: NaiveDate, tz: Tz) -> Self {
        let count = usize::try_from((end - start).num_days() + 1).unwrap_or_default();
        let bounds = start.iter_days().take(count + 1).map(|date| start_of_day(date, tz)).collect();
        Self { first: start, bounds }
    }

    /// Returns all of them as one span of instants.
    pub fn span(&self) -> Option<Span> {
        Some(Span { from: *self.bounds.first()?, until: *self.bounds.last()? })
    }

    /// Returns each with the span of instants it is.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Span> + '_ {
        self.bounds.windows(2).filter_map(|pair| Some(Span { from: *pair.first()?, until: *pair.last()? }))
    }

    /// Returns the place of the day an instant is in.
    fn place(&self, at: DateTime<Utc>) -> Option<usize> {
        let begun = self.bounds.partition_point(|bound| *bound <= at);
        begun.checked_sub(1).filter(|place| place + 1 < self.bounds.len())
    }
}

/// One day of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = FocusDay)]
pub struct DayStatistics {
    /// The local date.
    #[schema(value_type = String, format = Date)]
    pub date: NaiveDate,
    /// Whole minutes in which a session ran.
    pub focus_minutes: i64,
    /// Sessions that were completed.
    pub completed: i64,
}

/// The time spent under one tag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = FocusTag)]
pub struct TagMinutes {
    /// The tag.
    pub tag: String,
    /// Whole minutes in which a session with it ran.
    pub minutes: i64,
}

/// Some days of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = FocusStatistics)]
pub struct Statistics {
    /// Each day that was asked for, in order.
    pub days: Vec<DayStatistics>,
    /// Whole minutes of all of them.
    pub total_minutes: i64,
    /// Consecutive local days with a completed session, up to today, or up to yesterday while today has none yet.
    pub streak_days: i64,
    /// Longest first; a session with two tags counts under both.
    pub by_tag: Vec<TagMinutes>,
}

/// Adds up spans and completions one by one, so that a long history needs no more memory than a short one.
#[derive(Debug)]
pub struct Tally {
    days: Days,
    focus_ms: Vec<i64>,
    completed: Vec<i64>,
    tags_ms: BTreeMap<String, i64>,
}

impl Tally {
    /// Begins with nothing.
    pub fn new(days: Days) -> Self {
        let count = days.bounds.len().saturating_sub(1);
        Self { days, focus_ms: vec![0; count], completed: vec![0; count], tags_ms: BTreeMap::new() }
    }

    /// Adds a span of a session with these tags; what lies outside the days is left out.
    pub fn add_span(&mut self, span: Span, tags: &[String]) {
        let reached = self.days.bounds.partition_point(|bound| *bound <= span.from).saturating_sub(1);
        let mut inside_ms = 0;
        for (day, focus_ms) in self.days.iter().zip(&mut self.focus_ms).skip(reached) {
            if day.from >= span.until {
                break;
            }
            let part_ms = (span.until.min(day.until) - span.from.max(day.from)).num_milliseconds().max(0);
            *focus_ms += part_ms;
            inside_ms += part_ms;
        }
        if inside_ms > 0 {
            for tag in tags {
                *self.tags_ms.entry(tag.clone()).or_default() += inside_ms;
            }
        }
    }

    /// Adds a completion; one outside the days is left out.
    pub fn add_completion(&mut self, at: DateTime<Utc>) {
        if let Some(completed) = self.days.place(at).and_then(|place| self.completed.get_mut(place)) {
            *completed += 1;
        }
    }

    /// Adds as many completions to each day, in their order.
    pub fn add_completions(&mut self, by_day: &[i64]) {
        for (completed, more) in self.completed.iter_mut().zip(by_day) {
            *completed += more;
        }
    }

    /// Returns what it all came to.
    pub fn finish(self, streak_days: i64) -> Statistics {
        let total_ms: i64 = self.focus_ms.iter().sum();
        let days = self.days.first.iter_days().zip(self.focus_ms).zip(self.completed);
        let days = days.map(|((date, ms), completed)| DayStatistics { date, focus_minutes: ms / MINUTE_MS, completed });
        let by_tag = self.tags_ms.into_iter().map(|(tag, ms)| TagMinutes { tag, minutes: ms / MINUTE_MS });
        let mut by_tag: Vec<_> = by_tag.collect();
        // Stable: equal ones stay in the order of the alphabet.
        by_tag.sort_by_key(|tag| std::cmp::Reverse(tag.minutes));
        Statistics { days: days.collect(), total_minutes: total_ms / MINUTE_MS, streak_days, by_tag }
    }
}

/// Counts consecutive days with a completion, given for each day from today backwards whether it has one; `None` when
/// all of them do and the answer lies further back.
///
/// A today without one breaks nothing: it is not over.
pub fn streak(backwards: &[bool]) -> Option<i64> {
    let skipped = usize::from(backwards.first() == Some(&false));
    let unbroken = backwards.iter().skip(skipped).take_while(|has_one| **has_one).count();
    (unbroken + skipped < backwards.len()).then(|| i64::try_from(unbroken).unwrap_or(i64::MAX))
}
