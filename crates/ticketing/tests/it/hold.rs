//! Who gets a seat.

use chassis::problem::Outcome;
use futures_util::future::join_all;
use serde_json::json;
use ticketing::seat::expiry::{Swept, sweep};

use crate::house::{House, RESERVE, insistently, reserve, wish};

const BUYERS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_buyers_race_for_one_seat_and_one_wins() {
    let house = House::open().await;
    let replica = house.replica();
    let (event, seats) = house.seated_event(1).await;
    let buyers: Vec<_> =
        (0..BUYERS).map(|n| if n % 2 == 0 { house.app.as_user() } else { replica.as_user() }).collect();
    let answers =
        join_all(buyers.iter().map(async |buyer| insistently(async || reserve(buyer, event, &seats).await).await))
            .await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!(won.len(), 1);
    for answer in lost {
        let answer = answer.assert_problem(409, "seat_taken");
        assert_eq!(answer.json["takenSeatIds"], json!(seats));
    }
    assert_eq!(house.number("SELECT count(*) AS number FROM reservations").await, 1);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overlapping_choices_are_all_or_nothing_and_nobody_waits_for_ever() {
    let house = House::open().await;
    let replica = house.replica();
    let (event, seats) = house.seated_event(12).await;
    let attempts = (0..60).map(|n| {
        let buyer = if n % 2 == 0 { house.app.as_user() } else { replica.as_user() };
        // Four seats, named in a different order each time, overlapping with most of the others.
        let mut choice: Vec<_> = (0..4).map(|step| seats[(n * 5 + step * 3) % seats.len()]).collect();
        choice.rotate_left(n % 4);
        async move { insistently(async || reserve(&buyer, event, &choice).await).await }
    });
    let answers = join_all(attempts).await;
    let mut won = 0;
    for answer in answers {
        if answer.status == 201 {
            won += 1;
            assert_eq!(answer.json["reservation"]["seats"].as_array().unwrap().len(), 4);
        } else {
            answer.assert_problem(409, "seat_taken");
        }
    }
    assert!((1..=3).contains(&won), "{won}");
    assert_eq!(house.number("SELECT count(*) AS number FROM reservations").await, won);
    assert_eq!(house.number("SELECT count(*) AS number FROM seats WHERE status = 'locked'").await, won * 4);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_with_one_taken_seat_leaves_the_others_free() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(3).await;
    reserve(&house.app.as_user(), event, &seats[1..2]).await.assert_status(201);
    let refused = reserve(&house.app.as_user(), event, &seats).await.assert_problem(409, "seat_taken");
    assert_eq!(refused.json["takenSeatIds"], json!([seats[1]]));
    reserve(&house.app.as_user(), event, &[seats[2], seats[0]]).await.assert_status(201);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_is_the_documents() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(2).await;
    let buyer = house.app.as_user();
    let answer = reserve(&buyer, event, &[seats[1], seats[0]]).await.assert_status(201);
    assert_eq!(answer.json["message"], "좌석이 선택되었습니다.");
    let reservation = &answer.json["reservation"];
    let number = reservation["reservationNumber"].as_str().unwrap();
    assert!(number.len() == 14 && number.starts_with("TK"), "{number}");
    assert_eq!(reservation["totalAmount"], 100_000);
    assert!(answer.text("/reservation/expiresAt").ends_with('Z'));
    let labels: Vec<_> = reservation["seats"].as_array().unwrap().iter().map(|seat| &seat["seat_label"]).collect();
    assert_eq!(labels, ["A-1", "A-2"]);
    for (seat, id) in reservation["seats"].as_array().unwrap().iter().zip(&seats) {
        assert_eq!(seat["id"], json!(id));
        assert_eq!((&seat["price"], &seat["status"]), (&json!(50_000), &json!("locked")));
    }
    let seconds = house
        .number(
            "SELECT round(extract(epoch FROM expires_at - created_at))::bigint AS number FROM reservations \
             WHERE expires_at = (SELECT max(held_until) FROM seats)",
        )
        .await;
    assert_eq!(seconds, 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_in_english_is_told_in_english() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(1).await;
    let buyer = house.app.as_user();
    let answer = buyer.post_with(RESERVE, wish(event, &seats), &[("accept-language", "en")]).await.assert_status(201);
    assert_eq!(answer.json["message"], "The seats are held for you.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_twice_holds_once() {
    let house = House::open().await;
    let replica = house.replica();
    let (event, seats) = house.seated_event(2).await;
    let buyer = house.app.as_user();
    let twin = replica.as_principal(domain::principal::Principal {
        user_id: buyer.user_id,
        login_id: buyer.login_id,
        role: domain::principal::Role::User,
    });
    let key = [("idempotency-key", "k-1")];
    let answers = join_all((0..BUYERS).map(|n| {
        let buyer = if n % 2 == 0 { &buyer } else { &twin };
        buyer.post_with(RESERVE, wish(event, &seats), &key)
    }))
    .await;
    let first = answers.iter().find(|answer| answer.status == 201).unwrap().json.clone();
    for answer in answers {
        if answer.status == 201 {
            assert_eq!(answer.json, first);
        } else {
            answer.assert_problem(409, "idempotency_in_progress");
        }
    }
    let again = twin.post_with(RESERVE, wish(event, &seats), &key).await.assert_status(201);
    assert_eq!(again.json, first);
    assert_eq!(house.number("SELECT count(*) AS number FROM reservations").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_with_another_body_is_422() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(2).await;
    let buyer = house.app.as_user();
    let key = [("idempotency-key", "k-1")];
    buyer.post_with(RESERVE, wish(event, &seats[..1]), &key).await.assert_status(201);
    let other = buyer.post_with(RESERVE, wish(event, &seats[1..]), &key).await;
    other.assert_problem(422, "idempotency_key_reused");
    assert_eq!(house.number("SELECT count(*) AS number FROM reservations").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_belongs_to_one_person_and_a_refusal_does_not_use_it_up() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(1).await;
    let key = [("idempotency-key", "k-1")];
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    kim.post_with(RESERVE, wish(event, &seats), &key).await.assert_status(201);
    lee.post_with(RESERVE, wish(event, &seats), &key).await.assert_problem(409, "seat_taken");
    house.let_holds_end().await;
    lee.post_with(RESERVE, wish(event, &seats), &key).await.assert_status(201);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_hold_can_be_taken_with_every_reaper_dead() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(2).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    let first = reserve(&kim, event, &seats).await.assert_status(201);
    reserve(&lee, event, &seats[..1]).await.assert_problem(409, "seat_taken");
    house.let_holds_end().await;
    assert_eq!(house.number("SELECT count(*) AS number FROM seats WHERE status = 'locked'").await, 2);

    reserve(&lee, event, &seats[..1]).await.assert_status(201);

    let path = format!("/api/v1/seats/reservation/{}", first.text("/reservation/id"));
    let lost = kim.get(&path).await.assert_status(200).json;
    assert_eq!((&lost["reservation"]["status"], &lost["reservation"]["isExpired"]), (&json!("expired"), &json!(true)));
    house.assert_sound().await;

    // A sweeper that comes to life finds one seat to release, and leaves the one that has a new owner.
    assert_eq!(sweep(&house.pg).await.unwrap(), Swept { reservations: 1, seats: 1, tickets: 0 });
    assert_eq!(house.number("SELECT count(*) AS number FROM seats WHERE status = 'locked'").await, 1);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buyers_and_sweepers_on_the_same_expired_holds_never_deadlock() {
    let house = House::open().await;
    let replica = house.replica();
    let (event, seats) = house.seated_event(40).await;
    for choice in seats.chunks(4) {
        let mut choice = choice.to_vec();
        choice.reverse();
        reserve(&house.app.as_user(), event, &choice).await.assert_status(201);
    }
    for _round in 0..5 {
        house.let_holds_end().await;
        let sweeps = async { join_all((0..4).map(|_| sweep(&house.pg))).await };
        let buys = join_all((0..30).map(|n| {
            let buyer = if n % 2 == 0 { house.app.as_user() } else { replica.as_user() };
            let choice: Vec<_> = (0..4).map(|step| seats[(n * 7 + step * 11) % seats.len()]).collect();
            async move { insistently(async || reserve(&buyer, event, &choice).await).await }
        }));
        let (swept, bought) = tokio::join!(sweeps, buys);
        swept.into_iter().collect::<Outcome<Vec<_>>>().unwrap();
        let mut won = 0;
        for answer in bought {
            if answer.status == 201 {
                won += 1;
            } else {
                answer.assert_problem(409, "seat_taken");
            }
        }
        let held = "SELECT count(*) AS number FROM seats WHERE status = 'locked' AND held_until > clock_timestamp()";
        assert_eq!(house.number(held).await, won * 4);
        house.assert_sound().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_of_hands_has_its_own_version() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(1).await;
    let version = "SELECT version AS number FROM seats";
    reserve(&house.app.as_user(), event, &seats).await.assert_status(201);
    assert_eq!(house.number(version).await, 1);
    house.let_holds_end().await;
    reserve(&house.app.as_user(), event, &seats).await.assert_status(201);
    assert_eq!(house.number(version).await, 2);
    house.let_holds_end().await;
    sweep(&house.pg).await.unwrap();
    assert_eq!(house.number(version).await, 3);
}
