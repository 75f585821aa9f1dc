//! The presentation timer: how much of a talk has passed.
//!
//! Elapsed time is the sum of the spans in which the timer ran: what was accumulated before, and, while it runs, now
//! minus the instant the current span began. Nothing is counted down and nothing ticks, so a reading is right at any
//! instant, pausing adds nothing, and a timer that nobody looks at costs nothing. At zero it reads `ended` and overtime
//! counts on until it is reset.
//!
//! Instants count in whole milliseconds, cut off. The end of one span and the beginning of the next are cut alike, so
//! pausing and resuming any number of times neither gives time nor takes it.

mod deadline;
mod plan;

use chrono::{DateTime, TimeDelta, Utc};
pub use deadline::{Deadline, Replan};
pub use plan::{
    Alert, Alerts, AlertsTriggered, CUSTOM_ALERTS_MAX, DURATION_DEFAULT_SECONDS, DURATION_MAX_MINUTES,
    DURATION_MAX_SECONDS, Plan,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    fault::{Fault, Kind},
    time::Instant,
};

/// The session has a timer only once it was set up.
pub const NOT_SET_UP: Fault =
    Fault::new(Kind::Conflict, "timer_not_set_up", "타이머가 설정되지 않았습니다.", "The timer has not been set up.");
/// Nothing to read yet.
pub const NOT_FOUND: Fault =
    Fault::new(Kind::NotFound, "timer_not_found", "타이머가 설정되지 않았습니다.", "The timer has not been set up.");
/// A running timer keeps its length.
pub const RUNNING: Fault = Fault::new(
    Kind::Conflict,
    "timer_running",
    "실행 중인 타이머는 설정할 수 없습니다. 먼저 일시정지하거나 리셋해 주세요.",
    "A running timer cannot be set up. Pause or reset it first.",
);
/// Only a timer that is ready starts.
pub const NOT_READY: Fault = Fault::new(
    Kind::Conflict,
    "timer_not_ready",
    "이미 시작한 타이머입니다. 재개하거나 리셋해 주세요.",
    "The timer was started before. Resume or reset it.",
);
/// Only a running timer pauses.
pub const NOT_RUNNING: Fault =
    Fault::new(Kind::Conflict, "timer_not_running", "실행 중인 타이머가 아닙니다.", "The timer is not running.");
/// Only a paused timer resumes.
pub const NOT_PAUSED: Fault =
    Fault::new(Kind::Conflict, "timer_not_paused", "일시정지된 타이머가 아닙니다.", "The timer is not paused.");
/// Somebody else changed the timer since the caller read it.
pub const STALE: Fault = Fault::new(
    Kind::PreconditionFailed,
    "timer_changed",
    "타이머가 그사이 바뀌었습니다. 다시 조회한 뒤 시도해 주세요.",
    "The timer has changed since. Read it again, then retry.",
);

/// What a timer is doing, as it is kept. That a running one has reached its end is a matter of reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// Waits to be started.
    Ready,
    /// Runs since `anchor`.
    Running {
        /// When this run was started first.
        started_at: DateTime<Utc>,
        /// When the current span began.
        anchor: DateTime<Utc>,
        /// Milliseconds of the spans before.
        accumulated_ms: i64,
    },
    /// Stands still.
    Paused {
        /// When this run was started first.
        started_at: DateTime<Utc>,
        /// Since when it stands.
        paused_at: DateTime<Utc>,
        /// Milliseconds of all spans.
        accumulated_ms: i64,
    },
}

/// What a timer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TimerStatus)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Set up, not started.
    Ready,
    /// Running, time remains.
    Running,
    /// Paused.
    Paused,
    /// Running on past its end.
    Ended,
}

/// What a presenter does to a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Begins a run.
    Start,
    /// Stops the clock.
    Pause,
    /// Goes on.
    Resume,
    /// Goes back to the beginning, with the same plan.
    Reset,
}

/// A presentation timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// How long, and what is announced.
    pub plan: Plan,
    /// What it is doing.
    pub run: Run,
    /// Grows by one with every change.
    pub version: i64,
}

/// A timer at one instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = TimerReading)]
pub struct Reading {
    /// What it shows.
    pub status: Status,
    /// Planned length.
    pub duration_seconds: i64,
    /// Whole seconds that have passed; goes on past the duration.
    pub elapsed_seconds: i64,
    /// Duration minus elapsed, not below zero.
    pub remaining_seconds: i64,
    /// Whole seconds past the end.
    pub overtime_seconds: i64,
    /// Milliseconds that have passed.
    pub elapsed_ms: i64,
    /// Milliseconds that remain.
    pub remaining_ms: i64,
    /// Milliseconds past the end.
    pub overtime_ms: i64,
    /// 0-100, rounded down.
    pub progress_percent: i64,
    /// When this run was started first.
    pub start_time: Option<Instant>,
    /// When it reaches, or reached, its end; nothing while it stands still.
    pub end_time: Option<Instant>,
    /// Since when it is paused.
    pub paused_at: Option<Instant>,
    /// What is announced.
    pub alerts: Alerts,
    /// What has been, in this run.
    pub alerts_triggered: AlertsTriggered,
    /// For `If-Match`.
    pub version: i64,
}

impl Timer {
    /// Makes a timer that waits to be started.
    pub const fn new(plan: Plan) -> Self {
        Self { plan, run: Run::Ready, version: 1 }
    }

    /// Returns how many milliseconds have passed at `now`.
    pub fn elapsed_ms(&self, now: DateTime<Utc>) -> i64 {
        match self.run {
            Run::Ready => 0,
            Run::Running { anchor, accumulated_ms, .. } => accumulated_ms + span_ms(anchor, now),
            Run::Paused { accumulated_ms, .. } => accumulated_ms,
        }
    }

    /// Returns what it shows at `now`.
    pub fn status(&self, now: DateTime<Utc>) -> Status {
        match self.run {
            Run::Ready => Status::Ready,
            Run::Paused { .. } => Status::Paused,
            Run::Running { .. } if self.elapsed_ms(now) >= self.plan.duration_ms() => Status::Ended,
            Run::Running { .. } => Status::Running,
        }
    }

    /// Returns everything it shows at `now`.
    pub fn view(&self, now: DateTime<Utc>) -> Reading {
        let (duration_ms, elapsed_ms) = (self.plan.duration_ms(), self.elapsed_ms(now));
        let (remaining_ms, overtime_ms) = ((duration_ms - elapsed_ms).max(0), (elapsed_ms - duration_ms).max(0));
        let duration_seconds = i64::from(self.plan.duration_seconds);
        let elapsed_seconds = elapsed_ms / 1_000;
        let (start_time, end_time, paused_at) = match self.run {
            Run::Ready => (None, None, None),
            Run::Running { started_at, anchor, accumulated_ms } => {
                let end = anchor.checked_add_signed(TimeDelta::milliseconds(duration_ms - accumulated_ms));
                (Some(started_at), end, None)
            }
            Run::Paused { started_at, paused_at, .. } => (Some(started_at), None, Some(paused_at)),
        };
        Reading {
            status: self.status(now),
            duration_seconds,
            elapsed_seconds,
            remaining_seconds: (duration_seconds - elapsed_seconds).max(0),
            overtime_seconds: overtime_ms / 1_000,
            elapsed_ms,
            remaining_ms,
            overtime_ms,
            progress_percent: (elapsed_ms * 100 / duration_ms.max(1)).min(100),
            start_time: start_time.map(Instant),
            end_time: end_time.map(Instant),
            paused_at: paused_at.map(Instant),
            alerts: self.plan.alerts.clone(),
            alerts_triggered: self.plan.triggered(elapsed_ms),
            version: self.version,
        }
    }

    /// Gives it a new plan and makes it ready.
    ///
    /// # Errors
    /// [`RUNNING`] while it runs and time remains.
    pub fn setup(&self, plan: Plan, now: DateTime<Utc>) -> Result<Self, Fault> {
        if self.status(now) == Status::Running {
            return Err(RUNNING);
        }
        Ok(Self { plan, run: Run::Ready, version: self.version + 1 })
    }

    /// Returns how it stands still from `now` on, whatever it shows; nothing when it does not run.
    pub fn halt(&self, now: DateTime<Utc>) -> Option<Self> {
        let Run::Running { started_at, .. } = self.run else { return None };
        let run = Run::Paused { started_at, paused_at: now, accumulated_ms: self.elapsed_ms(now) };
        Some(Self { plan: self.plan.clone(), run, version: self.version + 1 })
    }

    /// Returns what it becomes when somebody controls it at `now`; with the same version when that changes nothing.
    ///
    /// # Errors
    /// [`NOT_READY`], [`NOT_RUNNING`] or [`NOT_PAUSED`] when its status forbids it.
    pub fn control(&self, control: Control, now: DateTime<Utc>) -> Result<Self, Fault> {
        let run = match (control, self.status(now), self.run) {
            (Control::Start, Status::Ready, _) => Run::Running { started_at: now, anchor: now, accumulated_ms: 0 },
            // A repeated start, or a second hand on the same button, is the first one; the same with reset.
            (Control::Start, Status::Running, run) | (Control::Reset, Status::Ready, run) => run,
            (Control::Start, ..) => return Err(NOT_READY),
            (Control::Pause, Status::Running, Run::Running { started_at, .. }) => {
                Run::Paused { started_at, paused_at: now, accumulated_ms: self.elapsed_ms(now) }
            }
            (Control::Pause, ..) => return Err(NOT_RUNNING),
            (Control::Resume, _, Run::Paused { started_at, accumulated_ms, .. }) => {
                Run::Running { started_at, anchor: now, accumulated_ms }
            }
            (Control::Resume, ..) => return Err(NOT_PAUSED),
            (Control::Reset, ..) => Run::Ready,
        };
        let version = if run == self.run { self.version } else { self.version + 1 };
        Ok(Self { plan: self.plan.clone(), run, version })
    }
}

/// Returns the milliseconds from `anchor` to `now`; none when a clock was set back in between.
fn span_ms(anchor: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (now.timestamp_millis() - anchor.timestamp_millis()).max(0)
}

#[cfg(test)]
mod tests;
