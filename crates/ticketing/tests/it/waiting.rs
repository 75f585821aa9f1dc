//! Waiting for tickets that come back.

use domain::ids::EventId;
use serde_json::{Value, json};
use testkit::{Answer, TestClient};
use ticketing::{order::waiting::offer, seat::expiry::sweep};
use uuid::Uuid;

use crate::house::{House, ON_SALE, ORDER, order};

const LIST: &str = "/api/v1/reservations/waiting-list";
const OFFERED: &str = "SELECT count(*) AS number FROM reservations WHERE status = 'pending' AND user_id = ";

async fn wait(buyer: &TestClient, event: EventId, kind: Uuid, quantity: i32) -> Answer {
    buyer.post(LIST, json!({"eventId": event, "ticketTypeId": kind, "quantity": quantity})).await
}

async fn offered(house: &House, buyer: &TestClient) -> i64 {
    house.number(&format!("{OFFERED} '{}'", buyer.user_id)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn returned_tickets_go_to_those_who_wait_in_order() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 4).await;
    let holder = house.app.as_user();
    wait(&holder, event, kind, 2).await.assert_problem(409, "still_available");
    let held = order(&holder, event, &[(kind, 4)]).await.assert_status(201);
    let (kim, lee, park) = (house.app.as_user(), house.app.as_user(), house.app.as_user());
    for (place, buyer) in [(1, &kim), (2, &lee), (3, &park)] {
        let joined = wait(buyer, event, kind, 2).await.assert_status(201);
        assert_eq!(joined.json["waiting"]["position"], place);
    }
    assert_eq!(wait(&kim, event, kind, 1).await.assert_status(201).json["waiting"]["quantity"], 2);
    let path = format!("{ORDER}/{}/cancel", held.text("/reservation/id"));
    holder.post(&path, Value::Null).await.assert_status(200);
    // Handed over in the same moment: nobody comes in between.
    order(&house.app.as_user(), event, &[(kind, 1)]).await.assert_problem(409, "sold_out");
    assert_eq!((offered(&house, &kim).await, offered(&house, &lee).await, offered(&house, &park).await), (1, 1, 0));
    let left = park.get(LIST).await.assert_status(200);
    assert_eq!((&left.json["waiting"][0]["position"], kim.get(LIST).await.json), (&json!(1), json!({"waiting": []})));
    house.assert_sound().await;

    // What is not taken up goes on to the next.
    house.let_holds_end().await;
    sweep(&house.pg).await.unwrap();
    assert_eq!(offered(&house, &park).await, 1);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_fit_is_passed_over_and_keeps_the_place() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 6).await;
    let (holder, other) = (house.app.as_user(), house.app.as_user());
    let held = order(&holder, event, &[(kind, 2)]).await.assert_status(201);
    order(&other, event, &[(kind, 4)]).await.assert_status(201);
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    wait(&kim, event, kind, 4).await.assert_status(201);
    wait(&lee, event, kind, 2).await.assert_status(201);
    let path = format!("{ORDER}/{}/cancel", held.text("/reservation/id"));
    holder.post(&path, Value::Null).await.assert_status(200);
    assert_eq!((offered(&house, &kim).await, offered(&house, &lee).await), (0, 1));
    // Stock that the organizer adds is offered as well.
    house.sql("UPDATE ticket_types SET total_quantity = total_quantity + 4").await;
    assert_eq!((offer(&house.pg).await.unwrap(), offered(&house, &kim).await), (1, 1));
    assert_eq!(offer(&house.pg).await.unwrap(), 0);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_can_leave_the_line_and_only_ones_own() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 1).await;
    order(&house.app.as_user(), event, &[(kind, 1)]).await.assert_status(201);
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    wait(&kim, event, kind, 1).await.assert_status(201);
    let path = format!("{LIST}/{kind}");
    lee.delete(&path).await.assert_problem(404, "not_waiting");
    kim.delete(&path).await.assert_status(200);
    kim.delete(&path).await.assert_problem(404, "not_waiting");
    for (body, code, status) in [
        (json!({"eventId": event, "ticketTypeId": kind, "quantity": 0}), "invalid", 422),
        (json!({"eventId": event, "ticketTypeId": event, "quantity": 1}), "ticket_type_not_found", 404),
        (json!({"eventId": kind, "ticketTypeId": kind, "quantity": 1}), "event_not_found", 404),
    ] {
        kim.post(LIST, body).await.assert_problem(status, code);
    }
}
