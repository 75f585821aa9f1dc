//! What is planned before a talk begins: how long it is, and which of its moments are announced.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fault::Violations;

/// Longest talk, seconds.
pub const DURATION_MAX_SECONDS: i32 = 180 * 60;
/// Longest talk, minutes.
pub const DURATION_MAX_MINUTES: i64 = 180;
/// The length of a talk that names none, seconds.
pub const DURATION_DEFAULT_SECONDS: i32 = 10 * 60;
/// Most alerts of a person's own.
pub const CUSTOM_ALERTS_MAX: usize = 10;

/// Which moments of a talk are announced; the named ones are on unless they are switched off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TimerAlerts)]
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
#[schema(as = TimerAlertsTriggered)]
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

/// A moment of a talk that is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Alert {
    /// Half of the time has passed.
    Halfway,
    /// 300 seconds remain.
    FiveMinutes,
    /// 120 seconds remain.
    TwoMinutes,
    /// 30 seconds remain.
    ThirtySeconds,
    /// A person's own, in seconds that remain.
    Custom(i32),
    /// Nothing remains.
    Ended,
}

impl Alert {
    /// Returns its name as it stands on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Halfway => "halfway",
            Self::FiveMinutes => "five_minutes",
            Self::TwoMinutes => "two_minutes",
            Self::ThirtySeconds => "thirty_seconds",
            Self::Custom(_) => "custom",
            Self::Ended => "ended",
        }
    }
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

    pub(super) const fn duration_ms(&self) -> i64 {
        self.duration_seconds as i64 * 1_000
    }

    /// Returns whether an alert at `remaining_ms` before the end has come; it must lie inside the talk.
    const fn has_come(&self, remaining_ms: i64, elapsed_ms: i64) -> bool {
        remaining_ms < self.duration_ms() && self.duration_ms() - elapsed_ms <= remaining_ms
    }

    /// Returns what is announced of this talk, in the order in which it comes: name, and milliseconds that remain then.
    pub(super) fn moments(&self) -> Vec<(Alert, i64)> {
        let Alerts { halfway, five_minutes, two_minutes, thirty_seconds, custom } = &self.alerts;
        let named = [
            (*halfway, Alert::Halfway, self.duration_ms() / 2),
            (*five_minutes, Alert::FiveMinutes, 300_000),
            (*two_minutes, Alert::TwoMinutes, 120_000),
            (*thirty_seconds, Alert::ThirtySeconds, 30_000),
            (true, Alert::Ended, 0),
        ];
        let named =
            named.into_iter().filter(|(is_on, ..)| *is_on).map(|(_, alert, remaining_ms)| (alert, remaining_ms));
        let custom = custom.iter().map(|seconds| (Alert::Custom(*seconds), i64::from(*seconds) * 1_000));
        let mut moments: Vec<_> =
            named.chain(custom).filter(|(_, remaining_ms)| *remaining_ms < self.duration_ms()).collect();
        moments.sort_by_key(|(_, remaining_ms)| std::cmp::Reverse(*remaining_ms));
        moments
    }

    pub(super) fn triggered(&self, elapsed_ms: i64) -> AlertsTriggered {
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
