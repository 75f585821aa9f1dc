//! Letting go of holds.

use std::time::Duration;

use futures_util::future::join_all;
use ticketing::seat::expiry::{Swept, sweep};

use crate::house::{House, assert_locks_in_order, reserve};

const AVAILABLE: &str = "SELECT count(*) AS number FROM seats WHERE status = 'available'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweepers_together_release_each_hold_once() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(24).await;
    for choice in seats.chunks(2) {
        reserve(&house.app.as_user(), event, choice).await.assert_status(201);
    }
    assert_eq!(sweep(&house.pg).await.unwrap(), Swept::default());
    house.let_holds_end().await;
    let swept = join_all((0..8).map(|_| sweep(&house.pg))).await;
    let total = swept.into_iter().map(Result::unwrap).fold(Swept::default(), |sum, one| Swept {
        reservations: sum.reservations + one.reservations,
        seats: sum.seats + one.seats,
        tickets: sum.tickets + one.tickets,
    });
    assert_eq!(total, Swept { reservations: 12, seats: 24, tickets: 0 });
    assert_eq!(house.number(AVAILABLE).await, 24);
    assert_eq!(house.number("SELECT sum(version)::bigint AS number FROM seats").await, 48);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_and_a_purchase_lock_seats_in_the_same_order() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(2).await;
    let backwards = [seats[1], seats[0]];
    let buyer = house.app.as_user();
    assert_locks_in_order(&house, &seats, reserve(&buyer, event, &backwards)).await.assert_status(201);
    house.let_holds_end().await;
    let swept = assert_locks_in_order(&house, &seats, sweep(&house.pg)).await.unwrap();
    assert_eq!(swept, Swept { reservations: 1, seats: 2, tickets: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_lets_go_by_itself() {
    let house = House::with(|config| {
        config.hold_ttl = Duration::from_secs(1);
        config.hold_sweep_ms = 10;
    })
    .await;
    let (event, seats) = house.seated_event(2).await;
    reserve(&house.app.as_user(), event, &seats).await.assert_status(201);
    testkit::eventually(Duration::from_secs(5), || async { house.number(AVAILABLE).await == 2 }).await;
    let expired = "SELECT count(*) AS number FROM reservations WHERE status = 'expired'";
    assert_eq!(house.number(expired).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_paid_for_is_never_let_go() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(1).await;
    reserve(&house.app.as_user(), event, &seats).await.assert_status(201);
    house.sql("UPDATE reservations SET status = 'confirmed', payment_status = 'completed'").await;
    house.sql("UPDATE seats SET status = 'reserved', held_until = NULL").await;
    house.sql("UPDATE reservations SET expires_at = clock_timestamp() - interval '1 day'").await;
    assert_eq!(sweep(&house.pg).await.unwrap(), Swept::default());
    reserve(&house.app.as_user(), event, &seats).await.assert_problem(409, "seat_taken");
}
