//! What a client heard at an instant.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    fields::{FAULTS_MAX, Fields},
    fillers::Words,
};
use crate::fault::Violations;

/// Most samples of one request: half a minute of three a second.
pub const SAMPLES_MAX: usize = 100;
/// Most characters of what was said; ten seconds of fast speech have a hundred.
pub const TEXT_MAX: usize = 2_000;
/// Most characters of a scenario's name.
pub const SCENARIO_MAX: usize = 100;
/// Most features of a sample; the clients send eight.
pub const FEATURES_MAX: usize = 50;

/// Fastest pace that is believed, words per minute; the fastest talkers there are reach 600.
const WPM_MAX: f64 = 1_000.0;
/// Most filler words of one sample.
const FILLERS_MAX: i64 = 1_000;
/// Longest silence, milliseconds: a day.
const SILENCE_MAX_MS: i64 = 24 * 60 * 60 * 1_000;
/// The first instant that is believed: the beginning of 2000. Who sends seconds for milliseconds is told so.
const EARLIEST_MS: i64 = 946_684_800_000;
/// How far a client's clock may be ahead: a day, because clocks that are set to another time zone tell the order of
/// samples as well as right ones do. One sample from farther ahead would make all that follow late ones.
const AHEAD: TimeDelta = TimeDelta::days(1);

/// A sample, as far as rules look at it; other features are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// By the client's clock, whole milliseconds.
    pub at: DateTime<Utc>,
    /// Filler words, when the client counted them.
    fillers: Option<i64>,
    /// What was said, for counting filler words; goes no further.
    text: Option<String>,
    reading: Reading,
}

/// The numbers of a sample.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Reading {
    /// Hundredths of a word per minute.
    pub(super) wpm: Option<i64>,
    /// Filler words since the sample before.
    pub(super) fillers: i64,
    /// How long it has been silent, milliseconds.
    pub(super) silence_ms: i64,
    /// Hundredths of a percent.
    pub(super) confidence: Option<i64>,
}

impl Sample {
    /// Returns its numbers; filler words are those the client counted, or else those of the text.
    pub(super) fn reading(&self, words: &Words) -> Reading {
        let counted = || self.text.as_deref().map_or(0, |text| words.count(text));
        let fillers = self.fillers.unwrap_or_else(|| i64::try_from(counted()).unwrap_or(FILLERS_MAX));
        Reading { fillers: fillers.min(FILLERS_MAX), ..self.reading.clone() }
    }
}

/// Reads one sample, or `{samples: [...]}`; `now` is the server's.
///
/// `timestamp` is RFC 3339 or milliseconds since 1970. `features.wpm` may also be called `evaluation_wpm`, as the first
/// clients do; `filler_count` counts since the sample before; `silence_ms` is how long it has been silent;
/// `confidence` is a share up to 1, or else a percentage.
///
/// # Errors
/// Refuses more than [`SAMPLES_MAX`] samples, none, and any that has no instant, nothing to judge, or numbers that
/// cannot be.
pub fn parse_samples(body: &Value, now: DateTime<Utc>) -> Result<Vec<Sample>, Violations> {
    let mut violations = Violations::new();
    let samples = match body.get("samples") {
        Some(samples) => {
            _ = Fields::of(body, "", &["samples"], &mut violations);
            parse_batch(samples, now, &mut violations)
        }
        None => parse_sample(body, "", now, &mut violations).into_iter().collect(),
    };
    violations.into_result().map(|()| samples)
}

fn parse_batch(samples: &Value, now: DateTime<Utc>, violations: &mut Violations) -> Vec<Sample> {
    let listed = samples.as_array().filter(|samples| (1..=SAMPLES_MAX).contains(&samples.len()));
    let Some(listed) = listed else {
        violations.add("/samples", "length", "샘플은 1-100개여야 합니다.", "There are 1-100 samples.");
        return Vec::new();
    };
    let mut parsed = Vec::with_capacity(listed.len());
    for (place, sample) in listed.iter().enumerate() {
        if violations.as_slice().len() >= FAULTS_MAX {
            break;
        }
        parsed.extend(parse_sample(sample, &format!("/samples/{place}"), now, violations));
    }
    parsed
}

fn parse_sample(sample: &Value, pointer: &str, now: DateTime<Utc>, violations: &mut Violations) -> Option<Sample> {
    let fields = Fields::of(sample, pointer, &["timestamp", "scenario", "features", "text"], violations)?;
    let at = parse_timestamp(&fields, now, violations);
    _ = parse_text(&fields, "scenario", SCENARIO_MAX, violations);
    let text = parse_text(&fields, "text", TEXT_MAX, violations);
    let features =
        fields.get("features").and_then(|features| Fields::open(features, fields.at("features"), violations));
    violations.require(
        fields.get("features").is_some() || text.is_some(),
        fields.at("features"),
        "required",
        "features 또는 text가 필요합니다.",
        "A sample has features or a text.",
    );
    let (fillers, reading) = features.map(|features| parse_features(&features, violations)).unwrap_or_default();
    Some(Sample { at: at?, fillers, text, reading })
}

fn parse_timestamp(fields: &Fields<'_>, now: DateTime<Utc>, violations: &mut Violations) -> Option<DateTime<Utc>> {
    let at = match fields.get("timestamp") {
        Some(Value::String(text)) => DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis()),
        // Some clocks tell fractions of a millisecond.
        Some(Value::Number(ms)) => ms.as_i64().or_else(|| ms.as_f64().and_then(|ms| scaled(ms, 1.0))),
        _ => None,
    };
    let latest_ms = now.checked_add_signed(AHEAD).unwrap_or(now).timestamp_millis();
    let at = at.filter(|ms| (EARLIEST_MS..=latest_ms).contains(ms)).and_then(DateTime::from_timestamp_millis);
    violations.require(
        at.is_some(),
        fields.at("timestamp"),
        "not_an_instant",
        "RFC 3339 시각 또는 1970년부터의 밀리초여야 하며, 미래일 수 없습니다.",
        "Must be an RFC 3339 time or milliseconds since 1970, and not in the future.",
    );
    at
}

fn parse_text(fields: &Fields<'_>, name: &str, max: usize, violations: &mut Violations) -> Option<String> {
    let text = fields.get(name)?;
    let fitting = text.as_str().filter(|text| text.chars().count() <= max);
    violations.require(
        fitting.is_some(),
        fields.at(name),
        "not_allowed",
        "글이어야 하며 scenario는 100자, text는 2,000자 이하여야 합니다.",
        "Must be a text: a scenario of at most 100 characters, a text of at most 2,000.",
    );
    fitting.map(ToOwned::to_owned)
}

fn parse_features(features: &Fields<'_>, violations: &mut Violations) -> (Option<i64>, Reading) {
    violations.require(
        features.len() <= FEATURES_MAX,
        features.at("").trim_end_matches('/'),
        "too_many",
        "특징은 50개까지 보낼 수 있습니다.",
        "There are at most 50 features.",
    );
    let pace = if features.get("wpm").is_some() { "wpm" } else { "evaluation_wpm" };
    let wpm = parse_number(features, pace, WPM_MAX, violations).and_then(|wpm| scaled(wpm, 100.0));
    let confidence = parse_number(features, "confidence", 100.0, violations)
        .and_then(|part| scaled(part, if part <= 1.0 { 10_000.0 } else { 100.0 }));
    let whole = |name, max, violations: &mut Violations| {
        let number = parse_number(features, name, max, violations)?;
        scaled(number, 1.0)
    };
    let fillers = whole("filler_count", bound(FILLERS_MAX), violations);
    let silence_ms = whole("silence_ms", bound(SILENCE_MAX_MS), violations).unwrap_or_default();
    (fillers, Reading { wpm, fillers: 0, silence_ms, confidence })
}

fn parse_number(features: &Fields<'_>, name: &str, max: f64, violations: &mut Violations) -> Option<f64> {
    let value = features.get(name)?;
    let number = value.as_f64().filter(|number| (0.0..=max).contains(number));
    violations.require(
        number.is_some(),
        features.at(name),
        "out_of_range",
        "허용 범위의 숫자여야 합니다. (wpm 0-1000, filler_count 0-1000, silence_ms 0-86400000, confidence 0-1 또는 0-100)",
        "Must be a number in its range: wpm 0-1000, filler_count 0-1000, silence_ms 0-86400000, confidence 0-1 or 0-100.",
    );
    number
}

/// Returns a multiple of a number, rounded; nothing when it is larger than any instant in milliseconds.
fn scaled(number: f64, by: f64) -> Option<i64> {
    const LARGEST: f64 = 1e15;
    let whole = (number * by).round();
    #[expect(clippy::cast_possible_truncation, reason = "whole, and of at most fifteen digits")]
    (whole.abs() <= LARGEST).then_some(whole as i64)
}

#[expect(clippy::cast_precision_loss, reason = "bounds have at most eight digits")]
const fn bound(number: i64) -> f64 {
    number as f64
}
