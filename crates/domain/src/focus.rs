//! Focus sessions: minutes that somebody wants to spend on one thing.
//!
//! Consumed time is the sum of the spans in which the session ran: what was accumulated before, and, while it runs, now
//! minus the instant the current span began. So a pause gives no time back and takes none, and a session that nobody
//! looks at costs nothing. At its due time it is completed, whoever notices first and however late: it was completed
//! then, and not when that was noticed.
//!
//! Instants count in whole milliseconds, cut off, so that what runs out does so at an instant a table can name exactly.

mod fields;
mod statistics;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
pub use fields::{
    BREAK_DEFAULT_MINUTES, BREAK_MAX_MINUTES, DURATION_MAX_MINUTES, GOAL_MAX, REFLECTION_MAX, SUBJECT_MAX,
    check_instant, parse_break, parse_duration, parse_goal, parse_reflection, parse_subject,
};
use serde::{Deserialize, Serialize};
pub use statistics::{DayStatistics, Days, Span, Statistics, TagMinutes, Tally, streak};
use utoipa::ToSchema;

use crate::{
    fault::{Fault, Kind, Violations},
    time::Instant,
};

/// Milliseconds of a minute.
const MINUTE_MS: i64 = 60_000;

/// Nothing is pending, running or paused.
pub const NO_CURRENT: Fault = Fault::new(
    Kind::NotFound,
    "no_current_session",
    "진행 중인 집중 세션이 없습니다.",
    "There is no current focus session.",
);
/// Its status does not allow that.
pub const INVALID_TRANSITION: Fault = Fault::new(
    Kind::Conflict,
    "invalid_transition",
    "세션의 현재 상태에서는 할 수 없습니다.",
    "The session's status does not allow this.",
);
/// More of it has passed than it would have.
pub const ALREADY_ELAPSED: Fault = Fault::new(
    Kind::Conflict,
    "already_elapsed",
    "이미 지난 시간보다 짧게 줄일 수 없습니다.",
    "More time has passed than that already.",
);

/// Where a focus session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FocusStatus)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Made, or taken back to its beginning.
    Pending,
    /// Running.
    Started,
    /// Standing still.
    Paused,
    /// Its time is over, or the person said so.
    Completed,
    /// Completed and thought about.
    Reviewed,
    /// Given up, or replaced by another one.
    Cancelled,
}

impl Status {
    /// All of them, in the order of a session's life.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Started, Self::Paused, Self::Completed, Self::Reviewed, Self::Cancelled];
    /// Those of the session that is a person's current one.
    pub const CURRENT: [Self; 3] = [Self::Pending, Self::Started, Self::Paused];

    /// Returns the status's name as it stands on the wire and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Started => "started",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Reviewed => "reviewed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Returns the status of that name, as tables have it.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Reads what a client wants a session to become, recording a violation at `/status` when it is no status.
    ///
    /// `resumed` is what some clients call going on, and means `started`.
    pub fn parse(name: Option<&str>, violations: &mut Violations) -> Option<Self> {
        let found = name.and_then(|name| if name == "resumed" { Some(Self::Started) } else { Self::of_name(name) });
        violations.require(
            found.is_some(),
            "/status",
            "unknown",
            "pending, started, resumed, paused, completed, reviewed, cancelled 중 하나여야 합니다.",
            "Must be one of pending, started, resumed, paused, completed, reviewed, cancelled.",
        );
        found
    }

    /// Returns what a session of this status can become.
    pub const fn next(self) -> &'static [Self] {
        match self {
            Self::Pending => &[Self::Started, Self::Cancelled],
            Self::Started => &[Self::Paused, Self::Pending, Self::Completed, Self::Cancelled],
            Self::Paused => &[Self::Started, Self::Pending, Self::Completed, Self::Cancelled],
            Self::Completed => &[Self::Reviewed],
            Self::Reviewed | Self::Cancelled => &[],
        }
    }
}

/// What a session is doing, as it is kept. That a running one is over is a matter of reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waits to be started; nothing of it is consumed.
    Pending,
    /// Runs since `anchor`.
    Started {
        /// When the current span began.
        anchor: DateTime<Utc>,
        /// Milliseconds of the spans before.
        accumulated_ms: i64,
    },
    /// Stands still.
    Paused {
        /// Milliseconds of all spans.
        accumulated_ms: i64,
    },
    /// Completed, reviewed or cancelled.
    Ended {
        /// Which of them.
        how: End,
        /// When it was completed or cancelled.
        at: DateTime<Utc>,
        /// Milliseconds of all spans.
        accumulated_ms: i64,
    },
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its time was over, or the person said so.
    Completed,
    /// Completed and thought about.
    Reviewed,
    /// Given up.
    Cancelled,
}

/// The time of a focus session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Focus {
    /// How long it is to last.
    pub duration_minutes: i32,
    /// What it is doing.
    pub state: State,
    /// Grows by one with every change.
    pub version: i64,
}

/// A focus session's time at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What it shows.
    pub status: Status,
    /// The beginning, shifted by the pauses: while it runs, this and the duration make its end; while it is paused, the
    /// time between this and the last change is what is consumed. The documents' client counts in this way.
    pub started_at: Option<Instant>,
    /// Duration minus the whole seconds consumed; none once it has ended.
    pub remaining_seconds: i64,
    /// When it will be, or was, completed; nothing while it stands still or is cancelled.
    pub ends_at: Option<Instant>,
}

impl Focus {
    /// Makes one that waits to be started.
    pub const fn new(duration_minutes: i32) -> Self {
        Self { duration_minutes, state: State::Pending, version: 1 }
    }

    /// Returns its length in milliseconds.
    pub fn duration_ms(&self) -> i64 {
        i64::from(self.duration_minutes) * MINUTE_MS
    }

    /// Returns when it will be over if nobody touches it; nothing unless it runs.
    pub fn due_at(&self) -> Option<DateTime<Utc>> {
        match self.state {
            State::Started { anchor, accumulated_ms } => {
                anchor.checked_add_signed(TimeDelta::milliseconds(self.duration_ms() - accumulated_ms))
            }
            _ => None,
        }
    }

    /// Returns whether it runs and is over by `now`.
    pub fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.due_at().is_some_and(|due_at| due_at <= now)
    }

    /// Returns how many milliseconds of it are consumed at `now`, at most its length.
    pub fn elapsed_ms(&self, now: DateTime<Utc>) -> i64 {
        match self.state {
            State::Pending => 0,
            // None when a clock was set back in between.
            State::Started { anchor, accumulated_ms } => {
                let span_ms = (whole(now) - anchor).num_milliseconds().max(0);
                (accumulated_ms + span_ms).min(self.duration_ms())
            }
            State::Paused { accumulated_ms } | State::Ended { accumulated_ms, .. } => accumulated_ms,
        }
    }

    /// Returns what it shows at `now`.
    pub fn status(&self, now: DateTime<Utc>) -> Status {
        match self.settled(now).state {
            State::Pending => Status::Pending,
            State::Started { .. } => Status::Started,
            State::Paused { .. } => Status::Paused,
            State::Ended { how: End::Completed, .. } => Status::Completed,
            State::Ended { how: End::Reviewed, .. } => Status::Reviewed,
            State::Ended { how: End::Cancelled, .. } => Status::Cancelled,
        }
    }

    /// Returns it as it is at `now`: one that ran out is completed, at its due time.
    #[must_use]
    pub fn settled(&self, now: DateTime<Utc>) -> Self {
        match self.due_at() {
            Some(at) if at <= now => {
                let state = State::Ended { how: End::Completed, at, accumulated_ms: self.duration_ms() };
                Self { state, version: self.version + 1, ..*self }
            }
            _ => *self,
        }
    }

    /// Returns everything it shows at `now`, when it was changed last at `changed_at`.
    pub fn view(&self, now: DateTime<Utc>, changed_at: DateTime<Utc>) -> Reading {
        let settled = self.settled(now);
        let before = |at: DateTime<Utc>, ms| at.checked_sub_signed(TimeDelta::milliseconds(ms)).map(Instant);
        let remaining_seconds = i64::from(self.duration_minutes) * 60 - self.elapsed_ms(now) / 1_000;
        let (started_at, remaining_seconds, ends_at) = match settled.state {
            State::Pending => (None, remaining_seconds, None),
            State::Started { anchor, accumulated_ms } => {
                (before(anchor, accumulated_ms), remaining_seconds, settled.due_at().map(Instant))
            }
            State::Paused { accumulated_ms } => (before(changed_at, accumulated_ms), remaining_seconds, None),
            State::Ended { how: End::Cancelled, accumulated_ms: 0, .. } => (None, 0, None),
            State::Ended { how: End::Cancelled, at, accumulated_ms } => (before(at, accumulated_ms), 0, None),
            State::Ended { at, accumulated_ms, .. } => (before(at, accumulated_ms), 0, Some(Instant(at))),
        };
        Reading { status: settled.status(now), started_at, remaining_seconds, ends_at }
    }

    /// Returns what it becomes when it is to be `status` at `now`; the same when it already is.
    ///
    /// # Errors
    /// [`INVALID_TRANSITION`] when its status forbids it.
    pub fn become_status(&self, status: Status, now: DateTime<Utc>) -> Result<Self, Fault> {
        let (settled, now) = (self.settled(now), whole(now));
        let from = settled.status(now);
        if from == status {
            return Ok(settled);
        }
        if !from.next().contains(&status) {
            return Err(INVALID_TRANSITION);
        }
        let accumulated_ms = settled.elapsed_ms(now);
        let ended_at = match settled.state {
            State::Ended { at, .. } => at,
            _ => now,
        };
        let state = match status {
            Status::Pending => State::Pending,
            Status::Started => State::Started { anchor: now, accumulated_ms },
            Status::Paused => State::Paused { accumulated_ms },
            Status::Completed => State::Ended { how: End::Completed, at: ended_at, accumulated_ms },
            Status::Reviewed => State::Ended { how: End::Reviewed, at: ended_at, accumulated_ms },
            Status::Cancelled => State::Ended { how: End::Cancelled, at: ended_at, accumulated_ms },
        };
        Ok(Self { state, version: settled.version + 1, ..settled })
    }

    /// Returns what it becomes when it is to last `minutes`; what is consumed stays.
    ///
    /// # Errors
    /// [`ALREADY_ELAPSED`] when as much has passed, [`INVALID_TRANSITION`] when it has ended.
    pub fn last(&self, minutes: i32, now: DateTime<Utc>) -> Result<Self, Fault> {
        let settled = self.settled(now);
        let next = Self { duration_minutes: minutes, version: settled.version + 1, ..settled };
        match settled.state {
            _ if minutes == self.duration_minutes => Ok(settled),
            State::Ended { .. } => Err(INVALID_TRANSITION),
            _ if next.duration_ms() <= settled.elapsed_ms(now) => Err(ALREADY_ELAPSED),
            _ => Ok(next),
        }
    }

    /// Returns the span that ended when this, running, became `next`; nothing when none did or it had no length.
    pub fn span_before(&self, next: &Self) -> Option<Span> {
        let State::Started { anchor, accumulated_ms } = self.state else { return None };
        let consumed_ms = match next.state {
            State::Paused { accumulated_ms } | State::Ended { accumulated_ms, .. } => accumulated_ms,
            State::Pending | State::Started { .. } => return None,
        };
        let until = anchor.checked_add_signed(TimeDelta::milliseconds(consumed_ms - accumulated_ms))?;
        (until > anchor).then_some(Span { from: anchor, until })
    }

    /// Returns the span that has not ended by `now`, up to then; nothing unless it runs.
    pub fn open_span(&self, now: DateTime<Utc>) -> Option<Span> {
        let State::Started { anchor, .. } = self.state else { return None };
        let until = self.due_at()?.min(whole(now));
        (until > anchor).then_some(Span { from: anchor, until })
    }
}

/// Cuts off what stands below a millisecond.
fn whole(at: DateTime<Utc>) -> DateTime<Utc> {
    at.trunc_subsecs(3)
}

#[cfg(test)]
mod tests;
