//! What becomes of a reservation.

use chassis::problem::Outcome;
use domain::{ids::ReservationId, seat_hold::ReservationStatus};
use futures_util::future::join_all;
use testkit::Answer;
use ticketing::{
    order::settle::{self, Confirmed, Release, Released, TooLate},
    seat::expiry::sweep,
};
use uuid::Uuid;

use crate::house::{House, ON_SALE, id, order, reserve};

const STOCK: &str = "SELECT (held * 100 + sold)::bigint AS number FROM ticket_types";

fn made(answer: &Answer) -> ReservationId {
    id(&answer.json["reservation"]["id"])
}

async fn confirm(house: &House, id: ReservationId) -> Outcome<Confirmed> {
    settle::confirm(&mut house.pg.conn().await.unwrap(), id, "card").await
}

async fn reseat(house: &House, id: ReservationId) -> Outcome<Confirmed> {
    settle::reseat(&mut house.pg.conn().await.unwrap(), id, "card", 10).await
}

async fn release(house: &House, id: ReservationId, how: Release) -> Outcome<Released> {
    settle::release(&mut house.pg.conn().await.unwrap(), id, how).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_turns_what_is_held_into_what_is_sold_once() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(2).await;
    let kind = house.ticket_type(event, "스탠딩", 1_000, 5).await;
    let kim = house.app.as_user();
    let tickets = made(&order(&kim, event, &[(kind, 2)]).await.assert_status(201));
    let seated = made(&reserve(&kim, event, &seats).await.assert_status(201));
    for id in [tickets, seated] {
        let told =
            join_all((0..10).map(|_| confirm(&house, id))).await.into_iter().collect::<Outcome<Vec<_>>>().unwrap();
        assert_eq!(told.iter().filter(|told| **told == Confirmed::Confirmed).count(), 1);
        assert_eq!(told.iter().filter(|told| **told == Confirmed::AlreadyConfirmed).count(), 9);
    }
    assert_eq!(house.number(STOCK).await, 2);
    assert_eq!(house.number("SELECT count(*) AS number FROM seats WHERE status = 'reserved' AND version = 2").await, 2);
    let paid =
        "SELECT count(*) AS number FROM reservations WHERE payment_status = 'completed' AND payment_method = 'card'";
    assert_eq!(house.number(paid).await, 2);
    assert_eq!(confirm(&house, ReservationId(Uuid::nil())).await.unwrap_err().code(), "reservation_not_found");
    assert_eq!(release(&house, tickets, Release::Refused).await.unwrap(), Released::No(ReservationStatus::Confirmed));
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_payment_expiry_and_cancellation_exactly_one_wins() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(30).await;
    let kind = house.ticket_type(event, "스탠딩", 1_000, 300).await;
    for round in 0..30 {
        let buyer = house.app.as_user();
        let id = if round % 2 == 0 {
            made(&order(&buyer, event, &[(kind, 3)]).await.assert_status(201))
        } else {
            made(&reserve(&buyer, event, &seats[round..=round]).await.assert_status(201))
        };
        // Its last moment comes in between.
        house
            .sql(&format!(
                "UPDATE reservations SET expires_at = clock_timestamp() + interval '2 milliseconds' WHERE id = '{id}'; \
                 UPDATE seats SET held_until = (SELECT expires_at FROM reservations WHERE id = '{id}') \
                 WHERE reservation_id = '{id}'"
            ))
            .await;
        let (paid, swept, given_back) =
            tokio::join!(confirm(&house, id), sweep(&house.pg), release(&house, id, Release::Cancelled));
        let (paid, swept, given_back) = (paid.unwrap(), swept.unwrap(), given_back.unwrap());
        match given_back {
            // Also what was paid for can be given back.
            Released::Now => {
                assert!([Confirmed::Confirmed, Confirmed::TooLate(TooLate::Cancelled)].contains(&paid), "{paid:?}");
                assert_eq!(swept.reservations, 0);
            }
            Released::No(status) => {
                assert_eq!((status, paid), (ReservationStatus::Expired, Confirmed::TooLate(TooLate::Expired)));
            }
        }
        house.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_ends_of_the_same_holds_give_back_once() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(20).await;
    let kind = house.ticket_type(event, "스탠딩", 1_000, 300).await;
    let mut ids = Vec::new();
    for (n, seat) in seats.iter().enumerate() {
        let buyer = house.app.as_user();
        ids.push(made(&order(&buyer, event, &[(kind, 2)]).await.assert_status(201)));
        ids.push(made(&reserve(&buyer, event, &[*seat]).await.assert_status(201)));
        if n % 2 == 0 {
            house.let_holds_end().await;
        }
    }
    let ends = join_all(ids.iter().flat_map(|id| (0..5).map(|_| *id)).enumerate().map(async |(n, id)| match n % 3 {
        0 => release(&house, id, Release::Cancelled).await.map(|_| ()),
        1 => sweep(&house.pg).await.map(|_| ()),
        _ => release(&house, id, Release::Expired).await.map(|_| ()),
    }));
    ends.await.into_iter().collect::<Outcome<()>>().unwrap();
    sweep(&house.pg).await.unwrap();
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_payment_gives_back_and_says_so() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 5).await;
    let id = made(&order(&house.app.as_user(), event, &[(kind, 5)]).await.assert_status(201));
    assert_eq!(release(&house, id, Release::Expired).await.unwrap(), Released::No(ReservationStatus::Pending));
    assert_eq!(release(&house, id, Release::Refused).await.unwrap(), Released::Now);
    let failed = "SELECT count(*) AS number FROM reservations WHERE status = 'cancelled' AND payment_status = 'failed'";
    assert_eq!((house.number(failed).await, house.number(STOCK).await), (1, 0));
    assert_eq!(confirm(&house, id).await.unwrap(), Confirmed::TooLate(TooLate::Cancelled));
    assert_eq!(reseat(&house, id).await.unwrap(), Confirmed::TooLate(TooLate::Cancelled));
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_comes_late_gets_what_is_still_there() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(2).await;
    let kind = house.ticket_type(event, "스탠딩", 1_000, 4).await;
    for sweeps in [false, true] {
        let kim = house.app.as_user();
        let tickets = made(&order(&kim, event, &[(kind, 2)]).await.assert_status(201));
        let seat = if sweeps { &seats[..1] } else { &seats[1..] };
        let seated = made(&reserve(&kim, event, seat).await.assert_status(201));
        house.let_holds_end().await;
        if sweeps {
            sweep(&house.pg).await.unwrap();
        }
        for id in [tickets, seated] {
            assert_eq!(confirm(&house, id).await.unwrap(), Confirmed::TooLate(TooLate::Expired));
            assert_eq!(reseat(&house, id).await.unwrap(), Confirmed::Confirmed);
            assert_eq!(reseat(&house, id).await.unwrap(), Confirmed::AlreadyConfirmed);
        }
        house.assert_sound().await;
    }
    assert_eq!(house.number(STOCK).await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_comes_late_takes_nothing_from_others() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(2).await;
    let kind = house.ticket_type(event, "스탠딩", 1_000, 3).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    let tickets = made(&order(&kim, event, &[(kind, 2)]).await.assert_status(201));
    let seated = made(&reserve(&kim, event, &seats).await.assert_status(201));
    house.let_holds_end().await;
    order(&lee, event, &[(kind, 2)]).await.assert_status(201);
    reserve(&lee, event, &seats[..1]).await.assert_status(201);
    for id in [tickets, seated] {
        assert_eq!(reseat(&house, id).await.unwrap(), Confirmed::TooLate(TooLate::Expired));
    }
    sweep(&house.pg).await.unwrap();
    for id in [tickets, seated] {
        assert_eq!(reseat(&house, id).await.unwrap(), Confirmed::TooLate(TooLate::Expired));
    }
    house.assert_sound().await;
    // Nor is it let past the limit.
    let park = house.app.as_user();
    let other = house.event("다른 공연", ON_SALE).await;
    let kind = house.ticket_type(other, "R석", 1_000, 50).await;
    let late = made(&order(&park, other, &[(kind, 8)]).await.assert_status(201));
    house.let_holds_end().await;
    sweep(&house.pg).await.unwrap();
    order(&park, other, &[(kind, 5)]).await.assert_status(201);
    assert_eq!(reseat(&house, late).await.unwrap(), Confirmed::TooLate(TooLate::Expired));
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sold_of_an_event_that_was_called_off() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 5).await;
    let id = made(&order(&house.app.as_user(), event, &[(kind, 5)]).await.assert_status(201));
    house.sql("UPDATE events SET cancelled_at = now()").await;
    assert_eq!(confirm(&house, id).await.unwrap(), Confirmed::TooLate(TooLate::Cancelled));
    house.assert_sound().await;
}
