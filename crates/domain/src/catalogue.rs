//! What organizers may say about an event, a ticket type and a hall.

use std::ops::RangeInclusive;

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::Tz;

use crate::fault::{Fault, Kind, Violations};

/// Most characters of a title, an artist's name, a venue.
pub const NAME_MAX: usize = 200;
/// Most characters of an address.
pub const ADDRESS_MAX: usize = 300;
/// Most characters of a description.
pub const DESCRIPTION_MAX: usize = 5_000;
/// Most characters of an address of a picture.
pub const URL_MAX: usize = 2_000;
/// Most characters of the name of a ticket type or a section: it stands on the ticket.
pub const LABEL_MAX: usize = 50;
/// What one ticket or seat may cost, KRW.
pub const PRICE: RangeInclusive<i64> = 0..=100_000_000;
/// How many there may be of one ticket type.
pub const QUANTITY: RangeInclusive<i64> = 0..=1_000_000;
/// Most ticket types of one event: each is a line of a form.
pub const TICKET_TYPES_MAX: usize = 50;
/// Most sections of a hall.
pub const SECTIONS_MAX: usize = 100;
/// Rows of one section.
pub const ROWS: RangeInclusive<i64> = 1..=500;
/// Seats of one row.
pub const SEATS_PER_ROW: RangeInclusive<i64> = 1..=500;
/// Number of a section's first row in the hall.
pub const START_ROW: RangeInclusive<i64> = 1..=10_000;
/// Most seats of a hall: the largest arenas. They are made in one statement, and drawn by one page.
pub const SEATS_MAX: i64 = 20_000;
/// Years in which something takes place.
const YEARS: RangeInclusive<i32> = 2000..=2100;
/// The ways in which forms write a time without an offset.
const LOCAL_TIMES: [&str; 4] = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S%.f"];

/// Somebody has ordered from the event, so it must stay.
pub const EVENT_ORDERED: Fault = Fault::new(
    Kind::Conflict,
    "event_ordered",
    "예매 내역이 있는 이벤트는 삭제할 수 없습니다. 취소를 이용해 주세요.",
    "Somebody has ordered from this event, so it cannot be deleted. Cancel it instead.",
);
/// Seats of the event were ordered, so its hall must stay.
pub const SEATS_ORDERED: Fault = Fault::new(
    Kind::Conflict,
    "seats_ordered",
    "예매된 좌석이 있어 좌석 배치를 바꿀 수 없습니다.",
    "Seats of this event were ordered, so its layout cannot be changed.",
);
/// The event was cancelled; nothing about it changes any more.
pub const EVENT_CANCELLED: Fault =
    Fault::new(Kind::Conflict, "event_cancelled", "취소된 이벤트입니다.", "This event was cancelled.");
/// There would be fewer tickets than are sold or held.
pub const STOCK_BELOW_SOLD: Fault = Fault::new(
    Kind::Conflict,
    "stock_below_sold",
    "이미 판매되었거나 선점된 수량보다 적게 줄일 수 없습니다.",
    "There cannot be fewer tickets than are sold or held.",
);
/// The event has a ticket type of that name.
pub const TICKET_TYPE_EXISTS: Fault = Fault::new(
    Kind::Conflict,
    "ticket_type_exists",
    "같은 이름의 티켓 종류가 있습니다.",
    "This event has a ticket type of that name.",
);
/// The event has as many ticket types as an event may have.
pub const TOO_MANY_TICKET_TYPES: Fault = Fault::new(
    Kind::Conflict,
    "too_many_ticket_types",
    "티켓 종류는 50개까지 만들 수 있습니다.",
    "An event has at most 50 ticket types.",
);
/// No such layout.
pub const LAYOUT_NOT_FOUND: Fault =
    Fault::new(Kind::NotFound, "layout_not_found", "좌석 배치를 찾을 수 없습니다.", "There is no such layout.");
/// A reservation does not go from where it stands to there.
pub const INVALID_TRANSITION: Fault = Fault::new(
    Kind::Conflict,
    "invalid_transition",
    "지금 상태에서는 바꿀 수 없습니다.",
    "The reservation cannot go there from where it stands.",
);

/// Reads a line that must be there: trimmed, not empty, at most `max` characters, none of them a control character.
pub fn parse_line(text: &str, pointer: &str, max: usize, violations: &mut Violations) -> Option<String> {
    let text = text.trim();
    violations.require(!text.is_empty(), pointer, "required", "비워 둘 수 없는 값입니다.", "This cannot be empty.");
    check_length(text, pointer, max, violations);
    violations.require(
        !text.chars().any(char::is_control),
        pointer,
        "not_allowed",
        "줄바꿈 등 제어 문자는 쓸 수 없습니다.",
        "Line breaks and other control characters are not allowed.",
    );
    (!text.is_empty()).then(|| text.to_owned())
}

/// Reads a line that may be left out; forms send an empty one for that.
pub fn parse_optional_line(text: &str, pointer: &str, max: usize, violations: &mut Violations) -> Option<String> {
    if text.trim().is_empty() { None } else { parse_line(text, pointer, max, violations) }
}

/// Reads a text of several lines; nothing when it is empty.
pub fn parse_description(text: &str, pointer: &str, violations: &mut Violations) -> Option<String> {
    check_length(text, pointer, DESCRIPTION_MAX, violations);
    violations.require(
        !text.contains('\0'),
        pointer,
        "not_allowed",
        "쓸 수 없는 문자가 있습니다.",
        "There is a character that is not allowed.",
    );
    (!text.trim().is_empty()).then(|| text.trim().to_owned())
}

fn check_length(text: &str, pointer: &str, max: usize, violations: &mut Violations) {
    violations.require(text.chars().count() <= max, pointer, "too_long", "너무 깁니다.", "This is too long.");
}

/// Reads a whole number within a range; a fraction and a number beyond all bounds are refused like any other outside.
pub fn parse_whole(
    number: &serde_json::Number,
    pointer: &str,
    range: &RangeInclusive<i64>,
    violations: &mut Violations,
) -> Option<i64> {
    let whole = number.as_i64().filter(|whole| range.contains(whole));
    violations.require(
        whole.is_some(),
        pointer,
        "out_of_range",
        "허용 범위를 벗어난 값입니다.",
        "Must be a whole number within the allowed range.",
    );
    whole
}

/// Reads a time: RFC 3339, or one without an offset as the clocks in `zone` show it, seconds or not. An hour that comes
/// twice is its first.
pub fn parse_moment(text: &str, zone: Tz, pointer: &str, violations: &mut Violations) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let absolute = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).ok();
    let local = || LOCAL_TIMES.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let moment = absolute.or_else(|| zone.from_local_datetime(&local()?).earliest().map(|at| at.to_utc()));
    let moment = moment.filter(|at| YEARS.contains(&chrono::Datelike::year(at)));
    violations.require(
        moment.is_some(),
        pointer,
        "not_a_time",
        "날짜와 시각이어야 합니다. 예: 2026-12-25T18:00",
        "Must be a date and time, such as 2026-12-25T18:00.",
    );
    moment
}

#[cfg(test)]
mod tests {
    use chrono_tz::{Asia::Seoul, Europe::Berlin};
    use proptest::prelude::*;

    use super::*;

    fn moment(text: &str, zone: Tz) -> Option<String> {
        let mut violations = Violations::new();
        let at = parse_moment(text, zone, "/eventDate", &mut violations);
        assert_eq!(at.is_none(), violations.into_result().is_err(), "{text}");
        at.map(crate::time::rfc3339)
    }

    #[test]
    fn a_time_without_an_offset_is_the_zones_own() {
        for text in ["2026-12-25T18:00", "2026-12-25T18:00:00", "2026-12-25 18:00:00.000", "2026-12-25T18:00:00+09:00"]
        {
            assert_eq!(moment(text, Seoul).as_deref(), Some("2026-12-25T09:00:00.000Z"), "{text}");
        }
        assert_eq!(moment("2026-12-25T09:00:00Z", Berlin).as_deref(), Some("2026-12-25T09:00:00.000Z"));
    }

    #[test]
    fn an_hour_that_comes_twice_is_its_first_and_one_that_does_not_come_is_refused() {
        assert_eq!(moment("2026-10-25T02:30", Berlin).as_deref(), Some("2026-10-25T00:30:00.000Z"));
        assert_eq!(moment("2026-03-29T02:30", Berlin), None);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in ["", "tomorrow", "2026-12-25", "2026-13-01T00:00", "2026-02-30T00:00", "99999-01-01T00:00", "1766"]
        {
            assert_eq!(moment(text, Seoul), None, "{text}");
        }
    }

    #[test]
    fn a_line_is_trimmed_and_has_no_control_characters() {
        let read = |text: &str| {
            let mut violations = Violations::new();
            let line = parse_line(text, "/title", 5, &mut violations);
            violations.into_result().ok().and(line)
        };
        assert_eq!(read(" 마루 "), Some("마루".to_owned()));
        for text in ["", "  ", "여섯 글자야", "a\nb", "a\0b"] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_whole_number_is_taken_exactly_when_it_is_in_its_range(number: i64) {
            let mut violations = Violations::new();
            let read = parse_whole(&number.into(), "/price", &PRICE, &mut violations);
            prop_assert_eq!(read.is_some(), PRICE.contains(&number));
            prop_assert_eq!(read.is_some(), violations.into_result().is_ok());
        }

        #[test]
        fn no_text_is_read_as_a_time_without_being_one(text in ".{0,40}") {
            let mut violations = Violations::new();
            let read = parse_moment(&text, Seoul, "/eventDate", &mut violations);
            prop_assert_eq!(read.is_some(), violations.into_result().is_ok());
        }
    }

    #[test]
    fn a_fraction_and_a_number_beyond_all_bounds_are_refused() {
        for text in ["1.5", "1e300", "18446744073709551615", "-1"] {
            let mut violations = Violations::new();
            assert_eq!(parse_whole(&serde_json::from_str(text).unwrap(), "/price", &PRICE, &mut violations), None);
            assert!(violations.into_result().is_err(), "{text}");
        }
    }
}
