//! Live feedback: what a speaker is told while speaking, and when nothing is said.
//!
//! A client sends samples of what it hears (pace, filler words, silence, confidence); a rule that a sample breaks makes
//! a cue, which a watch turns into a pattern felt on the wrist. A cue interrupts, so there is at most one in the
//! person's minimum interval, for the worst of what was heard. Judging is a function of the settings, of a small state
//! and of the samples: time is the samples' own, in the order in which they are judged, so that samples that come late
//! or twice change nothing, and how they are cut into requests does not matter either.
//!
//! Numbers are whole: hundredths of a word per minute and of a percent, so that what was kept compares equal to what
//! comes again.

mod cue;
mod fields;
mod fillers;
mod sample;
mod settings;
mod summary;

use chrono::{DateTime, Utc};
pub use cue::{Cue, Rule, Severity, Signal};
pub use sample::{FEATURES_MAX, SAMPLES_MAX, SCENARIO_MAX, Sample, TEXT_MAX, parse_samples};
use serde::{Deserialize, Serialize};
pub use settings::{
    ConfidenceRule, FeedbackRules, FeedbackSettings, FillerWordsRule, SilenceRule, SpeakingRateRule, WORD_MAX,
    WORDS_MAX,
};
pub use summary::{ConfidenceSummary, CueCounts, FeedbackSummary, RateSummary, Totals};

use self::sample::Reading;

/// How long a filler word counts, seconds: `frequency` of them within a minute are too many.
pub const FILLER_WINDOW_SECONDS: i64 = 60;
/// Most samples of one instant. A client whose clock shows whole seconds takes a few in each.
pub const INSTANT_MAX: usize = 16;

/// What must be remembered of the samples before: some hundred numbers at most, and nothing that was said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeedbackState {
    /// The newest sample's instant, milliseconds; what is older comes late.
    latest_ms: Option<i64>,
    /// What was heard at that instant; the same again is a repetition.
    seen: Vec<Reading>,
    /// The last cue's instant, milliseconds.
    cue_ms: Option<i64>,
    /// The last confidence there was, hundredths of a percent.
    confidence: Option<i64>,
    /// Filler words of the last minute that led to no cue yet: second, how many.
    fillers: Vec<(i64, i64)>,
}

/// What samples lead to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// In the order of their instants.
    pub cues: Vec<Cue>,
    /// What the next samples are judged on; the same as before when all samples were late or repeated.
    pub state: FeedbackState,
    /// What these samples add to the session's totals; late and repeated ones add nothing.
    pub totals: Totals,
}

/// Judges samples in the order of their instants.
pub fn judge(settings: &FeedbackSettings, state: &FeedbackState, samples: &[Sample]) -> Judgement {
    let words = fillers::Words::new(&settings.rules.filler_words.words);
    let mut heard: Vec<_> = samples.iter().map(|sample| (sample.at, sample.reading(&words))).collect();
    heard.sort_by_key(|(at, _)| *at);
    let mut judged = Judgement { state: state.clone(), ..Judgement::default() };
    for (at, reading) in heard {
        let at_ms = at.timestamp_millis();
        let Some(silence_ms) = judged.state.admit(at_ms, &reading) else { continue };
        judged.totals.add(at_ms, &reading, silence_ms);
        if let Some(cue) = judged.state.hear(settings, at, &reading) {
            judged.totals.cues.add(cue.signal.rule());
            judged.cues.push(cue);
        }
    }
    judged
}

impl FeedbackState {
    /// Lets a sample in unless it is late or a repetition; returns how much of its silence is news, in milliseconds.
    fn admit(&mut self, at_ms: i64, reading: &Reading) -> Option<i64> {
        let since = self.latest_ms.map(|latest| at_ms.saturating_sub(latest));
        match since {
            Some(..0) => return None,
            Some(0) if self.seen.contains(reading) || self.seen.len() >= INSTANT_MAX => return None,
            Some(0) => {}
            _ => self.seen.clear(),
        }
        self.latest_ms = Some(at_ms);
        self.seen.push(reading.clone());
        Some(since.map_or(reading.silence_ms, |since| reading.silence_ms.min(since)))
    }

    /// Remembers what a sample says and returns the cue it leads to.
    fn hear(&mut self, settings: &FeedbackSettings, at: DateTime<Utc>, reading: &Reading) -> Option<Cue> {
        let fillers = self.fillers_until(at.timestamp(), reading.fillers);
        let before = self.confidence;
        self.confidence = reading.confidence.or(before);
        let at_ms = at.timestamp_millis();
        let interval_ms = settings.min_interval_seconds.saturating_mul(1_000);
        let is_quiet = self.cue_ms.is_some_and(|last| at_ms.saturating_sub(last) < interval_ms);
        if is_quiet || !settings.is_heard() {
            return None;
        }
        let (signal, severity) = cue::worst(&settings.rules, reading, fillers, before)?;
        self.cue_ms = Some(at_ms);
        if signal == Signal::FillerWords {
            // They have been spoken of.
            self.fillers.clear();
        }
        Some(Cue { signal, intensity: severity.intensity(settings.strength), at })
    }

    /// Adds a sample's filler words and returns how many the minute that ends with it has.
    fn fillers_until(&mut self, second: i64, count: i64) -> i64 {
        self.fillers.retain(|(then, _)| second.saturating_sub(*then) < FILLER_WINDOW_SECONDS);
        match self.fillers.last_mut() {
            Some((then, so_far)) if *then == second => *so_far = so_far.saturating_add(count),
            _ if count > 0 => self.fillers.push((second, count)),
            _ => {}
        }
        self.fillers.iter().map(|(_, count)| *count).fold(0, i64::saturating_add)
    }
}

#[cfg(test)]
mod tests;
