//! Ordering tickets by type and number: how many at once, how many of an event for one person, and what an order that is
//! over can still become.

use crate::{
    fault::{Fault, Kind, Violations},
    ids::TicketTypeId,
};

/// Most tickets of one reservation.
pub const MAX_TICKETS: usize = 10;
/// Most tickets and seats that one person may have of one event, held and paid for.
pub const MAX_PER_USER_EVENT: usize = 10;

/// More than one person may have of this event.
pub const LIMIT_REACHED: Fault = Fault::new(
    Kind::Conflict,
    "limit_reached",
    "이 공연에서 예매할 수 있는 매수를 넘었습니다.",
    "This is more than one person may have of this event.",
);
/// The reservation was given back before.
pub const ALREADY_CANCELLED: Fault = Fault::new(
    Kind::Conflict,
    "already_cancelled",
    "이미 취소된 예매입니다.",
    "This reservation is already cancelled.",
);
/// The reservation was not paid for in time.
pub const RESERVATION_EXPIRED: Fault = Fault::new(
    Kind::Conflict,
    "reservation_expired",
    "이미 만료된 예매입니다.",
    "This reservation has expired; its tickets are on sale again.",
);
/// The event has begun.
pub const TOO_LATE_TO_CANCEL: Fault = Fault::new(
    Kind::Conflict,
    "too_late_to_cancel",
    "이미 시작된 공연의 예매는 취소할 수 없습니다.",
    "The event has begun; its tickets cannot be given back any more.",
);
/// There are free seats, and not that many side by side.
pub const NO_ADJACENT_SEATS: Fault = Fault::new(
    Kind::Conflict,
    "no_adjacent_seats",
    "나란히 앉을 수 있는 좌석이 없습니다.",
    "There are not that many free seats side by side.",
);

/// There are enough tickets: nobody need wait.
pub const STILL_AVAILABLE: Fault = Fault::new(
    Kind::Conflict,
    "still_available",
    "지금 바로 예매할 수 있습니다.",
    "These tickets can be had now; there is nothing to wait for.",
);
/// Not on this waiting list.
pub const NOT_WAITING: Fault =
    Fault::new(Kind::NotFound, "not_waiting", "대기자 명단에 없습니다.", "You are not on this waiting list.");

/// Some tickets of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion {
    /// The type.
    pub ticket_type_id: TicketTypeId,
    /// How many, at least one.
    pub quantity: i32,
}

/// What somebody orders: at least one ticket, not too many, each type once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basket(Vec<Portion>);

impl Basket {
    /// Reads what somebody asks for; a quantity that is no whole number is `None`.
    ///
    /// # Errors
    /// Refuses an empty basket, quantities that are no whole numbers from one to `max`, more than `max` in all, and every
    /// type that was named before.
    pub fn parse(asked: &[(TicketTypeId, Option<i64>)], max: usize) -> Result<Self, Violations> {
        let most = i64::try_from(max).unwrap_or(i64::MAX);
        let mut violations = Violations::new();
        // Each item is at least one ticket, so more items than tickets are allowed need no closer look.
        if !(1..=max).contains(&asked.len()) {
            violations.add("/items", "length", "예매할 티켓을 확인해 주세요.", "Order something, and not too much.");
            return Err(violations);
        }
        let mut portions = Vec::with_capacity(asked.len());
        for (index, (ticket_type_id, quantity)) in asked.iter().enumerate() {
            violations.require(
                !asked.iter().take(index).any(|(earlier, _)| earlier == ticket_type_id),
                format!("/items/{index}/ticketTypeId"),
                "duplicate",
                "같은 티켓 종류를 두 번 담았습니다.",
                "This ticket type is named twice.",
            );
            let quantity = quantity.filter(|quantity| (1..=most).contains(quantity));
            violations.require(
                quantity.is_some(),
                format!("/items/{index}/quantity"),
                "out_of_range",
                "매수를 확인해 주세요.",
                "The quantity is a whole number of at least one, and not more than allowed.",
            );
            let quantity = quantity.and_then(|quantity| i32::try_from(quantity).ok()).unwrap_or_default();
            portions.push(Portion { ticket_type_id: *ticket_type_id, quantity });
        }
        let total: i64 = portions.iter().map(|portion| i64::from(portion.quantity)).sum();
        violations.require(
            total <= most,
            "/items",
            "too_many",
            "한 번에 예매할 수 있는 매수를 넘었습니다.",
            "These are more tickets than one reservation may have.",
        );
        violations.into_result().map(|()| Self(portions))
    }

    /// Reads how many tickets of one type somebody asks for.
    ///
    /// # Errors
    /// Refuses what is no whole number from one to `max`.
    pub fn parse_quantity(asked: Option<i64>, max: usize) -> Result<i32, Violations> {
        let quantity = asked.and_then(|asked| i32::try_from(asked).ok());
        let quantity = quantity.filter(|n| usize::try_from(*n).is_ok_and(|n| (1..=max).contains(&n)));
        let mut violations = Violations::new();
        violations.require(
            quantity.is_some(),
            "/quantity",
            "out_of_range",
            "매수를 확인해 주세요.",
            "The quantity is a whole number of at least one, and not more than allowed.",
        );
        violations.into_result().map(|()| quantity.unwrap_or_default())
    }

    /// Returns what is in it.
    pub fn portions(&self) -> &[Portion] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn kind(n: u128) -> TicketTypeId {
        TicketTypeId(Uuid::from_u128(n))
    }

    fn pointers(asked: &[(TicketTypeId, Option<i64>)]) -> Vec<String> {
        let refused = Basket::parse(asked, MAX_TICKETS).unwrap_err();
        refused.as_slice().iter().map(|violation| violation.pointer.clone()).collect()
    }

    #[test]
    fn up_to_ten_tickets_of_several_types_may_be_ordered() {
        let basket = Basket::parse(&[(kind(1), Some(4)), (kind(2), Some(6))], MAX_TICKETS).unwrap();
        assert_eq!(basket.portions().iter().map(|portion| portion.quantity).collect::<Vec<_>>(), [4, 6]);
        assert_eq!(pointers(&[(kind(1), Some(5)), (kind(2), Some(6))]), ["/items"]);
        assert_eq!(pointers(&[]), ["/items"]);
    }

    #[test]
    fn every_bad_item_is_pointed_at() {
        let asked =
            [(kind(1), Some(0)), (kind(2), Some(-1)), (kind(3), None), (kind(4), Some(i64::MAX)), (kind(1), Some(1))];
        assert_eq!(
            pointers(&asked),
            [
                "/items/0/quantity",
                "/items/1/quantity",
                "/items/2/quantity",
                "/items/3/quantity",
                "/items/4/ticketTypeId"
            ]
        );
    }

    proptest! {
        #[test]
        fn a_basket_never_holds_more_than_allowed(
            asked in proptest::collection::vec((0_u128..4, proptest::option::of(-2_i64..15)), 0..12), max in 1_usize..12,
        ) {
            let asked: Vec<_> = asked.into_iter().map(|(id, quantity)| (kind(id), quantity)).collect();
            if let Ok(basket) = Basket::parse(&asked, max) {
                let total: i32 = basket.portions().iter().map(|portion| portion.quantity).sum();
                prop_assert!((1..=max).contains(&usize::try_from(total).unwrap()));
                prop_assert!(basket.portions().iter().all(|portion| portion.quantity > 0));
                prop_assert_eq!(basket.portions().len(), asked.len());
            }
        }
    }
}
