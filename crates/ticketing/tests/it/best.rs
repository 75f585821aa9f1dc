//! Seats side by side, and what else there is when one's seat is taken.

use domain::ids::{EventId, SeatId};
use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::{Answer, TestClient};

use crate::house::{House, ON_SALE, insistently, reserve};

const BEST: &str = "/api/v1/seats/best";

async fn best(buyer: &TestClient, event: EventId, quantity: usize) -> Answer {
    buyer.post(BEST, json!({"eventId": event, "quantity": quantity})).await
}

fn numbers(answer: &Answer) -> Vec<i64> {
    let seats = answer.json["reservation"]["seats"].as_array().unwrap();
    seats.iter().map(|seat| seat["seat_number"].as_i64().unwrap()).collect()
}

fn are_adjacent(numbers: &[i64]) -> bool {
    numbers.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_best_seats_are_side_by_side_near_the_middle_and_leave_nobody_alone() {
    let house = House::open().await;
    let (event, _seats) = house.seated_event(9).await;
    let first = best(&house.app.as_user(), event, 3).await.assert_status(201);
    assert_eq!(numbers(&first), [4, 5, 6]);
    assert_eq!(first.json["message"], "좌석이 선택되었습니다.");
    // Of three free seats in a row two would leave one alone, on either side: so it is the nearest to the middle.
    let second = best(&house.app.as_user(), event, 3).await.assert_status(201);
    assert!([vec![1, 2, 3], vec![7, 8, 9]].contains(&numbers(&second)));
    best(&house.app.as_user(), event, 4).await.assert_problem(409, "no_adjacent_seats");
    best(&house.app.as_user(), event, 3).await.assert_status(201);
    best(&house.app.as_user(), event, 1).await.assert_problem(409, "sold_out");
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_section_or_a_price_that_is_not_there_is_refused() {
    let house = House::open().await;
    let (event, _seats) = house.seated_event(4).await;
    let general = house.event("자유석", ON_SALE).await;
    let buyer = house.app.as_user();
    let ask = async |body: Value| buyer.post(BEST, body).await;
    ask(json!({"eventId": event, "quantity": 1, "section": "Z"})).await.assert_problem(404, "seat_not_found");
    ask(json!({"eventId": event, "quantity": 1, "maxPrice": 49_999})).await.assert_problem(409, "sold_out");
    ask(json!({"eventId": general, "quantity": 1})).await.assert_problem(404, "no_seats");
    for body in [
        json!({"eventId": event, "quantity": 0}),
        json!({"eventId": event, "quantity": 5}),
        json!({"eventId": event, "quantity": 1, "maxPrice": -1}),
    ] {
        ask(body).await.assert_problem(422, "invalid");
    }
    let body = json!({"eventId": event, "quantity": 2, "section": "A", "maxPrice": 50_000});
    let key = [("idempotency-key", "k-1")];
    let first = buyer.post_with(BEST, body.clone(), &key).await.assert_status(201);
    assert_eq!(buyer.post_with(BEST, body, &key).await.assert_status(201).body, first.body);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rush_for_the_best_seats_fills_the_house_and_refuses_nobody_before() {
    let house = House::open().await;
    let replica = house.replica();
    let (event, _seats) = house.seated_event(80).await;
    let buyers: Vec<_> = (0..50).map(|n| if n % 2 == 0 { house.app.as_user() } else { replica.as_user() }).collect();
    let answers =
        join_all(buyers.iter().map(async |buyer| insistently(async || best(buyer, event, 2).await).await)).await;
    let mut won = 0;
    for answer in answers {
        if answer.status == 201 {
            won += 1;
            assert!(are_adjacent(&numbers(&answer)));
        } else {
            answer.assert_status(409);
        }
    }
    // A few seats may be left alone; nobody was refused while two side by side were free.
    assert!(won >= 30, "{won}");
    let pairs = "SELECT count(*) AS number FROM seats a JOIN seats b ON b.seat_number = a.seat_number + 1 \
                 WHERE a.status = 'available' AND b.status = 'available'";
    assert_eq!(house.number(pairs).await, 0);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overdue_seats_are_among_the_best() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(2).await;
    reserve(&house.app.as_user(), event, &seats).await.assert_status(201);
    best(&house.app.as_user(), event, 2).await.assert_problem(409, "sold_out");
    house.let_holds_end().await;
    best(&house.app.as_user(), event, 2).await.assert_status(201);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_too_late_is_told_of_the_nearest_free_seats() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(8).await;
    reserve(&house.app.as_user(), event, &seats[2..4]).await.assert_status(201);
    let refused = reserve(&house.app.as_user(), event, &seats[3..5]).await.assert_problem(409, "seat_taken");
    let near: Vec<SeatId> = serde_json::from_value(json!(
        refused.json["nearestSeats"].as_array().unwrap().iter().map(|seat| seat["id"].clone()).collect::<Vec<_>>()
    ))
    .unwrap();
    // The fifth was asked for and is free anyway; of the others the second and the sixth are two away.
    assert_eq!(near.len(), 1);
    assert!([seats[1], seats[5]].contains(&near[0]));
    assert_eq!(refused.json["nearestSeats"][0]["price"], 50_000);
    house.sql("UPDATE seats SET price = 1 WHERE status = 'available'").await;
    let refused = reserve(&house.app.as_user(), event, &seats[3..4]).await.assert_problem(409, "seat_taken");
    assert_eq!(refused.json["nearestSeats"], json!([]));
}
