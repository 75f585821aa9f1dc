//! What people come in with.

use domain::{
    ids::{EventId, ReservationId},
    principal::{Principal, Role},
};
use futures_util::future::join_all;
use secrecy::SecretString;
use serde_json::{Value, json};
use testkit::{TestApp, TestClient};
use ticketing::admission_ticket::code::{Codes, TicketCode};

use crate::{
    house::{House, ON_SALE, id, order, reserve},
    payments::{PROCESS, assert_money, process_wish},
};

const CHECK_IN: &str = "/api/v1/admin/checkin";

fn tickets(reservation: ReservationId) -> String {
    format!("/api/v1/reservations/{reservation}/tickets")
}

fn code(ticket: &Value) -> Value {
    json!({ "code": ticket["code"] })
}

/// Sells some seats; returns their buyer, the reservation and its tickets.
async fn sold(house: &House, seats: i32) -> (EventId, TestClient, ReservationId, Vec<Value>) {
    let (event, seats) = house.seated_event(seats).await;
    let buyer = house.app.as_user();
    let reserved = reserve(&buyer, event, &seats).await.assert_status(201);
    let reservation: ReservationId = id(&reserved.json["reservation"]["id"]);
    buyer.post(PROCESS, process_wish(reservation, "kakao_pay")).await.assert_status(200);
    let answer = buyer.get(&tickets(reservation)).await.assert_status(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    (event, buyer, reservation, answer.json["tickets"].as_array().unwrap().clone())
}

/// The organizer of an event, at a replica.
async fn organizer(house: &House, app: &TestApp, event: EventId) -> TestClient {
    let organizer = app.as_role(Role::Organizer);
    let own = format!("UPDATE events SET organizer_id = '{}' WHERE id = '{event}'", organizer.user_id);
    house.sql(&own).await;
    organizer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_seat_has_a_ticket_of_its_own_with_a_code_and_its_picture() {
    let house = House::open().await;
    let (event, buyer, reservation, found) = sold(&house, 3).await;
    let labels: Vec<_> = found.iter().map(|ticket| ticket["seatLabel"].as_str().unwrap()).collect();
    assert_eq!(labels, ["A-1", "A-2", "A-3"]);
    let mut codes: Vec<_> = found.iter().map(|ticket| ticket["code"].as_str().unwrap()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), 3);
    for ticket in &found {
        assert_eq!((&ticket["status"], &ticket["eventId"]), (&json!("valid"), &json!(event)));
        assert!(ticket["qrCodeUrl"].as_str().unwrap().starts_with("data:image/png;base64,"));
    }
    assert_eq!(buyer.get(&tickets(reservation)).await.json["tickets"], json!(found));
    house.app.as_user().get(&tickets(reservation)).await.assert_problem(404, "reservation_not_found");
    house.app.anonymous().get(&tickets(reservation)).await.assert_problem(401, "unauthenticated");
    let unknown = tickets(house.stage.clock.id());
    buyer.get(&unknown).await.assert_problem(404, "reservation_not_found");
    buyer.get("/api/v1/reservations/x/tickets").await.assert_status(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_by_quantity_are_as_many_as_were_bought() {
    let house = House::open().await;
    let buyer = house.app.as_user();
    let event = house.event("달빛 재즈", ON_SALE).await;
    let standing = house.ticket_type(event, "스탠딩", 10_000, 10).await;
    let balcony = house.ticket_type(event, "발코니", 30_000, 10).await;
    let ordered = order(&buyer, event, &[(standing, 3), (balcony, 1)]).await.assert_status(201);
    let reservation: ReservationId = id(&ordered.json["reservation"]["id"]);
    buyer.post(PROCESS, process_wish(reservation, "kakao_pay")).await.assert_status(200);
    let answer = buyer.get(&tickets(reservation)).await.assert_status(200);
    let found = answer.json["tickets"].as_array().unwrap();
    let names: Vec<_> = found.iter().map(|ticket| &ticket["ticketTypeName"]).collect();
    assert_eq!(names, [&json!("발코니"), &json!("스탠딩"), &json!("스탠딩"), &json!("스탠딩")]);
    let ordinals: Vec<_> = found.iter().map(|ticket| ticket["ordinal"].as_i64().unwrap()).collect();
    assert_eq!(ordinals, [1, 1, 2, 3]);
    let sold = format!("SELECT sold::bigint AS number FROM ticket_types WHERE id = '{standing}' AND held = 0");
    assert_eq!(house.number(&sold).await, 3);
    assert_money(&house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_no_tickets_before_the_money_and_some_for_who_was_confirmed_without_any() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(1).await;
    let buyer = house.app.as_user();
    let reserved = reserve(&buyer, event, &seats).await.assert_status(201);
    let reservation: ReservationId = id(&reserved.json["reservation"]["id"]);
    assert_eq!(buyer.get(&tickets(reservation)).await.assert_status(200).json, json!({ "tickets": [] }));
    house.sql("SELECT confirm_reservation(id, 'cash', false, 10) FROM reservations").await;
    let answer = buyer.get(&tickets(reservation)).await.assert_status(200);
    assert_eq!(answer.json["tickets"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_who_come_with_one_ticket_one_comes_in() {
    let house = House::open().await;
    let replica = house.replica();
    let (event, _, _, found) = sold(&house, 2).await;
    let door = organizer(&house, &house.app, event).await;
    let other_door =
        replica.as_principal(Principal { user_id: door.user_id, login_id: door.login_id, role: Role::Organizer });
    let answers = join_all((0..50).map(|n| {
        let door = if n % 2 == 0 { &door } else { &other_door };
        door.post(CHECK_IN, code(&found[0]))
    }))
    .await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1);
    assert_eq!(won[0].json["message"], "입장이 확인되었습니다.");
    assert_eq!((&won[0].json["ticket"]["id"], &won[0].json["ticket"]["seatLabel"]), (&found[0]["id"], &json!("A-1")));
    for answer in lost {
        let answer = answer.assert_problem(409, "already_checked_in");
        assert_eq!(answer.json["checkedInAt"], won[0].json["ticket"]["checkedInAt"]);
    }
    door.post(CHECK_IN, code(&found[1])).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scanner_that_missed_the_answer_gets_it_again_under_its_key() {
    let house = House::open().await;
    let (_, _, _, found) = sold(&house, 1).await;
    let admin = house.app.as_role(Role::Admin);
    let key = [("idempotency-key", "scan-1")];
    let first = admin.post_with(CHECK_IN, code(&found[0]), &key).await.assert_status(200);
    assert_eq!(admin.post_with(CHECK_IN, code(&found[0]), &key).await.assert_status(200).json, first.json);
    admin.post(CHECK_IN, code(&found[0])).await.assert_problem(409, "already_checked_in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_runs_the_event_lets_people_in() {
    let house = House::open().await;
    let (event, buyer, _, found) = sold(&house, 1).await;
    buyer.post(CHECK_IN, code(&found[0])).await.assert_problem(403, "forbidden");
    house.app.anonymous().post(CHECK_IN, code(&found[0])).await.assert_problem(401, "unauthenticated");
    let stranger = house.app.as_role(Role::Organizer);
    stranger.post(CHECK_IN, code(&found[0])).await.assert_problem(404, "ticket_not_found");
    let door = organizer(&house, &house.app, event).await;
    door.post(CHECK_IN, code(&found[0])).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_code_opens_nothing() {
    let house = House::open().await;
    let (event, _, _, found) = sold(&house, 1).await;
    let admin = house.app.as_role(Role::Admin);
    let ticket = TicketCode { ticket_id: id(&found[0]["id"]), event_id: event };
    let forged = Codes::new(SecretString::from("f".repeat(48)), None).write(ticket);
    let ours = Codes::new(SecretString::from("t".repeat(48)), None);
    assert_eq!(found[0]["code"], ours.write(ticket));
    let nobodys = ours.write(TicketCode { ticket_id: house.stage.clock.id(), ..ticket });
    let elsewhere = ours.write(TicketCode { event_id: house.stage.clock.id(), ..ticket });
    for code in [forged.as_str(), &nobodys, &elsewhere, "", "mtk_", "한글", &"x".repeat(5_000)] {
        admin.post(CHECK_IN, json!({ "code": code })).await.assert_problem(404, "ticket_not_found");
    }
    for malformed in [json!({}), json!({ "code": 1 }), json!({ "code": "x", "more": 1 })] {
        admin.post(CHECK_IN, malformed).await.assert_problem(400, "malformed");
    }
    admin.post(CHECK_IN, code(&found[0])).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_ticket_opens_nothing_and_shows_no_code() {
    let house = House::open().await;
    let (_, buyer, reservation, found) = sold(&house, 1).await;
    house.sql("SELECT release_reservation(id, 'cancelled') FROM reservations").await;
    let admin = house.app.as_role(Role::Admin);
    admin.post(CHECK_IN, code(&found[0])).await.assert_problem(409, "ticket_void");
    let answer = buyer.get(&tickets(reservation)).await.assert_status(200);
    let ticket = &answer.json["tickets"][0];
    assert_eq!(
        (&ticket["status"], &ticket["code"], &ticket["qrCodeUrl"]),
        (&json!("void"), &Value::Null, &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_come_in_does_not_get_the_money_back() {
    let house = House::open().await;
    let (_, buyer, reservation, found) = sold(&house, 2).await;
    let admin = house.app.as_role(Role::Admin);
    admin.post(CHECK_IN, code(&found[0])).await.assert_status(200);
    let cancel = format!("/api/v1/reservations/{reservation}/cancel");
    buyer.post(&cancel, json!({})).await.assert_problem(409, "ticket_used");
    admin.post(CHECK_IN, code(&found[1])).await.assert_status(200);
    assert_money(&house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_used_or_given_back_and_never_both() {
    let house = House::open().await;
    for _ in 0..10 {
        let (_, buyer, reservation, found) = sold(&house, 1).await;
        let admin = house.app.as_role(Role::Admin);
        let cancel = format!("/api/v1/reservations/{reservation}/cancel");
        let (entered, cancelled) = tokio::join!(admin.post(CHECK_IN, code(&found[0])), buyer.post(&cancel, json!({})));
        match (entered.status, cancelled.status) {
            (200, 409) => cancelled.assert_problem(409, "ticket_used"),
            (409, 200) => entered.assert_problem(409, "ticket_void"),
            both => panic!("{both:?}"),
        };
    }
}
