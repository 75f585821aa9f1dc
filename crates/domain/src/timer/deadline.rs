//! When the alerts of a timer are due, and what a change of the timer does to those that are planned.
//!
//! An alert is announced once in a run, at the instant at which so much of the talk has passed, whoever looks. Planned
//! alerts are kept beside the timer: a change takes out those that have not come, and plans anew what is left of the run.
//! Those that had come by then stay until they are announced, so that a pause in the same instant swallows none.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Alert, Run, Timer};

/// An alert that is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// Which.
    pub alert: Alert,
    /// Milliseconds of the talk that remain then.
    pub remaining_ms: i64,
    /// When it comes.
    pub due_at: DateTime<Utc>,
    /// The run and the alert: it is announced once under this key.
    pub once_key: String,
}

/// What a change of a timer does to its planned alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replan {
    /// Those that are due after this are forgotten; all of them when there is nothing here.
    pub kept_until: Option<DateTime<Utc>>,
    /// Those that are planned instead.
    pub planned: Vec<Deadline>,
}

impl Timer {
    /// Returns what becomes of the planned alerts when this timer, changed at `now`, becomes `next`.
    pub fn replan(&self, next: &Self, now: DateTime<Utc>) -> Replan {
        // A run that is given up is not announced any more, not even what is late.
        let kept_until = if matches!(next.run, Run::Ready) { None } else { Some(now) };
        Replan { kept_until, planned: next.deadlines() }
    }

    /// Returns the alerts that are still to come while it runs on, in their order; none unless it runs.
    pub fn deadlines(&self) -> Vec<Deadline> {
        let Run::Running { started_at, anchor, accumulated_ms } = self.run else { return Vec::new() };
        // Readings cut instants to the millisecond, and so does this: an alert is due when a reading first shows it.
        let anchor_ms = anchor.timestamp_millis();
        let to_come = self.plan.moments().into_iter().filter_map(|(alert, remaining_ms)| {
            let left_ms = self.plan.duration_ms() - remaining_ms - accumulated_ms;
            let due_at =
                DateTime::from_timestamp_millis(anchor_ms)?.checked_add_signed(TimeDelta::milliseconds(left_ms));
            Some(Deadline { alert, remaining_ms, due_at: due_at?, once_key: once_key(started_at, alert) })
                .filter(|_| left_ms > 0)
        });
        to_come.collect()
    }
}

fn once_key(started_at: DateTime<Utc>, alert: Alert) -> String {
    let run = started_at.timestamp_micros();
    match alert {
        Alert::Custom(seconds) => format!("{run}:{}:{seconds}", alert.name()),
        _ => format!("{run}:{}", alert.name()),
    }
}
