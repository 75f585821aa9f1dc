//! How long somebody will wait, as an interval that says why it grew.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::locale::Text;

/// How many are taken to be let in within a second until that has been measured: the document's own assumption.
pub const ASSUMED_RATE: f64 = 50.0;
/// How far back the rate is measured, milliseconds.
const WINDOW_MS: i64 = 60_000;
/// How long a line must be watched before its rate says something, milliseconds.
const TELLING_MS: i64 = 5_000;
/// Least pause between two samples, milliseconds.
const EVERY_MS: i64 = 1_000;
/// One in ten waits is shorter than the lower end of the interval, one in ten longer than the upper: this many standard
/// deviations.
const WIDTH: f64 = 1.281_55;
/// How much slower it must have become before that is called a reason.
const SLOWER: f64 = 0.8;

/// Why a wait is longer than one would think.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Delay {
    /// Whoever runs the event lets nobody in for now.
    Paused,
    /// Nobody is let in before the opening time.
    NotOpenYet,
    /// The line was lost and people take their places again.
    Recovering,
    /// Everybody inside is still choosing or paying.
    NobodyLeaving,
    /// Whoever runs the event lets fewer in.
    RateLowered,
    /// Those inside take longer than those before them.
    Slower,
}

impl Delay {
    /// Returns the sentence that people are told.
    pub const fn text(self) -> Text {
        match self {
            Self::Paused => Text::new("주최자가 입장을 잠시 멈췄습니다.", "The organizer has paused admission."),
            Self::NotOpenYet => Text::new("아직 입장 시간이 아닙니다.", "Admission has not opened yet."),
            Self::Recovering => {
                Text::new("대기 순서를 복구하고 있습니다.", "The line is being restored; places are kept.")
            }
            Self::NobodyLeaving => Text::new(
                "먼저 입장한 분들이 결제를 마치지 않아 기다리고 있습니다.",
                "Everybody inside is still choosing or paying.",
            ),
            Self::RateLowered => {
                Text::new("주최자가 입장 속도를 낮췄습니다.", "The organizer has lowered the rate of admission.")
            }
            Self::Slower => Text::new("결제가 평소보다 오래 걸리고 있습니다.", "Payments take longer than before."),
        }
    }
}

/// How long somebody will wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// The single number, seconds.
    pub seconds: u64,
    /// Nine in ten wait at least this long, seconds.
    pub low: u64,
    /// Nine in ten wait at most this long, seconds; nothing while nobody can say.
    pub high: Option<u64>,
    /// Why it is longer than one would think.
    pub reason: Option<Delay>,
}

/// How fast a line was seen to move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// People let in within a second.
    pub per_second: f64,
    /// How many that was seen on.
    pub count: i64,
    /// The same in the time before, when that was watched long enough.
    pub before: Option<f64>,
}

/// What holds a line up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// The line's own time.
    pub now: DateTime<Utc>,
    /// From when on people are let in.
    pub opens_at: Option<DateTime<Utc>>,
    /// Whether nobody is let in for now.
    pub paused: bool,
    /// Until when people take their places again after a loss.
    pub recovers_at: Option<DateTime<Utc>>,
    /// How many may be let in within a second.
    pub rate_per_second: Option<i32>,
}

/// Watches how fast people are let in from the line.
#[derive(Clone, Debug, Default)]
pub struct Pace(VecDeque<(i64, i64)>);

impl Pace {
    /// Notes that `called` people had been let in from the line by `at_ms`, and whether anybody waited still.
    ///
    /// What happens while nobody waits says how many come, and not how fast a line would move.
    pub fn observe(&mut self, at_ms: i64, called: i64, anybody_waits: bool) {
        let (last_at, last_called) = self.0.back().copied().unwrap_or((i64::MIN, 0));
        if !anybody_waits || called < last_called || at_ms < last_at {
            self.0.clear();
        }
        if anybody_waits && self.0.back().is_none_or(|(last, _)| at_ms - last >= EVERY_MS) {
            self.0.push_back((at_ms, called));
        }
        while self.0.front().is_some_and(|(first, _)| at_ms - first > 2 * WINDOW_MS) {
            self.0.pop_front();
        }
    }

    /// Returns how fast the line moved within the last minute; nothing before it was watched for some seconds.
    pub fn measured(&self) -> Option<Measured> {
        let (last_at, last_called) = *self.0.back()?;
        let since = |ms: i64| self.0.iter().find(|(at, _)| last_at - at <= ms).copied();
        let (from, called) = since(WINDOW_MS)?;
        if last_at - from < TELLING_MS {
            return None;
        }
        let count = last_called - called;
        let before = since(2 * WINDOW_MS)
            .filter(|(earlier, _)| from - earlier >= TELLING_MS)
            .map(|(earlier, earlier_called)| rate(called - earlier_called, from - earlier));
        Some(Measured { per_second: rate(count, last_at - from), count, before })
    }
}

fn rate(count: i64, ms: i64) -> f64 {
    as_float(count) * 1_000.0 / as_float(ms.max(1))
}

/// Estimates the wait of whoever stands at `position`, counted from 1.
pub fn estimate(position: i64, measured: Option<Measured>, conditions: Conditions) -> Estimate {
    let places = as_float(position.max(1));
    let pace = Speed::of(measured, conditions.rate_per_second);
    let until = |at: Option<DateTime<Utc>>| {
        at.map_or(0.0, |at| as_float((at - conditions.now).num_milliseconds().max(0)) / 1_000.0)
    };
    let (opening, recovery) = (until(conditions.opens_at), until(conditions.recovers_at));
    let hold = opening.max(recovery);
    let wait = places / pace.per_second;
    // Two things are uncertain: when those ahead leave, and how well their rate is known.
    let width = WIDTH * (1.0 / places + 1.0 / pace.seen).sqrt();
    let open_ended = conditions.paused || pace.is_still;
    let reason = if conditions.paused {
        Some(Delay::Paused)
    } else if opening > 0.0 {
        Some(Delay::NotOpenYet)
    } else if recovery > 0.0 {
        Some(Delay::Recovering)
    } else {
        pace.reason
    };
    Estimate {
        seconds: whole((hold + wait).ceil()),
        low: whole((hold + wait / (1.0 + width)).floor()),
        high: (!open_ended).then(|| whole((hold + wait * (1.0 + width)).ceil())),
        reason,
    }
}

/// How fast a line is taken to move.
struct Speed {
    per_second: f64,
    /// On how many people that rests.
    seen: f64,
    /// Whether nobody was let in although it was watched.
    is_still: bool,
    reason: Option<Delay>,
}

impl Speed {
    fn of(measured: Option<Measured>, limit: Option<i32>) -> Self {
        let mut speed =
            measured.map_or(Self { per_second: ASSUMED_RATE, seen: 4.0, is_still: false, reason: None }, |measured| {
                let slower = measured.before.is_some_and(|before| measured.per_second < before * SLOWER);
                let is_still = measured.count == 0;
                // Nobody within a minute: one a minute is the most it can be taken for.
                let per_second = measured.per_second.max(1_000.0 / as_float(WINDOW_MS));
                let reason = if is_still { Some(Delay::NobodyLeaving) } else { slower.then_some(Delay::Slower) };
                Self { per_second, seen: as_float(measured.count.max(1)), is_still, reason }
            });
        if let Some(limit) = limit.map(f64::from).filter(|limit| *limit < speed.per_second) {
            speed.per_second = limit;
            speed.reason = Some(Delay::RateLowered);
        }
        speed
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of people and milliseconds")]
fn as_float(number: i64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds, never negative")]
fn whole(seconds: f64) -> u64 {
    seconds.clamp(0.0, 1e12) as u64
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    const FREE: Conditions = Conditions {
        now: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        opens_at: None,
        paused: false,
        recovers_at: None,
        rate_per_second: None,
    };

    fn watched(seconds: i64, per_second: impl Fn(i64) -> i64) -> Pace {
        let (mut pace, mut called) = (Pace::default(), 0);
        for second in 0..seconds {
            pace.observe(second * 1_000, called, true);
            called += per_second(second);
        }
        pace
    }

    #[test]
    fn until_it_is_measured_the_documents_rate_counts() {
        assert_eq!(estimate(45, None, FREE).seconds, 1);
        assert_eq!(estimate(51, None, FREE).seconds, 2);
        assert_eq!(watched(5, |_| 20).measured(), None);
        assert_eq!(estimate(5_000, None, FREE).reason, None);
    }

    #[test]
    fn what_was_seen_in_the_last_minute_counts_then() {
        let measured = watched(100, |_| 20).measured().unwrap();
        assert!((measured.per_second - 20.0).abs() < 1e-9);
        let waiting = estimate(1_000, Some(measured), FREE);
        assert_eq!(waiting.seconds, 50);
        assert!(waiting.low < 50 && waiting.low > 44 && waiting.high.is_some_and(|high| high > 50 && high < 56));
    }

    #[test]
    fn what_happens_while_nobody_waits_is_not_a_rate() {
        let mut pace = watched(30, |_| 500);
        pace.observe(30_000, 15_000, false);
        assert_eq!(pace.measured(), None);
        for second in 31..60 {
            pace.observe(second * 1_000, 15_000 + second, true);
        }
        assert!((pace.measured().unwrap().per_second - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_wait_that_grows_says_why() {
        let measured = watched(100, |_| 20).measured();
        let reason = |measured, conditions| estimate(100, measured, conditions).reason;
        assert_eq!(reason(measured, Conditions { paused: true, ..FREE }), Some(Delay::Paused));
        assert_eq!(estimate(100, measured, Conditions { paused: true, ..FREE }).high, None);
        let later = Some(FREE.now + TimeDelta::seconds(90));
        let opening = estimate(100, measured, Conditions { opens_at: later, ..FREE });
        assert_eq!((opening.seconds, opening.reason), (95, Some(Delay::NotOpenYet)));
        assert_eq!(reason(measured, Conditions { recovers_at: later, ..FREE }), Some(Delay::Recovering));
        assert_eq!(reason(measured, Conditions { rate_per_second: Some(5), ..FREE }), Some(Delay::RateLowered));
        assert_eq!(reason(measured, Conditions { rate_per_second: Some(50), ..FREE }), None);
        assert_eq!(reason(watched(60, |_| 0).measured(), FREE), Some(Delay::NobodyLeaving));
        let slower = watched(120, |second| if second < 60 { 20 } else { 5 }).measured();
        assert_eq!(reason(slower, FREE), Some(Delay::Slower));
    }

    #[test]
    fn a_line_that_was_lost_is_watched_anew() {
        let mut pace = watched(30, |_| 10);
        pace.observe(30_000, 3, true);
        assert_eq!(pace.measured(), None);
    }

    proptest! {
        #[test]
        fn the_number_lies_within_its_interval_and_grows_with_the_position(
            position in 1_i64..2_000_000, further in 0_i64..1_000, count in 0_i64..100_000, opening in -100_i64..1_000,
            limit in proptest::option::of(1_i32..1_000), paused: bool,
        ) {
            let measured = Some(Measured { per_second: rate(count, 60_000), count, before: None });
            let opens_at = Some(FREE.now + TimeDelta::seconds(opening));
            let conditions = Conditions { opens_at, rate_per_second: limit, paused, ..FREE };
            for measured in [measured, None] {
                let near = estimate(position, measured, conditions);
                let far = estimate(position + further, measured, conditions);
                prop_assert!(near.low <= near.seconds && near.high.is_none_or(|high| high >= near.seconds));
                prop_assert!(near.seconds <= far.seconds && near.low <= far.low);
                prop_assert!(near.seconds >= 1 && near.seconds >= u64::try_from(opening).unwrap_or_default());
            }
        }
    }
}
