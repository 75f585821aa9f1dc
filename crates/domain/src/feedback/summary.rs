//! What a session's samples and cues amount to. Kept as it grows, so that no sample needs to be.

use chrono::DateTime;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{cue::Rule, sample::Reading};
use crate::time::Instant;

/// Running totals; those of one part and of the next add up to those of both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Samples that were judged.
    pub(super) samples: i64,
    /// Cues that were given.
    pub cues: CueCounts,
    /// Filler words.
    fillers: i64,
    /// Silence, milliseconds.
    silence_ms: i64,
    /// Hundredths of a word per minute.
    wpm: Option<Course>,
    /// Hundredths of a percent.
    confidence: Option<Course>,
    /// Instants of the first and the last sample, milliseconds.
    span_ms: Option<(i64, i64)>,
}

/// How a number went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Course {
    count: i64,
    sum: i64,
    min: i64,
    max: i64,
    first: i64,
    last: i64,
}

/// How many cues each rule has led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FeedbackCueCounts)]
#[serde(default)]
pub struct CueCounts {
    /// Pace.
    pub speaking_rate: i64,
    /// Filler words.
    pub filler_words: i64,
    /// Silence.
    pub silence: i64,
    /// Confidence.
    pub confidence: i64,
}

/// A session's totals as they are shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeedbackSummary {
    /// Samples that were judged.
    pub sample_count: i64,
    /// Cues that were given.
    pub cue_count: i64,
    /// The same by rule.
    pub cues: CueCounts,
    /// Pace, words per minute; nothing when none was heard.
    pub wpm: Option<RateSummary>,
    /// Filler words.
    pub filler_count: i64,
    /// Silence, milliseconds.
    pub silence_ms: i64,
    /// Confidence, percent; nothing when none was told.
    pub confidence: Option<ConfidenceSummary>,
    /// The first sample's instant.
    pub first_sample_at: Option<Instant>,
    /// The last sample's instant.
    pub last_sample_at: Option<Instant>,
}

/// How fast somebody spoke, words per minute.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = FeedbackRateSummary)]
pub struct RateSummary {
    /// Over all samples that tell it.
    pub average: f64,
    /// Slowest.
    pub min: f64,
    /// Fastest.
    pub max: f64,
}

/// How confident somebody was, percent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = FeedbackConfidenceSummary)]
pub struct ConfidenceSummary {
    /// Over all samples that tell it.
    pub average: f64,
    /// At the beginning.
    pub first: f64,
    /// At the end.
    pub last: f64,
}

impl Totals {
    /// Adds a sample, of whose silence `silence_ms` is news.
    pub(super) fn add(&mut self, at_ms: i64, reading: &Reading, silence_ms: i64) {
        let one = Self {
            samples: 1,
            cues: CueCounts::default(),
            fillers: reading.fillers,
            silence_ms,
            // A pace of nothing is silence.
            wpm: reading.wpm.filter(|wpm| *wpm > 0).map(Course::of),
            confidence: reading.confidence.map(Course::of),
            span_ms: Some((at_ms, at_ms)),
        };
        *self = self.merged(&one);
    }

    /// Returns these totals and those of what came after them as one.
    #[must_use]
    pub fn merged(&self, later: &Self) -> Self {
        Self {
            samples: self.samples.saturating_add(later.samples),
            cues: self.cues.merged(later.cues),
            fillers: self.fillers.saturating_add(later.fillers),
            silence_ms: self.silence_ms.saturating_add(later.silence_ms),
            wpm: either(self.wpm, later.wpm, Course::merged),
            confidence: either(self.confidence, later.confidence, Course::merged),
            span_ms: either(self.span_ms, later.span_ms, |a, b| (a.0.min(b.0), a.1.max(b.1))),
        }
    }

    /// Returns them as they are shown.
    pub fn view(&self) -> FeedbackSummary {
        let instant = |ms: i64| DateTime::from_timestamp_millis(ms).map(Instant);
        FeedbackSummary {
            sample_count: self.samples,
            cue_count: self.cues.sum(),
            cues: self.cues,
            wpm: self.wpm.map(|wpm| RateSummary {
                average: wpm.average(),
                min: hundredths(wpm.min),
                max: hundredths(wpm.max),
            }),
            filler_count: self.fillers,
            silence_ms: self.silence_ms,
            confidence: self.confidence.map(|confidence| ConfidenceSummary {
                average: confidence.average(),
                first: hundredths(confidence.first),
                last: hundredths(confidence.last),
            }),
            first_sample_at: self.span_ms.and_then(|(first, _)| instant(first)),
            last_sample_at: self.span_ms.and_then(|(_, last)| instant(last)),
        }
    }
}

impl Course {
    const fn of(number: i64) -> Self {
        Self { count: 1, sum: number, min: number, max: number, first: number, last: number }
    }

    fn merged(self, later: Self) -> Self {
        Self {
            count: self.count.saturating_add(later.count),
            sum: self.sum.saturating_add(later.sum),
            min: self.min.min(later.min),
            max: self.max.max(later.max),
            first: self.first,
            last: later.last,
        }
    }

    /// Returns the average, rounded to a hundredth; the numbers are never negative.
    fn average(self) -> f64 {
        hundredths(self.sum.saturating_add(self.count / 2) / self.count.max(1))
    }
}

impl CueCounts {
    /// Counts a cue.
    pub(super) fn add(&mut self, rule: Rule) {
        let count = match rule {
            Rule::SpeakingRate => &mut self.speaking_rate,
            Rule::FillerWords => &mut self.filler_words,
            Rule::Silence => &mut self.silence,
            Rule::Confidence => &mut self.confidence,
        };
        *count = count.saturating_add(1);
    }

    /// Returns how many there are of all rules.
    pub fn sum(self) -> i64 {
        [self.speaking_rate, self.filler_words, self.silence, self.confidence].into_iter().fold(0, i64::saturating_add)
    }

    fn merged(self, later: Self) -> Self {
        Self {
            speaking_rate: self.speaking_rate.saturating_add(later.speaking_rate),
            filler_words: self.filler_words.saturating_add(later.filler_words),
            silence: self.silence.saturating_add(later.silence),
            confidence: self.confidence.saturating_add(later.confidence),
        }
    }
}

/// Joins what both have, or takes what one has.
fn either<T>(earlier: Option<T>, later: Option<T>, join: impl FnOnce(T, T) -> T) -> Option<T> {
    match (earlier, later) {
        (Some(earlier), Some(later)) => Some(join(earlier, later)),
        (earlier, later) => earlier.or(later),
    }
}

/// Returns a number of hundredths; each number that is kept has at most seven digits.
fn hundredths(number: i64) -> f64 {
    f64::from(i32::try_from(number).unwrap_or(i32::MAX)) / 100.0
}
