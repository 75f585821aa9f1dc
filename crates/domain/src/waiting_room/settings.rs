//! How an event's waiting room is run.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fault::Violations;

/// How many may be inside at once unless the organizer says otherwise.
pub const THRESHOLD: i32 = 1_000;
/// Most people that may ever be inside at once.
pub const MAX_THRESHOLD: i32 = 1_000_000;
/// Most people a second that may ever be let in.
pub const MAX_RATE: i32 = 100_000;

/// When admission is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Never.
    Off,
    /// While the event is full or anybody waits.
    #[default]
    Auto,
    /// Always.
    On,
}

impl Mode {
    /// Returns the mode's name on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Auto => "auto",
            Self::On => "on",
        }
    }

    /// Reads a mode's name; one this version does not know counts as [`Mode::On`], which lets nobody past the line.
    pub fn parse(name: &str) -> Self {
        match name {
            "off" => Self::Off,
            "auto" => Self::Auto,
            _ => Self::On,
        }
    }
}

/// How an event's waiting room is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// When admission is needed.
    pub mode: Mode,
    /// How many may be inside at once.
    pub threshold: i32,
    /// How many may be let in within a second; any number when nothing is said.
    pub rate_per_second: Option<i32>,
    /// Whether nobody is let in for now.
    pub paused: bool,
    /// From when on people are let in; from the start of the sale when nothing is said.
    pub opens_at: Option<DateTime<Utc>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { mode: Mode::Auto, threshold: THRESHOLD, rate_per_second: None, paused: false, opens_at: None }
    }
}

/// What is to be different; what is left out stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SettingsChange {
    /// When admission is needed.
    pub mode: Option<Mode>,
    /// How many may be inside at once.
    pub threshold: Option<i64>,
    /// How many may be let in within a second; `Some(None)` for any number.
    pub rate_per_second: Option<Option<i64>>,
    /// Whether nobody is let in for now.
    pub paused: Option<bool>,
    /// From when on people are let in; `Some(None)` for the start of the sale.
    pub opens_at: Option<Option<DateTime<Utc>>>,
}

impl Settings {
    /// Returns the settings as they are after a change.
    ///
    /// # Errors
    /// Refuses numbers outside their range, each with its field.
    pub fn change(self, change: SettingsChange) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let threshold = within(change.threshold, MAX_THRESHOLD);
        violations.require(
            change.threshold.is_none() || threshold.is_some(),
            "/threshold",
            "range",
            "동시 입장 인원은 1명부터 1,000,000명까지입니다.",
            "At least 1 and at most 1,000,000 may be inside at once.",
        );
        let rate = change.rate_per_second.flatten();
        let rate_per_second = within(rate, MAX_RATE);
        violations.require(
            rate.is_none() || rate_per_second.is_some(),
            "/rate_per_second",
            "range",
            "초당 입장 인원은 1명부터 100,000명까지입니다.",
            "At least 1 and at most 100,000 may be let in within a second.",
        );
        violations.into_result()?;
        Ok(Self {
            mode: change.mode.unwrap_or(self.mode),
            threshold: threshold.unwrap_or(self.threshold),
            rate_per_second: if change.rate_per_second.is_some() { rate_per_second } else { self.rate_per_second },
            paused: change.paused.unwrap_or(self.paused),
            opens_at: change.opens_at.unwrap_or(self.opens_at),
        })
    }

    /// Returns the microseconds between two admissions; none when any number may be let in.
    pub fn interval_us(&self) -> Option<i64> {
        self.rate_per_second.map(|rate| 1_000_000 / i64::from(rate.max(1)))
    }
}

fn within(number: Option<i64>, max: i32) -> Option<i32> {
    number.filter(|number| (1..=i64::from(max)).contains(number)).and_then(|number| i32::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_document_lets_a_thousand_in() {
        let settings = Settings::default();
        assert_eq!((settings.mode, settings.threshold, settings.interval_us()), (Mode::Auto, 1_000, None));
    }

    #[test]
    fn every_wrong_number_is_pointed_at() {
        let change =
            SettingsChange { threshold: Some(0), rate_per_second: Some(Some(-1)), ..SettingsChange::default() };
        let refused = Settings::default().change(change).unwrap_err();
        let pointers: Vec<_> = refused.as_slice().iter().map(|v| v.pointer.as_str()).collect();
        assert_eq!(pointers, ["/threshold", "/rate_per_second"]);
    }

    #[test]
    fn a_rate_can_be_taken_away_and_is_kept_otherwise() {
        let limited = Settings { rate_per_second: Some(4), ..Settings::default() };
        assert_eq!(limited.interval_us(), Some(250_000));
        assert_eq!(limited.change(SettingsChange::default()).unwrap(), limited);
        let free = limited.change(SettingsChange { rate_per_second: Some(None), ..SettingsChange::default() });
        assert_eq!(free.unwrap().rate_per_second, None);
    }

    #[test]
    fn mode_names_are_read_back_and_an_unknown_one_lets_nobody_past() {
        for mode in [Mode::Off, Mode::Auto, Mode::On] {
            assert_eq!(Mode::parse(mode.name()), mode);
            assert_eq!(serde_json::to_value(mode).unwrap(), mode.name());
        }
        assert_eq!(Mode::parse("lottery"), Mode::On);
    }

    proptest! {
        #[test]
        fn settings_are_never_outside_their_range(threshold: Option<i64>, rate: Option<Option<i64>>, paused: Option<bool>) {
            let change = SettingsChange { threshold, rate_per_second: rate, paused, ..SettingsChange::default() };
            if let Ok(settings) = Settings::default().change(change) {
                prop_assert!((1..=MAX_THRESHOLD).contains(&settings.threshold));
                prop_assert!(settings.rate_per_second.is_none_or(|rate| (1..=MAX_RATE).contains(&rate)));
                prop_assert!(settings.interval_us().is_none_or(|interval| (10..=1_000_000).contains(&interval)));
                prop_assert_eq!(settings.paused, paused.unwrap_or(false));
            }
        }
    }
}
