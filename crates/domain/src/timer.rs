//! The presentation timer: how much of a talk has passed.
//!
//! Elapsed time is the sum of the spans in which the timer ran: what was accumulated before, and, while it runs, now
//! minus the instant the current span began. Nothing is counted down and nothing ticks, so a reading is right at any
//! instant, pausing adds nothing, and a timer that nobody looks at costs nothing. At zero it reads `ended` and overtime
//! counts on until it is reset.
//!
//! Instants count in whole milliseconds, cut off. The end of one span and the beginning of the next are cut alike, so
//! pausing and resuming any number of times neither gives time nor takes it.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    fault::{Fault, Kind, Violations},
    time::Instant,
};

/// Longest talk, seconds.
pub const DURATION_MAX_SECONDS: i32 = 180 * 60;
/// Longest talk, minutes.
pub const DURATION_MAX_MINUTES: i64 = 180;
/// The length of a talk that names none, seconds.
pub const DURATION_DEFAULT_SECONDS: i32 = 10 * 60;
/// Most alerts of a person's own.
pub const CUSTOM_ALERTS_MAX: usize = 10;

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

/// Which moments of a talk are announced; the named ones are on unless they are switched off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own, as clients show them")]
pub struct Alerts {
    /// Half of the time has passed.
    pub halfway: bool,
    /// 300 seconds remain.
    pub five_minutes: bool,
    /// 120 seconds remain.
    pub two_minutes: bool,
    /// 30 seconds remain.
    pub thirty_seconds: bool,
    /// A person's own, in seconds that remain; at most ten, each once, each less than the duration.
    pub custom: Vec<i32>,
}

impl Default for Alerts {
    fn default() -> Self {
        Self { halfway: true, five_minutes: true, two_minutes: true, thirty_seconds: true, custom: Vec::new() }
    }
}

/// Which alerts of the current run have come. One that would be due before the talk begins never does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "mirrors the switches")]
pub struct AlertsTriggered {
    /// Half of the time has passed.
    pub halfway: bool,
    /// 300 seconds or less remain.
    pub five_minutes: bool,
    /// 120 seconds or less remain.
    pub two_minutes: bool,
    /// 30 seconds or less remain.
    pub thirty_seconds: bool,
    /// Nothing remains.
    pub ended: bool,
    /// Which of a person's own.
    pub custom: Vec<i32>,
}

/// How long a talk is and what is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Seconds, at least one.
    pub duration_seconds: i32,
    /// What is announced.
    pub alerts: Alerts,
}

impl Plan {
    /// Reads a plan: minutes or seconds, `default_seconds` when neither is given.
    ///
    /// # Errors
    /// Refuses both at once, a length outside 1 second to [`DURATION_MAX_SECONDS`], and alerts that can never come.
    pub fn parse(
        minutes: Option<i64>,
        seconds: Option<i64>,
        alerts: Alerts,
        default_seconds: i32,
    ) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        violations.require(
            minutes.is_none() || seconds.is_none(),
            "/duration_seconds",
            "not_both",
            "duration_minutes와 duration_seconds 중 하나만 보내 주세요.",
            "Give duration_minutes or duration_seconds, not both.",
        );
        violations.require(
            minutes.is_none_or(|minutes| (1..=DURATION_MAX_MINUTES).contains(&minutes)),
            "/duration_minutes",
            "out_of_range",
            "발표 시간은 1-180분이어야 합니다.",
            "A talk takes 1-180 minutes.",
        );
        violations.require(
            seconds.is_none_or(|seconds| (1..=i64::from(DURATION_MAX_SECONDS)).contains(&seconds)),
            "/duration_seconds",
            "out_of_range",
            "발표 시간은 1-10800초여야 합니다.",
            "A talk takes 1-10800 seconds.",
        );
        let asked = seconds.or_else(|| minutes.and_then(|minutes| minutes.checked_mul(60)));
        let duration_seconds = asked.map_or(default_seconds, |s| i32::try_from(s).unwrap_or(DURATION_MAX_SECONDS));
        check_custom(&alerts.custom, duration_seconds, &mut violations);
        violations.into_result().map(|()| Self { duration_seconds, alerts })
    }

    const fn duration_ms(&self) -> i64 {
        self.duration_seconds as i64 * 1_000
    }

    /// Returns whether an alert at `remaining_ms` before the end has come; it must lie inside the talk.
    const fn has_come(&self, remaining_ms: i64, elapsed_ms: i64) -> bool {
        remaining_ms < self.duration_ms() && self.duration_ms() - elapsed_ms <= remaining_ms
    }

    fn triggered(&self, elapsed_ms: i64) -> AlertsTriggered {
        let has_come = |seconds: i32| self.has_come(i64::from(seconds) * 1_000, elapsed_ms);
        AlertsTriggered {
            halfway: self.alerts.halfway && self.has_come(self.duration_ms() / 2, elapsed_ms),
            five_minutes: self.alerts.five_minutes && has_come(300),
            two_minutes: self.alerts.two_minutes && has_come(120),
            thirty_seconds: self.alerts.thirty_seconds && has_come(30),
            ended: has_come(0),
            custom: self.alerts.custom.iter().copied().filter(|seconds| has_come(*seconds)).collect(),
        }
    }
}

fn check_custom(custom: &[i32], duration_seconds: i32, violations: &mut Violations) {
    violations.require(
        custom.len() <= CUSTOM_ALERTS_MAX,
        "/alerts/custom",
        "too_many",
        "알림은 10개까지 추가할 수 있습니다.",
        "There are at most 10 alerts of one's own.",
    );
    for (place, seconds) in custom.iter().enumerate().take(CUSTOM_ALERTS_MAX) {
        let pointer = format!("/alerts/custom/{place}");
        violations.require(
            (1..duration_seconds).contains(seconds),
            pointer.as_str(),
            "out_of_range",
            "알림은 발표 시간 안에 있어야 합니다.",
            "An alert comes within the talk.",
        );
        violations.require(
            !custom.iter().take(place).any(|earlier| earlier == seconds),
            pointer,
            "duplicate",
            "같은 알림이 이미 있습니다.",
            "This alert is there already.",
        );
    }
}

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
