//! Ordering tickets by type and number: shapes, refusals, keys.

use domain::{
    ids::{EventId, ReservationId},
    principal::{Principal, Role},
    seat_hold::reservation_number,
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::Answer;
use uuid::Uuid;

use crate::house::{House, ON_SALE, ORDER, basket, id, insistently, order, reserve};

const RESERVATIONS: &str = "SELECT count(*) AS number FROM reservations";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_to_an_order_is_the_documents() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let (r, s) = (house.ticket_type(event, "R석", 150_000, 5).await, house.ticket_type(event, "S석", 80_000, 5).await);
    let answer = order(&house.app.as_user(), event, &[(r, 2), (s, 1)]).await.assert_status(201);
    assert_eq!(answer.json["message"], "예매가 완료되었습니다.");
    let made = &answer.json["reservation"];
    assert_eq!(made["totalAmount"], 380_000);
    let number = reservation_number(id::<ReservationId>(&made["id"]));
    assert_eq!((&made["reservationNumber"], made.as_object().unwrap().len()), (&json!(number), 4));
    assert!(answer.text("/reservation/expiresAt").ends_with('Z'));
    let seconds = "SELECT round(extract(epoch FROM expires_at - created_at))::bigint AS number FROM reservations";
    assert_eq!(house.number(seconds).await, 300);
    let left = house.app.anonymous().get(&format!("/api/tickets/availability/{r}")).await.assert_status(200);
    assert_eq!(left.json, json!({"available_quantity": 3, "total_quantity": 5}));
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_database_writes_is_what_the_domain_says() {
    let house = House::open().await;
    for _ in 0..20 {
        let id = house.stage.clock.uuid();
        let number = reservation_number(ReservationId(id));
        let same = format!("SELECT (order_number('{id}') = '{number}')::int::bigint AS number");
        assert_eq!(house.number(&same).await, 1, "{id}");
    }
    assert_eq!(house.number("SELECT (substr(new_id()::text, 15, 1) = '7')::int::bigint AS number").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_cannot_be_is_422_and_says_where() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 50).await;
    let other = house.ticket_type(event, "S석", 1_000, 50).await;
    let buyer = house.app.as_user();
    let pointers = |answer: Answer| {
        let answer = answer.assert_problem(422, "invalid");
        let errors = answer.json["errors"].as_array().unwrap().clone();
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    for quantity in [json!(0), json!(-1), json!(1.5), json!(11), json!(99_999_999_999_i64), json!(1e300)] {
        let body = json!({"eventId": event, "items": [{"ticketTypeId": kind, "quantity": quantity}]});
        assert_eq!(pointers(buyer.post(ORDER, body).await), ["/items/0/quantity"], "{quantity}");
    }
    assert_eq!(pointers(order(&buyer, event, &[]).await), ["/items"]);
    assert_eq!(pointers(order(&buyer, event, &[(kind, 6), (other, 5)]).await), ["/items"]);
    assert_eq!(pointers(order(&buyer, event, &[(kind, 1), (kind, 1)]).await), ["/items/1/ticketTypeId"]);
    for body in [
        json!({}),
        json!({"eventId": event}),
        json!({"eventId": event, "items": [{"ticketTypeId": kind, "quantity": "2"}]}),
        json!({"eventId": event, "items": [{"ticketTypeId": kind, "quantity": 1, "price": 0}]}),
        json!({"eventId": "1", "items": []}),
    ] {
        buyer.post(ORDER, body).await.assert_problem(400, "malformed");
    }
    assert_eq!(house.number(RESERVATIONS).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_for_what_is_not_there_or_not_on_sale_is_refused() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 50).await;
    let other = house.event("다른 공연", ON_SALE).await;
    let foreign = house.ticket_type(other, "R석", 1, 50).await;
    let buyer = house.app.as_user();
    order(&buyer, EventId(Uuid::from_u128(7)), &[(kind, 1)]).await.assert_problem(404, "event_not_found");
    order(&buyer, event, &[(Uuid::from_u128(7), 1)]).await.assert_problem(404, "ticket_type_not_found");
    order(&buyer, event, &[(kind, 1), (foreign, 1)]).await.assert_problem(404, "ticket_type_not_found");
    for dates in [["1 day", "2 days", "3 days"], ["-3 days", "-2 days", "-1 day"]] {
        let closed = house.event("닫힌 공연", dates).await;
        let kind = house.ticket_type(closed, "R석", 1_000, 50).await;
        order(&buyer, closed, &[(kind, 1)]).await.assert_problem(409, "sale_closed");
    }
    house.sql(&format!("UPDATE events SET cancelled_at = now() WHERE id = '{event}'")).await;
    order(&buyer, event, &[(kind, 1)]).await.assert_problem(409, "sale_closed");
    order(&house.app.anonymous(), event, &[(kind, 1)]).await.assert_problem(401, "unauthenticated");
    assert_eq!(house.number(RESERVATIONS).await, 0);
    let left = "SELECT count(*) AS number FROM idempotency_keys";
    assert_eq!(house.number(left).await, 0);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_identical_orders_over_two_replicas_reserve_once() {
    let house = House::open().await;
    let replica = house.replica();
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 100).await;
    let buyer = house.app.as_user();
    let (user_id, login_id) = (buyer.user_id, buyer.login_id);
    let twin = replica.as_principal(Principal { user_id, login_id, role: Role::User });
    let key = [("idempotency-key", "k-1")];
    let answers = join_all((0..50).map(|n| {
        let buyer = if n % 2 == 0 { &buyer } else { &twin };
        insistently(async || buyer.post_with(ORDER, basket(event, &[(kind, 2)]), &key).await)
    }))
    .await;
    let first = answers[0].clone().assert_status(201);
    for answer in answers {
        assert_eq!(answer.assert_status(201).body, first.body);
    }
    assert_eq!(house.number(RESERVATIONS).await, 1);
    let other = twin.post_with(ORDER, basket(event, &[(kind, 3)]), &key).await;
    other.assert_problem(422, "idempotency_key_reused");
    // The same answer also when the sale is over by then.
    house.sql("UPDATE events SET sale_end_date = now()").await;
    let again = buyer.post_with(ORDER, basket(event, &[(kind, 2)]), &key).await.assert_status(201);
    assert_eq!(again.body, first.body);
    order(&buyer, event, &[(kind, 2)]).await.assert_problem(409, "sale_closed");
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_with_two_bodies_at_once_is_one_of_them() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 100).await;
    let buyer = house.app.as_user();
    let key = [("idempotency-key", "k-1")];
    let answers = join_all((0..20).map(|n| buyer.post_with(ORDER, basket(event, &[(kind, 1 + n % 2)]), &key))).await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
    assert_eq!((won.len(), lost.len()), (10, 10));
    for answer in lost {
        answer.assert_problem(422, "idempotency_key_reused");
    }
    assert_eq!(house.number(RESERVATIONS).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_does_not_use_a_key_up() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 1).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    let made = order(&kim, event, &[(kind, 1)]).await.assert_status(201);
    let key = [("idempotency-key", "k-1")];
    lee.post_with(ORDER, basket(event, &[(kind, 1)]), &key).await.assert_problem(409, "sold_out");
    let path = format!("{ORDER}/{}/cancel", made.text("/reservation/id"));
    kim.post(&path, Value::Null).await.assert_status(200);
    lee.post_with(ORDER, basket(event, &[(kind, 1)]), &key).await.assert_status(201);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_sees_what_one_has_reserved_and_nobody_elses() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(3).await;
    let kind = house.ticket_type(event, "스탠딩", 30_000, 5).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    let tickets = order(&kim, event, &[(kind, 2)]).await.assert_status(201);
    let seated = reserve(&kim, event, &seats[..2]).await.assert_status(201);
    order(&lee, event, &[(kind, 1)]).await.assert_status(201);

    let list = kim.get("/api/reservations/my").await.assert_status(200);
    assert_eq!(list.header("x-total-count"), "2");
    let rows = list.json["reservations"].as_array().unwrap().clone();
    assert_eq!(rows.len(), 2);
    let path = format!("/api/v1/reservations/{}", tickets.text("/reservation/id"));
    let one = kim.get(&path).await.assert_status(200).json["reservation"].clone();
    assert!(rows.contains(&one));
    assert_eq!(one["reservation_number"], tickets.json["reservation"]["reservationNumber"]);
    assert_eq!(one["expires_at"], tickets.json["reservation"]["expiresAt"]);
    assert_eq!((&one["venue"], &one["event_title"]), (&json!("마루홀"), &json!("달빛 재즈")));
    assert_eq!(
        (&one["status"], &one["payment_status"], &one["payment_method"]),
        (&json!("pending"), &json!("pending"), &Value::Null)
    );
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    for (field, value) in [
        ("ticketTypeName", json!("스탠딩")),
        ("quantity", json!(2)),
        ("unitPrice", json!(30_000)),
        ("subtotal", json!(60_000)),
        ("seatLabel", Value::Null),
    ] {
        assert_eq!(one["items"][0][field], value, "{field}");
    }
    let path = format!("/api/reservations/{}", seated.text("/reservation/id"));
    let items = kim.get(&path).await.assert_status(200).json["reservation"]["items"].clone();
    let labels: Vec<_> = items.as_array().unwrap().iter().map(|item| (&item["seatLabel"], &item["section"])).collect();
    assert_eq!(labels, [(&json!("A-1"), &json!("A")), (&json!("A-2"), &json!("A"))]);

    lee.get(&path).await.assert_problem(404, "reservation_not_found");
    lee.get(&format!("/api/reservations/{}", Uuid::nil())).await.assert_problem(404, "reservation_not_found");
    let page = kim.get("/api/v1/reservations/my?limit=1").await.assert_status(200);
    let next = page.header("link").split(['<', '>']).nth(1).unwrap().to_owned();
    let rest = kim.get(&next).await.assert_status(200);
    assert_eq!((rest.json["reservations"].as_array().unwrap().len(), rest.header("link")), (1, ""));
    assert_ne!(rest.json["reservations"], page.json["reservations"]);
    kim.get("/api/v1/reservations/my?limit=0").await.assert_problem(422, "invalid");
    house.app.anonymous().get("/api/v1/reservations/my").await.assert_problem(401, "unauthenticated");
}
