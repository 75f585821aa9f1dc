//! Local days as instants.
//!
//! A person asks for days of their own calendar; rows carry instants. A day begins at its first instant in the zone and
//! ends where the next one begins, so days of 23 and 25 hours are whole, neighbouring days share no instant, and none
//! falls between them.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::fault::Violations;

/// Most days of one span; a leap year fits.
pub const SPAN_MAX_DAYS: i64 = 366;
/// Longest jump of any zone's clocks: Samoa left out a whole day in 2011.
const LONGEST_GAP_MINUTES: i64 = 26 * 60;

/// Consecutive dates of a local calendar, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalDates {
    /// The first of them.
    pub start: NaiveDate,
    /// The last of them.
    pub end: NaiveDate,
    /// Whose calendar.
    pub tz: Tz,
}

impl LocalDates {
    /// Reads `?tz=&start_date=&end_date=`: an IANA zone and two dates (`YYYY-MM-DD`), both inclusive.
    ///
    /// # Errors
    /// Refuses what is absent, an unknown zone, a date that does not exist, a span that ends before it begins, and one
    /// of more than [`SPAN_MAX_DAYS`].
    pub fn parse(tz: Option<&str>, start: Option<&str>, end: Option<&str>) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let tz = parse_zone(tz, "?tz", &mut violations);
        let start = parse_date(start, "?start_date", &mut violations);
        let end = parse_date(end, "?end_date", &mut violations);
        if let (Some(start), Some(end)) = (start, end) {
            let days = end.signed_duration_since(start).num_days();
            violations.require(
                days >= 0,
                "?end_date",
                "before_start",
                "종료일이 시작일보다 빠릅니다.",
                "The end date is before the start date.",
            );
            violations.require(
                days < SPAN_MAX_DAYS,
                "?end_date",
                "span_too_long",
                "기간은 366일까지 조회할 수 있습니다.",
                "A span has at most 366 days.",
            );
        }
        match (tz, start, end, violations.into_result()) {
            (Some(tz), Some(start), Some(end), Ok(())) => Ok(Self { start, end, tz }),
            (_, _, _, Err(violations)) => Err(violations),
            // Every parser records a violation whenever it returns nothing.
            _ => Err(Violations::new()),
        }
    }
}

/// Consecutive local days, as the half-open span of instants `from..until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalDays {
    /// The first instant of the first day.
    pub from: DateTime<Utc>,
    /// The first instant after the last day.
    pub until: DateTime<Utc>,
}

impl LocalDays {
    /// Reads `?tz=&start_date=&end_date=` as [`LocalDates`] does.
    ///
    /// # Errors
    /// Those of [`LocalDates::parse`].
    pub fn parse(tz: Option<&str>, start: Option<&str>, end: Option<&str>) -> Result<Self, Violations> {
        LocalDates::parse(tz, start, end).map(|dates| Self::of(dates.start, dates.end, dates.tz))
    }

    /// Returns the days from `start` to `end`, both inclusive, as people in `tz` live them.
    pub fn of(start: NaiveDate, end: NaiveDate, tz: Tz) -> Self {
        let after = end.checked_add_days(Days::new(1)).unwrap_or(end);
        Self { from: start_of_day(start, tz), until: start_of_day(after, tz) }
    }
}

/// Returns the first instant of a local date; where its midnight does not exist, the first one after the gap.
pub fn start_of_day(date: NaiveDate, tz: Tz) -> DateTime<Utc> {
    let midnight = date.and_time(NaiveTime::MIN);
    (0..=LONGEST_GAP_MINUTES)
        .find_map(|minute| tz.from_local_datetime(&(midnight + TimeDelta::minutes(minute))).earliest())
        // Unreachable while no zone jumps further than any ever did.
        .map_or_else(|| midnight.and_utc(), |first| first.to_utc())
}

/// Reads an IANA zone, recording a violation at `pointer` when there is none of that name.
pub fn parse_zone(text: Option<&str>, pointer: &str, violations: &mut Violations) -> Option<Tz> {
    let zone = text.and_then(|text| text.parse().ok());
    violations.require(
        zone.is_some(),
        pointer,
        "unknown_zone",
        "IANA 시간대 이름이어야 합니다. 예: Asia/Seoul",
        "Must be the name of an IANA time zone, such as Asia/Seoul.",
    );
    zone
}

/// Reads a date, recording a violation at `pointer` when it is not one of the calendar.
pub fn parse_date(text: Option<&str>, pointer: &str, violations: &mut Violations) -> Option<NaiveDate> {
    // chrono would read `2026-1-5` and signed years too.
    let date = text
        .filter(|text| text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
        .and_then(|text| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok());
    violations.require(
        date.is_some(),
        pointer,
        "not_a_date",
        "YYYY-MM-DD 형식의 날짜여야 합니다.",
        "Must be a date of the form YYYY-MM-DD.",
    );
    date
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::rfc3339;

    fn day(tz: &str, date: &str) -> (String, i64) {
        let days = LocalDays::parse(Some(tz), Some(date), Some(date)).unwrap();
        (rfc3339(days.from), (days.until - days.from).num_hours())
    }

    #[test]
    fn a_day_is_as_long_as_people_live_it() {
        assert_eq!(day("Asia/Seoul", "2026-11-21"), ("2026-11-20T15:00:00.000Z".to_owned(), 24));
        assert_eq!(day("America/New_York", "2026-03-08"), ("2026-03-08T05:00:00.000Z".to_owned(), 23));
        assert_eq!(day("America/New_York", "2026-11-01"), ("2026-11-01T04:00:00.000Z".to_owned(), 25));
        // Half an hour of daylight saving.
        let lord_howe = LocalDays::parse(Some("Australia/Lord_Howe"), Some("2026-10-04"), Some("2026-10-04")).unwrap();
        assert_eq!((lord_howe.until - lord_howe.from).num_minutes(), 24 * 60 - 30);
    }

    #[test]
    fn a_day_whose_midnight_does_not_exist_begins_after_the_gap() {
        assert_eq!(day("America/Sao_Paulo", "2018-11-04"), ("2018-11-04T03:00:00.000Z".to_owned(), 23));
        assert_eq!(day("Africa/Cairo", "2026-04-24"), ("2026-04-23T22:00:00.000Z".to_owned(), 23));
    }

    #[test]
    fn a_day_that_was_left_out_is_empty() {
        assert_eq!(day("Pacific/Apia", "2011-12-30").1, 0);
        assert_eq!(day("Pacific/Apia", "2011-12-31").1, 24);
    }

    #[test]
    fn what_is_wrong_is_named_all_at_once() {
        let pointers = |tz, start, end| {
            let refused = LocalDays::parse(tz, start, end).unwrap_err();
            refused.as_slice().iter().map(|v| format!("{} {}", v.pointer, v.code)).collect::<Vec<_>>()
        };
        assert_eq!(
            pointers(Some("Mars/Base"), Some("2026-02-30"), None),
            ["?tz unknown_zone", "?start_date not_a_date", "?end_date not_a_date"]
        );
        let seoul = Some("Asia/Seoul");
        assert_eq!(pointers(seoul, Some("2026-11-22"), Some("2026-11-21")), ["?end_date before_start"]);
        assert_eq!(pointers(seoul, Some("2025-01-01"), Some("2026-01-02")), ["?end_date span_too_long"]);
        assert!(LocalDays::parse(seoul, Some("2024-01-01"), Some("2024-12-31")).is_ok());
        assert_eq!(pointers(seoul, Some("2026-1-5"), Some("+026-01-05")).len(), 2);
    }

    proptest! {
        #[test]
        fn neighbouring_days_share_no_instant_and_leave_none_out(
            zone in proptest::sample::select(&chrono_tz::TZ_VARIANTS[..]),
            days in 0_u64..40_000,
        ) {
            let date = NaiveDate::from_ymd_opt(1950, 1, 1).unwrap() + Days::new(days);
            let next = date + Days::new(1);
            let (this, that) = (LocalDays::of(date, date, zone), LocalDays::of(next, next, zone));
            prop_assert_eq!(this.until, that.from);
            prop_assert!(this.from <= this.until);
            if this.from < this.until {
                prop_assert_eq!(this.from.with_timezone(&zone).date_naive(), date);
            }
        }

        #[test]
        fn any_text_is_judged_without_a_panic(tz in ".*", start in ".*", end in ".*") {
            _ = LocalDays::parse(Some(&tz), Some(&start), Some(&end));
        }
    }
}
