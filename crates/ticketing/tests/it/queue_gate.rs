//! Who has not been let in gets nothing.

use domain::principal::Principal;
use serde_json::json;

use crate::{
    house::{House, RESERVE, reserve, wish},
    line::{SECOND, SOON, check, comes_in, leave, organizer, run, somebody, status},
};

async fn set(house: &House, event: domain::ids::EventId, mode: &str, threshold: i32) {
    house
        .sql(&format!(
            "INSERT INTO waiting_rooms (event_id, mode, threshold) VALUES ('{event}', '{mode}', {threshold})"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_admission_of_ones_own_for_this_event_that_still_counts_nothing_can_be_had() {
    let house = House::open().await;
    let replica = house.replica();
    let (event, seats) = house.seated_event(8).await;
    let (other, other_seats) = house.seated_event(2).await;
    set(&house, event, "on", 2).await;
    set(&house, other, "on", 2).await;
    let (kim, lee) = (house.app.as_user(), replica.as_user());
    // None.
    reserve(&kim, event, &seats[..1]).await.assert_problem(403, "not_admitted");
    // One for another event.
    check(&kim, other).await.assert_status(200);
    reserve(&kim, event, &seats[..1]).await.assert_problem(403, "not_admitted");
    // Somebody else's ticket, a forged one, and one that was good before the room was emptied.
    let ticket = check(&kim, event).await.assert_status(200).text("/queueTicket").to_owned();
    for foreign in [ticket.as_str(), "mqt_AAAA", "mqt_", "nonsense"] {
        let header = [("x-queue-ticket", foreign)];
        lee.post_with(RESERVE, wish(event, &seats[..1]), &header).await.assert_problem(403, "not_admitted");
    }
    reserve(&kim, event, &seats[..1]).await.assert_status(201);
    // Over, on whichever replica.
    leave(&kim, event).await.assert_status(200);
    let kim_there = replica.as_principal(Principal { user_id: kim.user_id, ..somebody(&house) });
    for client in [&kim, &kim_there] {
        let header = [("x-queue-ticket", ticket.as_str())];
        client.post_with(RESERVE, wish(event, &seats[1..2]), &header).await.assert_problem(403, "not_admitted");
    }
    // Expired.
    check(&lee, event).await.assert_status(200);
    let redis = house.stage.redis();
    let active = redis.key(format!("queue:{{{event}}}:active"));
    let past = deadpool_redis::redis::Cmd::zadd(active, lee.user_id.to_string(), 1);
    redis.run::<()>(&past).await.unwrap();
    reserve(&lee, event, &seats[2..3]).await.assert_problem(403, "not_admitted");
    // What one has been let in for goes on.
    reserve(&kim, other, &other_seats[..1]).await.assert_status(201);
    assert_eq!(house.number("SELECT count(*) AS number FROM reservations").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_given_is_given_again_to_who_has_left() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(2).await;
    set(&house, event, "on", 1).await;
    let kim = house.app.as_user();
    check(&kim, event).await.assert_status(200);
    let key = [("idempotency-key", "k-1")];
    let first = kim.post_with(RESERVE, wish(event, &seats[..1]), &key).await.assert_status(201);
    leave(&kim, event).await.assert_status(200);
    let again = kim.post_with(RESERVE, wish(event, &seats[..1]), &key).await.assert_status(201);
    assert_eq!(again.json, first.json);
    reserve(&kim, event, &seats[1..]).await.assert_problem(403, "not_admitted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_auto_buying_lets_in_while_there_is_room_and_nobody_waits() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(8).await;
    set(&house, event, "auto", 2).await;
    let people: Vec<_> = (0..4).map(|_| house.app.as_user()).collect();
    reserve(&people[0], event, &seats[..1]).await.assert_status(201);
    assert_eq!(status(&people[0], event).await["status"], "active");
    reserve(&people[1], event, &seats[1..2]).await.assert_status(201);
    // Full.
    reserve(&people[2], event, &seats[2..3]).await.assert_problem(403, "not_admitted");
    assert_eq!(check(&people[2], event).await.json["position"], 1);
    // Whoever is inside may go on.
    reserve(&people[0], event, &seats[3..4]).await.assert_status(201);
    // A place becomes free: it is theirs who wait, and nobody overtakes.
    leave(&people[0], event).await.assert_status(200);
    reserve(&people[3], event, &seats[4..5]).await.assert_problem(403, "not_admitted");
    comes_in(&people[2], event, SECOND).await;
    reserve(&people[2], event, &seats[2..3]).await.assert_status(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_needs_no_admission_and_can_be_turned_on() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(4).await;
    set(&house, event, "off", 1).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    for person in [&kim, &lee] {
        let inside = check(person, event).await.assert_status(200).json;
        assert_eq!((&inside["queued"], &inside["status"]), (&json!(false), &json!("active")));
    }
    reserve(&kim, event, &seats[..1]).await.assert_status(201);
    reserve(&lee, event, &seats[1..2]).await.assert_status(201);
    let boss = organizer(&house.app, event);
    run(&boss, event, json!({"mode": "on"})).await.assert_status(200);
    reserve(&kim, event, &seats[2..3]).await.assert_problem(403, "not_admitted");
    check(&kim, event).await.assert_status(200);
    assert_eq!(check(&lee, event).await.json["queued"], true);
    reserve(&kim, event, &seats[2..3]).await.assert_status(201);
    run(&boss, event, json!({"mode": "off"})).await.assert_status(200);
    // A look at the database that had begun before may be kept for a second.
    testkit::eventually(SOON, || async { reserve(&lee, event, &seats[3..4]).await.status == 201 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_buy_has_the_same_gate() {
    let house = House::open().await;
    let (event, _seats) = house.seated_event(8).await;
    let ticket_type = house.ticket_type(event, "R석", 10_000, 10).await;
    set(&house, event, "on", 1).await;
    let kim = house.app.as_user();
    let order = json!({"eventId": event, "items": [{"ticketTypeId": ticket_type, "quantity": 1}]});
    let best = json!({"eventId": event, "quantity": 2});
    let ways = [("/api/v1/reservations", order), ("/api/v1/seats/best", best)];
    for (way, body) in &ways {
        kim.post(way, body.clone()).await.assert_problem(403, "not_admitted");
    }
    check(&kim, event).await.assert_status(200);
    let key = [("idempotency-key", "k-1")];
    for (way, body) in &ways {
        kim.post_with(way, body.clone(), &key).await.assert_status(201);
    }
    leave(&kim, event).await.assert_status(200);
    for (way, body) in &ways {
        kim.post_with(way, body.clone(), &key).await.assert_status(201);
        kim.post(way, body.clone()).await.assert_problem(403, "not_admitted");
    }
    assert_eq!(house.number("SELECT count(*) AS number FROM reservations").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_paid_makes_room_and_who_left_before_can_still_pay() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", crate::house::ON_SALE).await;
    let ticket_type = house.ticket_type(event, "R석", 10_000, 10).await;
    set(&house, event, "auto", 1).await;
    let (kim, lee, park) = (house.app.as_user(), house.app.as_user(), house.app.as_user());
    let order = json!({"eventId": event, "items": [{"ticketTypeId": ticket_type, "quantity": 1}]});
    let pay = async |person: &testkit::TestClient, reservation: &str| {
        let body = json!({"reservationId": reservation, "paymentMethod": "naver_pay"});
        person.post("/api/v1/payments/process", body).await.assert_status(200);
    };
    let reserved = kim.post("/api/v1/reservations", order.clone()).await.assert_status(201);
    for person in [&lee, &park] {
        assert_eq!(check(person, event).await.json["queued"], true);
    }
    pay(&kim, reserved.text("/reservation/id")).await;
    comes_in(&lee, event, SECOND).await;
    let reserved = lee.post("/api/v1/reservations", order).await.assert_status(201);
    leave(&lee, event).await.assert_status(200);
    comes_in(&park, event, SECOND).await;
    pay(&lee, reserved.text("/reservation/id")).await;
    assert_eq!(status(&park, event).await["status"], "active");
}
