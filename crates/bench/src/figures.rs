//! Medians, ranges, and how numbers are written.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// The middle and the ends of a few measured values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Returns the spread of `values`, or none of no values.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self { min, median: f64::midpoint(lower, upper), max })
    }

    /// Returns how far the values lie apart, as a share of their median.
    pub(crate) fn width(self) -> f64 {
        if self.median > 0.0 { (self.max - self.min) / self.median } else { 0.0 }
    }
}

/// Returns the value below which `share` of the sorted values lie.
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> Option<Duration> {
    let last = u32::try_from(sorted.len().checked_sub(1)?).ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of an index is an index, and the fraction is not wanted"
    )]
    let index = (f64::from(last) * share.clamp(0.0, 1.0)).round() as usize;
    sorted.get(index).copied()
}

/// Returns a count as a float; counts here are far below the 2^53 where that loses anything.
#[expect(clippy::cast_precision_loss, reason = "a measured figure of three digits is made of it")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

/// Writes a rate without fraction and with thousands apart: `63,214`.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.max(0.0));
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Writes a duration in milliseconds: `12.67`.
pub(crate) fn milliseconds(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1e3)
}

/// Writes a duration into JSON as milliseconds.
pub(crate) fn as_milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_lies_between() {
        let spread = Spread::of([4.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!(spread, Spread { min: 1.0, median: 2.5, max: 4.0 });
        assert_eq!(Spread::of([7.0]).unwrap(), Spread { min: 7.0, median: 7.0, max: 7.0 });
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn percentiles_are_measured_values() {
        let sorted: Vec<Duration> = (0..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 0.5), Some(Duration::from_millis(50)));
        assert_eq!(percentile(&sorted, 0.99), Some(Duration::from_millis(99)));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn thousands_are_apart() {
        assert_eq!(thousands(0.4), "0");
        assert_eq!(thousands(999.4), "999");
        assert_eq!(thousands(63_214.0), "63,214");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
    }
}
