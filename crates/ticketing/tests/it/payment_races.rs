//! Who wins when two things happen to one payment at once.

use std::time::Duration;

use domain::ids::ReservationId;
use futures_util::future::join_all;
use testkit::toss::Endpoint;
use ticketing::seat::expiry::sweep;

use crate::{
    house::{House, id, reserve},
    payments::{CONFIRM, PROCESS, Shop, assert_money, process_wish, twin},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clicks_over_two_replicas_take_the_money_once() {
    let shop = Shop::open(1).await;
    let replica = shop.replica();
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    let twin = twin(&replica, &buyer);
    let answers = join_all((0..50).map(|n| {
        let buyer = if n % 2 == 0 { &buyer } else { &twin };
        buyer.post(CONFIRM, consent.body())
    }))
    .await;
    assert!(answers.iter().any(|answer| answer.status == 200));
    for answer in answers.into_iter().filter(|answer| answer.status != 200) {
        answer.assert_problem(409, "payment_in_progress");
    }
    assert_eq!(shop.toss.calls(Endpoint::Confirm), 1);
    assert_eq!(shop.house.number("SELECT count(*) AS number FROM tickets").await, 1);
    shop.assert_money().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clicks_on_different_ways_to_pay_pay_once() {
    let house = House::open().await;
    let replica = house.replica();
    let buyer = house.app.as_user();
    let (event, seats) = house.seated_event(2).await;
    let reserved = reserve(&buyer, event, &seats).await.assert_status(201);
    let reservation: ReservationId = id(&reserved.json["reservation"]["id"]);
    let twin = twin(&replica, &buyer);
    let answers = join_all((0..50).map(|n| {
        let buyer = if n % 2 == 0 { &buyer } else { &twin };
        let method = ["naver_pay", "kakao_pay", "bank_transfer"][n % 3];
        buyer.post(PROCESS, process_wish(reservation, method))
    }))
    .await;
    assert!(answers.iter().any(|answer| answer.status == 200));
    for answer in answers.into_iter().filter(|answer| answer.status != 200) {
        answer.assert_problem(409, "payment_in_progress");
    }
    assert_eq!(house.number("SELECT count(*) AS number FROM payments WHERE status = 'captured'").await, 1);
    assert_money(&house).await;
}

/// How many holds end while they are paid for, each of them a few milliseconds later or earlier than the payment.
const ROUNDS: usize = 120;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_last_moment_of_a_hold_either_the_buyer_or_the_rival_has_the_seat() {
    let house = House::with(|config| config.payments.payment_sweep_ms = 20).await;
    let (event, seats) = house.seated_event(i32::try_from(ROUNDS).unwrap()).await;
    let (mut paid, mut lost) = (0, 0);
    for (round, seat) in seats.chunks(1).enumerate() {
        let (buyer, rival) = (house.app.as_user(), house.app.as_user());
        let reserved = reserve(&buyer, event, seat).await.assert_status(201);
        let reservation: ReservationId = id(&reserved.json["reservation"]["id"]);
        let left = (round % 24) * (round % 24);
        house
            .sql(&format!(
                "WITH t AS MATERIALIZED (SELECT clock_timestamp() + interval '{left} milliseconds' AS at), \
                 r AS (UPDATE reservations SET expires_at = t.at FROM t WHERE id = '{reservation}') \
                 UPDATE seats SET held_until = t.at FROM t WHERE reservation_id = '{reservation}'"
            ))
            .await;
        let (answer, swept, taken) = tokio::join!(
            buyer.post(PROCESS, process_wish(reservation, "kakao_pay")),
            sweep(&house.pg),
            reserve(&rival, event, seat),
        );
        swept.unwrap();
        if answer.status == 200 {
            paid += 1;
            assert_ne!(taken.status, 201, "round {round}: the seat was sold and held");
        } else {
            lost += 1;
            assert!(matches!(answer.text("/code"), "reservation_expired" | "payment_refunded"), "{}", answer.json);
        }
        if round % 12 == 11 {
            let unsettled = "SELECT count(*) AS number FROM payments WHERE next_try_at IS NOT NULL";
            testkit::eventually(Duration::from_secs(20), || async { house.number(unsettled).await == 0 }).await;
            assert_money(&house).await;
        }
    }
    assert!(paid > 0 && lost > 0, "{paid} paid, {lost} lost: the race did not happen");
}
