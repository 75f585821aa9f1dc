//! What a speaker is told, and which samples deserve it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{FeedbackRules, sample::Reading};
use crate::locale::Text;

/// How far past its limit a pace is marked, and severe, percent of the limit.
const PACE_PERCENT: (i64, i64) = (15, 40);
/// How far below its limit confidence is markedly low, and severely, hundredths of a percent.
const LOW_BY: (i64, i64) = (1_000, 2_500);
/// The gentlest and the strongest pulse of a watch.
const INTENSITY: (i64, i64) = (1, 10);

/// Which rule a sample broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FeedbackRule)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Too fast or too slow.
    SpeakingRate,
    /// Too many filler words within a minute.
    FillerWords,
    /// Silent for too long.
    Silence,
    /// Little confidence, or much less than just before.
    Confidence,
}

impl Rule {
    /// Returns the rule's name as it stands on the wire and in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SpeakingRate => "speaking_rate",
            Self::FillerWords => "filler_words",
            Self::Silence => "silence",
            Self::Confidence => "confidence",
        }
    }
}

/// What is told. Each has a haptic pattern of its own, so that it is understood without looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Faster than the target by more than the threshold.
    TooFast,
    /// Slower than the target by more than the threshold.
    TooSlow,
    /// As many filler words within a minute as are too many.
    FillerWords,
    /// Silent for as long as is too long.
    LongSilence,
    /// Confidence fell by as much as is too much.
    ConfidenceDrop,
    /// Confidence is below what is enough.
    LowConfidence,
}

impl Signal {
    const ALL: [Self; 6] =
        [Self::TooFast, Self::TooSlow, Self::FillerWords, Self::LongSilence, Self::ConfidenceDrop, Self::LowConfidence];

    /// Returns the rule that was broken.
    pub const fn rule(self) -> Rule {
        match self {
            Self::TooFast | Self::TooSlow => Rule::SpeakingRate,
            Self::FillerWords => Rule::FillerWords,
            Self::LongSilence => Rule::Silence,
            Self::ConfidenceDrop | Self::LowConfidence => Rule::Confidence,
        }
    }

    /// Returns the name of the haptic pattern, as it stands on the wire and in tables.
    pub const fn pattern(self) -> &'static str {
        match self {
            Self::TooFast => "rapid_pulses",
            Self::TooSlow => "slow_wave",
            Self::FillerWords => "double_tap",
            Self::LongSilence => "long_pulse",
            Self::ConfidenceDrop => "falling_pulses",
            Self::LowConfidence => "rising_wave",
        }
    }

    /// Finds the signal of a pattern's name.
    pub fn of_pattern(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.pattern() == name)
    }

    /// Returns the sentence beside the pattern: what to do, not what is wrong.
    pub const fn message(self) -> Text {
        match self {
            Self::TooFast => Text::new("조금 천천히 말해 보세요.", "Try speaking a little slower."),
            Self::TooSlow => Text::new("조금 더 빠르게 말해 보세요.", "Try speaking a little faster."),
            Self::FillerWords => {
                Text::new("군말 대신 잠깐 쉬어 보세요.", "Try a short pause in place of filler words.")
            }
            Self::LongSilence => {
                Text::new("침묵이 길어지고 있습니다. 말을 이어가 보세요.", "It has been quiet for a while. Go on.")
            }
            Self::ConfidenceDrop => Text::new(
                "자신감이 떨어지고 있습니다. 숨을 고르고 이어가 보세요.",
                "Your confidence is dropping. Take a breath and go on.",
            ),
            Self::LowConfidence => {
                Text::new("조금 더 자신 있게, 또렷하게 말해 보세요.", "Speak up, clearly and with confidence.")
            }
        }
    }
}

/// How badly a rule was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Just so.
    Mild,
    /// Clearly.
    Marked,
    /// By far.
    Severe,
}

impl Severity {
    fn of(amount: i64, (marked, severe): (i64, i64)) -> Self {
        match amount {
            amount if amount >= severe => Self::Severe,
            amount if amount >= marked => Self::Marked,
            _ => Self::Mild,
        }
    }

    /// Returns how strongly a person who chose `strength` feels it, 1-10: what is marked is felt as strongly as they
    /// chose, the others two steps less or more.
    pub fn intensity(self, strength: i64) -> i64 {
        let step = match self {
            Self::Mild => -2,
            Self::Marked => 0,
            Self::Severe => 2,
        };
        strength.saturating_add(step).clamp(INTENSITY.0, INTENSITY.1)
    }
}

/// Something a speaker is told at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cue {
    /// What.
    pub signal: Signal,
    /// 1-10.
    pub intensity: i64,
    /// The instant of the sample that led to it.
    pub at: DateTime<Utc>,
}

/// Returns the worst of what a sample deserves; of equals the first rule.
///
/// `fillers` are those of the last minute, `before` is the confidence before this sample.
pub(super) fn worst(
    rules: &FeedbackRules,
    reading: &Reading,
    fillers: i64,
    before: Option<i64>,
) -> Option<(Signal, Severity)> {
    let broken = [
        pace(rules, reading),
        filler_words(rules, reading, fillers),
        silence(rules, reading),
        drop(rules, reading, before),
        low(rules, reading),
    ];
    broken.into_iter().flatten().reduce(|worst, next| if next.1 > worst.1 { next } else { worst })
}

/// A pace of nothing is silence, not slow speech.
fn pace(rules: &FeedbackRules, reading: &Reading) -> Option<(Signal, Severity)> {
    let rule = &rules.speaking_rate;
    let wpm = reading.wpm.filter(|wpm| rule.enabled && *wpm > 0)?;
    // A word per minute and a hundred percent are both a hundred hundredths.
    let fastest = rule.max_wpm.saturating_mul(100 + rule.threshold_percent);
    let slowest = rule.min_wpm.saturating_mul(100 - rule.threshold_percent);
    let (signal, past, limit) = if wpm > fastest {
        (Signal::TooFast, wpm - fastest, fastest)
    } else if wpm < slowest {
        (Signal::TooSlow, slowest - wpm, slowest)
    } else {
        return None;
    };
    Some((signal, Severity::of(past.saturating_mul(100) / limit.max(1), PACE_PERCENT)))
}

/// Only a sample that has one itself: what was held back by the interval is not told when it is over.
fn filler_words(rules: &FeedbackRules, reading: &Reading, fillers: i64) -> Option<(Signal, Severity)> {
    let rule = &rules.filler_words;
    let many = rule.enabled && reading.fillers > 0 && fillers >= rule.frequency;
    many.then(|| (Signal::FillerWords, Severity::of(fillers, times(rule.frequency))))
}

fn silence(rules: &FeedbackRules, reading: &Reading) -> Option<(Signal, Severity)> {
    let rule = &rules.silence;
    let limit_ms = rule.seconds.saturating_mul(1_000);
    let long = rule.enabled && reading.silence_ms >= limit_ms;
    long.then(|| (Signal::LongSilence, Severity::of(reading.silence_ms, times(limit_ms))))
}

fn drop(rules: &FeedbackRules, reading: &Reading, before: Option<i64>) -> Option<(Signal, Severity)> {
    let rule = &rules.confidence;
    let fell = before?.saturating_sub(reading.confidence?);
    let limit = rule.drop.saturating_mul(100);
    let deep = rule.enabled && fell >= limit;
    deep.then(|| (Signal::ConfidenceDrop, Severity::of(fell, times(limit))))
}

fn low(rules: &FeedbackRules, reading: &Reading) -> Option<(Signal, Severity)> {
    let rule = &rules.confidence;
    let missing = rule.low.saturating_mul(100).saturating_sub(reading.confidence?);
    (rule.enabled && missing > 0).then(|| (Signal::LowConfidence, Severity::of(missing, LOW_BY)))
}

/// Twice a limit is marked, three times severe.
fn times(limit: i64) -> (i64, i64) {
    (limit.saturating_mul(2), limit.saturating_mul(3))
}
