//! Holding seats: how many at once, for how long, and while which sale is open.
//!
//! A seat is `available`, then `locked` by a pending reservation, then `reserved` by a confirmed one. A lock ends by
//! itself: once its time has passed the seat counts as free everywhere, whether or not anything has cleaned up.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    fault::{Fault, Kind, Violations},
    ids::{ReservationId, SeatId},
};

/// How long seats are held for somebody who has not paid yet.
pub const HOLD_TTL: Duration = Duration::from_mins(5);
/// Most seats of one reservation.
pub const MAX_SEATS: usize = 4;

/// Characters of a reservation number after its `TK`.
const NUMBER_DIGITS: usize = 12;
/// The digits of a reservation number, in order of value.
const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Somebody else has one of the seats.
pub const SEAT_TAKEN: Fault = Fault::new(
    Kind::Conflict,
    "seat_taken",
    "이미 선택된 좌석입니다. 다른 좌석을 골라 주세요.",
    "One of these seats is taken. Please choose another.",
);
/// Nothing of this kind is left.
pub const SOLD_OUT: Fault = Fault::new(Kind::Conflict, "sold_out", "매진되었습니다.", "This is sold out.");
/// The sale has not begun, is over, or the event was cancelled.
pub const SALE_CLOSED: Fault =
    Fault::new(Kind::Conflict, "sale_closed", "지금은 예매할 수 없습니다.", "This is not on sale now.");
/// No such event.
pub const EVENT_NOT_FOUND: Fault =
    Fault::new(Kind::NotFound, "event_not_found", "이벤트를 찾을 수 없습니다.", "There is no such event.");
/// No such ticket type.
pub const TICKET_TYPE_NOT_FOUND: Fault = Fault::new(
    Kind::NotFound,
    "ticket_type_not_found",
    "티켓 종류를 찾을 수 없습니다.",
    "There is no such ticket type.",
);
/// The event is there and has no numbered seats.
pub const NO_SEATS: Fault =
    Fault::new(Kind::NotFound, "no_seats", "좌석이 지정되지 않은 이벤트입니다.", "This event has no numbered seats.");
/// At least one of the seats does not exist, or belongs to another event.
pub const SEAT_NOT_FOUND: Fault =
    Fault::new(Kind::NotFound, "seat_not_found", "좌석을 찾을 수 없습니다.", "There is no such seat.");
/// No such reservation, or somebody else's.
pub const RESERVATION_NOT_FOUND: Fault = Fault::new(
    Kind::NotFound,
    "reservation_not_found",
    "예매 내역을 찾을 수 없습니다.",
    "There is no such reservation.",
);

/// The seats of one reservation: at least one, not too many, each once, in the order in which they are locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatSelection(Vec<SeatId>);

impl SeatSelection {
    /// Reads the seats somebody asks for.
    ///
    /// # Errors
    /// Refuses none, more than `max`, and every seat that was named before.
    pub fn parse(mut seats: Vec<SeatId>, max: usize) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        if (1..=max).contains(&seats.len()) {
            for (index, seat) in seats.iter().enumerate() {
                violations.require(
                    !seats.iter().take(index).any(|earlier| earlier == seat),
                    format!("/seatIds/{index}"),
                    "duplicate",
                    "같은 좌석을 두 번 선택했습니다.",
                    "This seat is chosen twice.",
                );
            }
        } else {
            violations.add(
                "/seatIds",
                "length",
                "선택할 수 있는 좌석 수를 확인해 주세요.",
                "Choose at least one seat, and not more than allowed.",
            );
        }
        violations.into_result()?;
        // Two buyers whose choices overlap wait for each other in the same order, and so never for ever.
        seats.sort_unstable();
        Ok(Self(seats))
    }

    /// Returns the seats, sorted.
    pub fn seats(&self) -> &[SeatId] {
        &self.0
    }
}

/// Where an event stands; follows from the time and the stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// The sale has not begun.
    Upcoming,
    /// Tickets can be bought.
    OnSale,
    /// The sale is open and everything is sold.
    SoldOut,
    /// The sale or the event is over.
    Ended,
    /// It will not take place.
    Cancelled,
}

impl EventStatus {
    const ALL: [Self; 5] = [Self::Upcoming, Self::OnSale, Self::SoldOut, Self::Ended, Self::Cancelled];

    /// Returns the status's name on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Upcoming => "upcoming",
            Self::OnSale => "on_sale",
            Self::SoldOut => "sold_out",
            Self::Ended => "ended",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads a status's name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// When an event's tickets can be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaleWindow {
    /// First instant of the sale.
    pub opens_at: DateTime<Utc>,
    /// First instant after the sale.
    pub closes_at: DateTime<Utc>,
    /// When the event takes place; nothing is sold from then on.
    pub takes_place_at: DateTime<Utc>,
    /// Whether the event was called off.
    pub cancelled: bool,
}

impl SaleWindow {
    /// Returns where the event stands at `now`, given whether everything is sold.
    pub fn status(&self, now: DateTime<Utc>, all_sold: bool) -> EventStatus {
        if self.cancelled {
            EventStatus::Cancelled
        } else if now >= self.closes_at.min(self.takes_place_at) {
            EventStatus::Ended
        } else if now < self.opens_at {
            EventStatus::Upcoming
        } else if all_sold {
            EventStatus::SoldOut
        } else {
            EventStatus::OnSale
        }
    }

    /// Lets a buyer through while the sale is open. Whether anything is left is for the stock to say.
    ///
    /// # Errors
    /// [`SALE_CLOSED`] before, after, and when the event was cancelled.
    pub fn admit(&self, now: DateTime<Utc>) -> Result<(), Fault> {
        if self.status(now, false) == EventStatus::OnSale { Ok(()) } else { Err(SALE_CLOSED) }
    }
}

/// Whose a seat is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SeatStatus {
    /// Anybody's who is first.
    Available,
    /// Held by a pending reservation.
    Locked,
    /// Sold.
    Reserved,
}

impl SeatStatus {
    /// Reads what the database says about a seat, at `now`: a hold that has ended holds nothing.
    ///
    /// A name this version does not know counts as sold, so that nobody is promised such a seat.
    pub fn at(now: DateTime<Utc>, name: &str, held_until: Option<DateTime<Utc>>) -> Self {
        match name {
            "available" => Self::Available,
            "locked" if held_until.is_some_and(|until| until <= now) => Self::Available,
            "locked" => Self::Locked,
            _ => Self::Reserved,
        }
    }
}

/// Where a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReservationStatus {
    /// Holds its seats, not paid.
    Pending,
    /// Paid.
    Confirmed,
    /// Given back by its owner or the organizer.
    Cancelled,
    /// Not paid in time.
    Expired,
}

impl ReservationStatus {
    /// Returns the status's name on the wire and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// Reads what the database says about a reservation, at `now`: a pending one whose time has passed is expired.
    ///
    /// A name this version does not know counts as cancelled: nothing can be done with such a reservation.
    pub fn at(now: DateTime<Utc>, name: &str, expires_at: DateTime<Utc>) -> Self {
        match name {
            "pending" if expires_at <= now => Self::Expired,
            "pending" => Self::Pending,
            "confirmed" => Self::Confirmed,
            "expired" => Self::Expired,
            _ => Self::Cancelled,
        }
    }
}

/// Writes the number people quote: `TK` and 12 upper-case letters and digits.
///
/// It is the id's random part (62 bits of a UUID v7) in base 36, so it tells nothing about when or how many, and two
/// ids share one only if they share all of it.
pub fn reservation_number(id: ReservationId) -> String {
    let mut rest = id.0.as_u128() & ((1 << 62) - 1);
    let mut digits = [b'0'; NUMBER_DIGITS];
    for digit in digits.iter_mut().rev() {
        let value = usize::try_from(rest % 36).unwrap_or_default();
        *digit = ALPHABET.get(value).copied().unwrap_or(b'0');
        rest /= 36;
    }
    digits.iter().fold(String::from("TK"), |mut number, digit| {
        number.push(char::from(*digit));
        number
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn seats(numbers: &[u128]) -> Vec<SeatId> {
        numbers.iter().map(|n| SeatId(Uuid::from_u128(*n))).collect()
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    const OPEN: SaleWindow = SaleWindow {
        opens_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        closes_at: DateTime::from_timestamp(1_800_000_100, 0).unwrap(),
        takes_place_at: DateTime::from_timestamp(1_800_000_200, 0).unwrap(),
        cancelled: false,
    };

    #[test]
    fn one_to_four_different_seats_may_be_chosen() {
        assert_eq!(SeatSelection::parse(seats(&[3, 1, 2]), MAX_SEATS).unwrap().seats(), seats(&[1, 2, 3]));
        assert!(SeatSelection::parse(seats(&[]), MAX_SEATS).is_err());
        assert!(SeatSelection::parse(seats(&[1, 2, 3, 4]), MAX_SEATS).is_ok());
        assert!(SeatSelection::parse(seats(&[1, 2, 3, 4, 5]), MAX_SEATS).is_err());
    }

    #[test]
    fn a_seat_named_twice_is_pointed_at() {
        let refused = SeatSelection::parse(seats(&[7, 8, 7]), MAX_SEATS).unwrap_err();
        let pointers: Vec<_> = refused.as_slice().iter().map(|v| v.pointer.as_str()).collect();
        assert_eq!(pointers, ["/seatIds/2"]);
    }

    #[test]
    fn the_sale_opens_at_its_first_instant_and_closes_at_its_last() {
        let cases = [
            (-1, EventStatus::Upcoming),
            (0, EventStatus::OnSale),
            (99, EventStatus::OnSale),
            (100, EventStatus::Ended),
        ];
        for (second, status) in cases {
            assert_eq!(OPEN.status(at(second), false), status, "{second}");
            assert_eq!(OPEN.admit(at(second)).is_ok(), status == EventStatus::OnSale, "{second}");
        }
    }

    #[test]
    fn nothing_is_sold_once_the_event_takes_place() {
        let late = SaleWindow { closes_at: at(300), ..OPEN };
        assert_eq!(late.status(at(199), false), EventStatus::OnSale);
        assert_eq!(late.status(at(200), false), EventStatus::Ended);
    }

    #[test]
    fn a_cancelled_event_is_closed_at_any_time() {
        let cancelled = SaleWindow { cancelled: true, ..OPEN };
        for second in [-1, 0, 50, 100, 200] {
            assert_eq!(cancelled.status(at(second), true), EventStatus::Cancelled);
            assert_eq!(cancelled.admit(at(second)), Err(SALE_CLOSED));
        }
    }

    #[test]
    fn sold_out_is_for_the_stock_to_say_and_not_for_the_window() {
        assert_eq!(OPEN.status(at(1), true), EventStatus::SoldOut);
        assert_eq!(OPEN.admit(at(1)), Ok(()));
    }

    #[test]
    fn a_hold_that_has_ended_holds_nothing() {
        assert_eq!(SeatStatus::at(at(9), "locked", Some(at(10))), SeatStatus::Locked);
        assert_eq!(SeatStatus::at(at(10), "locked", Some(at(10))), SeatStatus::Available);
        assert_eq!(SeatStatus::at(at(10), "reserved", None), SeatStatus::Reserved);
        assert_eq!(ReservationStatus::at(at(9), "pending", at(10)), ReservationStatus::Pending);
        assert_eq!(ReservationStatus::at(at(10), "pending", at(10)), ReservationStatus::Expired);
        assert_eq!(ReservationStatus::at(at(10), "confirmed", at(1)), ReservationStatus::Confirmed);
    }

    #[test]
    fn status_names_are_read_back() {
        for status in EventStatus::ALL {
            assert_eq!(EventStatus::parse(status.name()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
        assert_eq!(EventStatus::parse("ON_SALE"), None);
    }

    proptest! {
        #[test]
        fn a_reservation_number_is_tk_and_twelve_letters_or_digits(id: u128) {
            let number = reservation_number(ReservationId(Uuid::from_u128(id)));
            prop_assert_eq!(number.len(), 14);
            prop_assert!(number.starts_with("TK"));
            prop_assert!(number.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase()));
        }

        #[test]
        fn different_random_parts_have_different_numbers(a in 0_u128..1 << 62, b in 0_u128..1 << 62) {
            let number = |n| reservation_number(ReservationId(Uuid::from_u128(n)));
            prop_assert_eq!(a == b, number(a) == number(b));
        }

        #[test]
        fn a_selection_is_sorted_and_keeps_every_seat(numbers in proptest::collection::hash_set(any::<u128>(), 1..=MAX_SEATS)) {
            let asked = seats(&numbers.into_iter().collect::<Vec<_>>());
            let selection = SeatSelection::parse(asked.clone(), MAX_SEATS).unwrap();
            prop_assert!(selection.seats().is_sorted());
            prop_assert!(asked.iter().all(|seat| selection.seats().contains(seat)));
        }

        #[test]
        fn exactly_one_status_holds_and_only_on_sale_admits(second in -400_i64..400, opens in -100_i64..100, lasts in 1_i64..200, event in -100_i64..300, cancelled: bool) {
            let window = SaleWindow {
                opens_at: at(opens),
                closes_at: at(opens) + TimeDelta::seconds(lasts),
                takes_place_at: at(event),
                cancelled,
            };
            let open = second >= opens && second < opens + lasts && second < event && !cancelled;
            prop_assert_eq!(window.admit(at(second)).is_ok(), open);
        }
    }
}
