//! What organizers do with their own events, and admins with everybody's.

use std::time::Duration;

use domain::{ids::EventId, principal::Role};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, TestClient, eventually};

use crate::house::{House, ON_SALE, id, order, reserve};

const EVENTS: &str = "/api/v1/admin/events";

/// An event as Tiketi's admin page sends it; clocks in Seoul.
pub(crate) fn concert() -> Value {
    json!({
        "title": " 마루의 밤 ", "description": "두 시간", "venue": "마루홀", "address": "서울 종로구", "artistName": "콰르텟",
        "eventDate": "2099-12-25T18:00", "saleStartDate": "2020-01-01T00:00:00", "saleEndDate": "2099-12-25T17:00:00+09:00",
        "posterImageUrl": "https://cdn.example.com/poster.png",
        "ticketTypes": [
            {"name": "R석", "price": 150_000, "totalQuantity": 10, "description": "앞"},
            {"name": "S석", "price": 90_000, "total_quantity": 20}
        ]
    })
}

/// A layout of two sections and eleven seats.
pub(crate) fn hall() -> Value {
    json!({"name": "작은 홀", "layoutConfig": {"sections": [
        {"name": "A", "rows": 2, "seatsPerRow": 3, "price": 70_000},
        {"name": "B", "rows": 1, "seats_per_row": 5, "price": 50_000, "startRow": 3}
    ]}})
}

pub(crate) async fn patch(client: &TestClient, path: &str, body: Value) -> Answer {
    client.send(client.request(Method::PATCH, path).json(&body)).await
}

async fn make(organizer: &TestClient, body: Value) -> EventId {
    id(&organizer.post(EVENTS, body).await.assert_status(201).json["event"]["id"])
}

/// Opens a service in which everything that was ever written for delivery can be seen.
async fn watched() -> House {
    let house = House::open().await;
    house
        .sql(
            "CREATE TABLE seen (topic text, payload jsonb); \
             CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN INSERT INTO seen VALUES (NEW.topic, NEW.payload); RETURN NEW; END $$; \
             CREATE TRIGGER see BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION see()",
        )
        .await;
    house
}

/// Counts the orders whose money goes back; fails the test when one of them does twice.
async fn refunds(house: &House) -> i64 {
    let count = |what: &str| format!("SELECT {what} AS number FROM seen WHERE topic = 'refund'");
    let twice = "count(*) - count(DISTINCT payload->>'reservation_id')";
    assert_eq!(house.number(&count(twice)).await, 0, "an order's money goes back twice");
    house.number(&count("count(*)")).await
}

/// Lets a pending reservation be paid for.
async fn pay(house: &House, buyer: &TestClient) {
    house
        .sql(&format!(
            "SELECT confirm_reservation(id, 'card', false, 0) FROM reservations \
             WHERE user_id = '{}' AND status = 'pending'",
            buyer.user_id
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_made_with_its_seats_and_ticket_types() {
    let house = House::open().await;
    let kim = house.app.as_role(Role::Organizer);
    let layout = kim.post("/api/admin/layouts", hall()).await.assert_status(201).json;
    assert_eq!(layout["layout"]["total_seats"], 11);
    let mut wanted = concert();
    wanted["seatLayoutId"] = layout["layout"]["id"].clone();
    let made = kim.post(EVENTS, wanted).await.assert_status(201).json;
    assert_eq!(made["message"], "이벤트가 생성되었습니다.");
    let event = &made["event"];
    for (key, value) in [
        ("title", "마루의 밤"),
        ("description", "두 시간"),
        ("artist_name", "콰르텟"),
        ("venue", "마루홀"),
        ("address", "서울 종로구"),
        ("event_date", "2099-12-25T09:00:00.000Z"),
        ("sale_start_date", "2019-12-31T15:00:00.000Z"),
        ("sale_end_date", "2099-12-25T08:00:00.000Z"),
        ("poster_image_url", "https://cdn.example.com/poster.png"),
        ("status", "on_sale"),
    ] {
        assert_eq!(event[key], value, "{key}");
    }
    assert_eq!(event["seat_layout_id"], layout["layout"]["id"]);
    let names: Vec<_> = made["ticketTypes"].as_array().unwrap().iter().map(|t| &t["name"]).collect();
    assert_eq!(names, ["R석", "S석"]);
    let nobody = house.app.anonymous();
    let seats = nobody.get(&format!("/api/v1/seats/events/{}", event["id"].as_str().unwrap())).await;
    let seats = seats.assert_status(200).json;
    assert_eq!(seats["seats"].as_array().unwrap().len(), 11);
    assert_eq!((&seats["layout"]["rows"], &seats["layout"]["cols"]), (&json!(3), &json!(5)));
    let layouts = nobody.get("/api/seats/layouts").await.assert_status(200);
    assert_eq!(layouts.header("x-total-count"), "1");
    let section = &layouts.json["layouts"][0]["layout_config"]["sections"][1];
    assert_eq!(section, &json!({"name": "B", "rows": 1, "seatsPerRow": 5, "price": 50_000, "startRow": 3}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_sent_twice_is_made_once() {
    let house = House::open().await;
    let kim = house.app.as_role(Role::Organizer);
    let key = [("idempotency-key", "e-1")];
    let first = kim.post_with(EVENTS, concert(), &key).await.assert_status(201).json;
    let second = kim.post_with(EVENTS, concert(), &key).await.assert_status(201).json;
    assert_eq!(first, second);
    assert_eq!(house.number("SELECT count(*) AS number FROM events").await, 1);
    let mut other = concert();
    other["title"] = json!("다른 밤");
    kim.post_with(EVENTS, other, &key).await.assert_problem(422, "idempotency_key_reused");
    let path = format!("{EVENTS}/{}/tickets", first["event"]["id"].as_str().unwrap());
    let vip = json!({"name": "VIP", "price": 1, "totalQuantity": 1});
    for _ in 0..2 {
        kim.post_with(&path, vip.clone(), &key).await.assert_status(201);
    }
    for _ in 0..2 {
        kim.post_with("/api/v1/admin/layouts", hall(), &key).await.assert_status(201);
    }
    assert_eq!(house.number("SELECT count(*) AS number FROM ticket_types").await, 3);
    assert_eq!(house.number("SELECT count(*) AS number FROM seat_layouts").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_touches_what_it_names_and_a_null_takes_away() {
    let house = House::open().await;
    let kim = house.app.as_role(Role::Organizer);
    let event = make(&kim, concert()).await;
    let path = format!("{EVENTS}/{event}");
    let changed = kim.put(&path, json!({"title": "새 밤", "address": null, "artist_name": ""})).await;
    let changed = changed.assert_status(200).json;
    assert_eq!(changed["event"]["title"], "새 밤");
    assert_eq!((&changed["event"]["address"], &changed["event"]["artist_name"]), (&json!(null), &json!(null)));
    assert_eq!((&changed["event"]["venue"], &changed["event"]["description"]), (&json!("마루홀"), &json!("두 시간")));
    kim.put(&path, json!({"title": null})).await.assert_problem(422, "invalid");
    // Each date is judged together with those that stay.
    let refused = kim.put(&path, json!({"saleStartDate": "2099-12-25T18:00"})).await.assert_problem(422, "invalid");
    assert_eq!(refused.text("/errors/0/pointer"), "/saleEndDate");
    kim.put(&path, json!({"owner": "me"})).await.assert_problem(400, "malformed");
    let shown = house.app.anonymous().get(&format!("/api/v1/events/{event}")).await.json;
    assert_eq!(shown["event"], changed["event"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_layout_brings_other_seats_until_somebody_has_ordered_one() {
    let house = House::open().await;
    let kim = house.app.as_role(Role::Organizer);
    let layout = kim.post("/api/v1/admin/layouts", hall()).await.json["layout"]["id"].clone();
    let other = json!({"name": "큰 홀", "layout_config": {"sections": [
        {"name": "A", "rows": 4, "seatsPerRow": 5, "price": 1_000, "start_row": 2}]}});
    let other = kim.post("/api/v1/admin/layouts", other).await.assert_status(201).json["layout"]["id"].clone();
    let event = make(&kim, concert()).await;
    let path = format!("{EVENTS}/{event}");
    let seats = || async { house.number("SELECT count(*) AS number FROM seats").await };
    for (wish, count) in [(&layout, 11), (&layout, 11), (&other, 20), (&Value::Null, 0), (&layout, 11)] {
        kim.put(&path, json!({"seatLayoutId": wish})).await.assert_status(200);
        assert_eq!(seats().await, count);
    }
    let shown = house.app.anonymous().get(&format!("/api/v1/seats/events/{event}")).await.json;
    let seat = id(&shown["seats"][0]["id"]);
    reserve(&house.app.as_user(), event, &[seat]).await.assert_status(201);
    kim.put(&path, json!({"seatLayoutId": other})).await.assert_problem(409, "seats_ordered");
    kim.put(&path, json!({"seatLayoutId": null})).await.assert_problem(409, "seats_ordered");
    kim.put(&path, json!({"seatLayoutId": layout})).await.assert_status(200);
    kim.put(&path, json!({"seatLayoutId": event})).await.assert_problem(404, "layout_not_found");
    assert_eq!(seats().await, 11);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_goes_only_while_nobody_has_ever_ordered_from_it() {
    let house = House::open().await;
    let kim = house.app.as_role(Role::Organizer);
    let layout = kim.post("/api/v1/admin/layouts", hall()).await.json["layout"]["id"].clone();
    let mut wanted = concert();
    wanted["seatLayoutId"] = layout;
    let event = make(&kim, wanted.clone()).await;
    let path = format!("{EVENTS}/{event}");
    let gone = kim.delete(&path).await.assert_status(200);
    assert_eq!(gone.json, json!({"message": "이벤트가 삭제되었습니다."}));
    kim.delete(&path).await.assert_problem(404, "event_not_found");
    house.app.anonymous().get(&format!("/api/v1/events/{event}")).await.assert_problem(404, "event_not_found");
    for table in ["events", "ticket_types", "seats"] {
        assert_eq!(house.number(&format!("SELECT count(*) AS number FROM {table}")).await, 0, "{table}");
    }

    let event = make(&kim, wanted).await;
    let path = format!("{EVENTS}/{event}");
    let shown = house.app.anonymous().get(&format!("/api/v1/seats/events/{event}")).await.json;
    reserve(&house.app.as_user(), event, &[id(&shown["seats"][0]["id"])]).await.assert_status(201);
    kim.delete(&path).await.assert_problem(409, "event_ordered");
    // Also when that is long over.
    house.let_holds_end().await;
    kim.delete(&path).await.assert_problem(409, "event_ordered");

    let event = make(&kim, concert()).await;
    house.sql(&format!("UPDATE ticket_types SET held = 1 WHERE event_id = '{event}'")).await;
    kim.delete(&format!("{EVENTS}/{event}")).await.assert_problem(409, "event_ordered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_waits_for_a_purchase_that_has_begun_and_then_gives_way_to_it() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(2).await;
    let admin = house.app.as_role(Role::Admin);
    let mut buyer = house.pg.conn().await.unwrap();
    let buying = format!(
        "BEGIN; SELECT FROM seats WHERE id = '{seat}' FOR UPDATE; \
         INSERT INTO reservations (id, reservation_number, event_id, user_id, total_amount, expires_at) \
         VALUES ('{seat}', 'TK000000000001', '{event}', '{seat}', 50000, now() + interval '5 minutes'); \
         INSERT INTO reservation_seats (reservation_id, seat_id, price) VALUES ('{seat}', '{seat}', 50000); \
         INSERT INTO user_event (user_id, event_id, quantity) VALUES ('{seat}', '{event}', 1); \
         UPDATE seats SET status = 'locked', reservation_id = '{seat}', held_until = now() + interval '5 minutes' \
         WHERE id = '{seat}'",
        seat = seats[0]
    );
    diesel_async::SimpleAsyncConnection::batch_execute(&mut *buyer, &buying).await.unwrap();
    let commit = async {
        house.somebody_waits_behind(&mut buyer).await;
        diesel_async::SimpleAsyncConnection::batch_execute(&mut *buyer, "COMMIT").await.unwrap();
    };
    let path = format!("{EVENTS}/{event}");
    let (refused, ()) = tokio::join!(admin.delete(&path), commit);
    refused.assert_problem(409, "event_ordered");
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ticket_types_are_added_and_changed_and_never_below_what_is_sold_or_held() {
    let house = House::open().await;
    let kim = house.app.as_role(Role::Organizer);
    let event = make(&kim, concert()).await;
    let path = format!("{EVENTS}/{event}/tickets");
    let made = kim.post(&path, json!({"name": "VIP", "price": 300_000, "totalQuantity": 5})).await.assert_status(201);
    assert_eq!(made.json["ticketType"]["available_quantity"], 5);
    kim.post(&path, json!({"name": "VIP", "price": 1, "totalQuantity": 1}))
        .await
        .assert_problem(409, "ticket_type_exists");
    let vip = made.text("/ticketType/id").to_owned();
    let own = format!("/api/v1/admin/tickets/{vip}");
    house.sql(&format!("UPDATE ticket_types SET held = 1, sold = 2 WHERE id = '{vip}'")).await;
    kim.put(&own, json!({"totalQuantity": 2})).await.assert_problem(409, "stock_below_sold");
    let changed = kim.put(&own, json!({"totalQuantity": 3, "price": 1})).await.assert_status(200).json;
    assert_eq!((&changed["ticketType"]["available_quantity"], &changed["ticketType"]["price"]), (&json!(0), &json!(1)));
    assert_eq!(changed["ticketType"]["name"], "VIP");
    kim.put(&own, json!({"name": "R석"})).await.assert_problem(409, "ticket_type_exists");
    let left = house.app.anonymous().get(&format!("/api/v1/tickets/availability/{vip}")).await.json;
    assert_eq!(left, json!({"available_quantity": 0, "total_quantity": 3}));
    kim.post(&format!("{EVENTS}/{event}/cancel"), json!({})).await.assert_status(200);
    for answer in [
        kim.put(&own, json!({"totalQuantity": 9})).await,
        kim.post(&path, json!({"name": "X", "price": 1, "totalQuantity": 1})).await,
        kim.put(&format!("{EVENTS}/{event}"), json!({"title": "다시"})).await,
    ] {
        answer.assert_problem(409, "event_cancelled");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lowering_the_stock_and_buying_at_once_never_sells_more_than_there_is() {
    let house = House::open().await;
    let kim = house.app.as_role(Role::Organizer);
    let event = make(&kim, concert()).await;
    let types = house.app.anonymous().get(&format!("/api/v1/tickets/event/{event}")).await.json;
    let ticket_type = types["ticketTypes"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/admin/tickets/{ticket_type}");
    for total in (1..10).rev() {
        let take = format!(
            "UPDATE ticket_types SET held = held + 1 WHERE id = '{ticket_type}' AND held + sold < total_quantity"
        );
        let (answer, ()) = tokio::join!(kim.put(&path, json!({"totalQuantity": total})), house.sql(&take));
        assert!([200, 409].contains(&answer.status), "{}", answer.status);
    }
    let over = "SELECT count(*) AS number FROM ticket_types WHERE held + sold > total_quantity";
    assert_eq!(house.number(over).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_event_lets_go_of_every_order_once_and_refunds_those_that_were_paid() {
    let house = watched().await;
    let other = house.replica();
    let kim = house.app.as_role(Role::Organizer);
    let layout = kim.post("/api/v1/admin/layouts", hall()).await.json["layout"]["id"].clone();
    let mut wanted = concert();
    wanted["seatLayoutId"] = layout;
    let made = kim.post(EVENTS, wanted).await.assert_status(201).json;
    let (event, ticket_type) =
        (id::<EventId>(&made["event"]["id"]), made["ticketTypes"][0]["id"].as_str().unwrap().parse().unwrap());
    let seats = house.app.anonymous().get(&format!("/api/v1/seats/events/{event}")).await.json;
    let buyers: Vec<_> = (0..6).map(|_| house.app.as_user()).collect();
    for (n, buyer) in buyers.iter().enumerate() {
        reserve(buyer, event, &[id(&seats["seats"][n]["id"])]).await.assert_status(201);
        if n % 2 == 0 {
            pay(&house, buyer).await;
        }
    }
    order(&buyers[1], event, &[(ticket_type, 3)]).await.assert_status(201);
    let paid = house.app.as_user();
    order(&paid, event, &[(ticket_type, 2)]).await.assert_status(201);
    pay(&house, &paid).await;

    let path = format!("{EVENTS}/{event}/cancel");
    let cancelled = kim.post(&path, json!({})).await.assert_status(200).json;
    assert_eq!(cancelled["event"]["status"], "cancelled");
    reserve(&buyers[0], event, &[id(&seats["seats"][9]["id"])]).await.assert_problem(409, "sale_closed");
    // Asked twice, by two, on two replicas.
    let admin = other.as_role(Role::Admin);
    admin.post(&path, json!({})).await.assert_status(200);
    let open = "SELECT count(*) AS number FROM reservations WHERE status IN ('pending', 'confirmed')";
    eventually(Duration::from_secs(5), || async { house.number(open).await == 0 }).await;
    assert_eq!(refunds(&house).await, 4);
    assert_eq!(house.number("SELECT count(*) AS number FROM seats WHERE status <> 'available'").await, 0);
    assert_eq!(house.number("SELECT sum(held + sold) AS number FROM ticket_types").await, 0);
    let kept =
        "SELECT count(*) AS number FROM reservations WHERE status = 'cancelled' AND payment_status = 'completed'";
    assert_eq!(house.number(kept).await, 4);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replica_that_died_had_begun_another_finishes() {
    let house = watched().await;
    let (event, seats) = house.seated_event(3).await;
    for seat in &seats {
        let buyer = house.app.as_user();
        reserve(&buyer, event, &[*seat]).await.assert_status(201);
        pay(&house, &buyer).await;
    }
    // One order is let go of, and the lease of whoever was at it has just ended.
    house
        .sql(&format!(
            "UPDATE events SET cancelled_at = now() - interval '2 minutes', settling_until = now() WHERE id = '{event}'; \
             SELECT release_reservation((SELECT id FROM reservations LIMIT 1), 'cancelled')"
        ))
        .await;
    let settled = "SELECT count(*) AS number FROM events WHERE settled_at IS NOT NULL";
    eventually(Duration::from_secs(5), || async { house.number(settled).await == 1 }).await;
    assert_eq!(refunds(&house).await, 3);
    assert_eq!(house.number("SELECT count(*) AS number FROM reservations WHERE status = 'cancelled'").await, 3);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_that_is_committed_after_the_cancellation_is_let_go_of_too() {
    let house = watched().await;
    let (event, seats) = house.seated_event(1).await;
    let buyer = house.app.as_user();
    reserve(&buyer, event, &seats).await.assert_status(201);
    let mut late = house.pg.conn().await.unwrap();
    let confirm = format!(
        "BEGIN; SELECT confirm_reservation(id, 'card', false, 0) FROM reservations WHERE user_id = '{}'",
        buyer.user_id
    );
    diesel_async::SimpleAsyncConnection::batch_execute(&mut *late, &confirm).await.unwrap();
    house.app.as_role(Role::Admin).post(&format!("{EVENTS}/{event}/cancel"), json!({})).await.assert_status(200);
    diesel_async::SimpleAsyncConnection::batch_execute(&mut *late, "COMMIT").await.unwrap();
    eventually(Duration::from_secs(5), || async { refunds(&house).await == 1 }).await;
    assert_eq!(house.number("SELECT count(*) AS number FROM reservations WHERE status = 'cancelled'").await, 1);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_goes_only_where_it_may() {
    let house = watched().await;
    let (event, seats) = house.seated_event(4).await;
    let admin = house.app.as_role(Role::Admin);
    let mut made = Vec::new();
    for seat in &seats {
        let held = reserve(&house.app.as_user(), event, &[*seat]).await.assert_status(201);
        made.push(format!("/api/v1/admin/reservations/{}/status", held.text("/reservation/id")));
    }
    for (path, to, status) in [
        (&made[0], "pending", 409),
        (&made[0], "expired", 409),
        (&made[0], "confirmed", 200),
        (&made[0], "confirmed", 200),
        (&made[0], "cancelled", 200),
        (&made[0], "cancelled", 200),
        (&made[0], "confirmed", 409),
        (&made[1], "cancelled", 200),
        (&made[1], "confirmed", 409),
        (&made[2], "paid", 422),
    ] {
        let answer = patch(&admin, path, json!({"status": to})).await.assert_status(status);
        match status {
            200 => assert_eq!(answer.text("/reservation/status"), to),
            409 => drop(answer.assert_problem(409, "invalid_transition")),
            _ => drop(answer.assert_problem(422, "invalid")),
        }
    }
    house.let_holds_end().await;
    for to in ["confirmed", "cancelled"] {
        patch(&admin, &made[2], json!({"status": to})).await.assert_problem(409, "invalid_transition");
    }
    patch(&admin, &made[3], json!({"status": "cancelled", "why": 1})).await.assert_problem(400, "malformed");
    assert_eq!(refunds(&house).await, 1);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reservations_are_found_by_what_is_known_of_them() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(5).await;
    let (other, more) = house.seated_event(1).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    let first = reserve(&kim, event, &seats[..2]).await.assert_status(201);
    // Ids of one moment are in no order.
    house.stage.clock.advance(Duration::from_millis(1));
    pay(&house, &kim).await;
    reserve(&lee, event, &seats[2..3]).await.assert_status(201);
    house.let_holds_end().await;
    reserve(&lee, event, &seats[3..]).await.assert_status(201);
    reserve(&lee, other, &more).await.assert_status(201);
    let admin = house.app.as_role(Role::Admin);
    let number = first.text("/reservation/reservationNumber").to_lowercase();
    for (query, total) in [
        (String::new(), 4),
        ("status=confirmed".to_owned(), 1),
        ("status=pending".to_owned(), 2),
        ("status=expired&q=".to_owned(), 1),
        ("paymentStatus=completed".to_owned(), 1),
        ("payment_status=pending&status=pending".to_owned(), 2),
        (format!("eventId={event}"), 3),
        (format!("event_id={other}&userId={}", lee.user_id), 1),
        (format!("user_id={}", kim.user_id), 1),
        (format!("q={number}"), 1),
        ("startDate=2020-01-01&endDate=2099-12-31".to_owned(), 4),
        ("endDate=2020-01-01".to_owned(), 0),
        (format!("eventId={}", kim.user_id), 0),
    ] {
        let found = admin.get(&format!("/api/v1/admin/reservations?{query}")).await.assert_status(200).json;
        assert_eq!(found["pagination"]["total"], total, "{query}");
        assert_eq!(found["reservations"].as_array().unwrap().len(), total, "{query}");
    }
    let page = admin.get("/api/admin/reservations?limit=3&page=2").await.assert_status(200).json;
    assert_eq!(page["pagination"], json!({"page": 2, "limit": 3, "total": 4, "totalPages": 2}));
    let oldest = &page["reservations"][0];
    assert_eq!(oldest["id"], first.json["reservation"]["id"]);
    assert_eq!((&oldest["event_title"], &oldest["venue"]), (&json!("달빛 재즈"), &json!("마루홀")));
    let items = json!([
        {"ticketTypeName": null, "quantity": 1, "unitPrice": 50_000, "subtotal": 50_000, "seatLabel": "A-1", "section": "A"},
        {"ticketTypeName": null, "quantity": 1, "unitPrice": 50_000, "subtotal": 50_000, "seatLabel": "A-2", "section": "A"}
    ]);
    assert_eq!(oldest["items"], items);
    for query in ["status=open", "paymentStatus=x", "eventId=7", "userId=me", "startDate=1", "page=0", "limit=101"] {
        admin.get(&format!("/api/v1/admin/reservations?{query}")).await.assert_problem(422, "invalid");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dashboard_counts_what_is_ones_own_and_a_day_is_the_zones() {
    let house = House::open().await;
    let (kim, lee) = (house.app.as_role(Role::Organizer), house.app.as_role(Role::Organizer));
    let mine = make(&kim, concert()).await;
    make(&lee, concert()).await;
    let seats = house.seats(mine, 4).await;
    let buyers: Vec<_> = (0..3).map(|_| house.app.as_user()).collect();
    for (buyer, seat) in buyers.iter().zip(&seats) {
        house.stage.clock.advance(Duration::from_millis(1));
        reserve(buyer, mine, &[*seat]).await.assert_status(201);
    }
    pay(&house, &buyers[0]).await;
    pay(&house, &buyers[1]).await;
    // The last instant of yesterday in Seoul, and the first of today.
    let midnight = "(date_trunc('day', now() AT TIME ZONE 'Asia/Seoul') AT TIME ZONE 'Asia/Seoul')";
    for (buyer, at) in [(&buyers[0], "- interval '1 microsecond'"), (&buyers[1], "")] {
        let (buyer, number) = (buyer.user_id, format!("{midnight} {at}"));
        house.sql(&format!("UPDATE reservations SET created_at = {number} WHERE user_id = '{buyer}'")).await;
    }
    let shown = kim.get("/api/v1/admin/dashboard/stats").await.assert_status(200).json;
    let expected = json!({"totalEvents": 1, "totalReservations": 3, "totalRevenue": 100_000, "todayReservations": 2});
    assert_eq!(shown["stats"], expected);
    let recent = shown["recentReservations"].as_array().unwrap();
    assert_eq!((recent.len(), &recent[0]["user_id"]), (3, &json!(buyers[2].user_id)));
    let shown = lee.get("/api/admin/dashboard/stats").await.assert_status(200).json;
    assert_eq!(shown["stats"]["totalReservations"], 0);
    assert_eq!(shown["recentReservations"], json!([]));
    let shown = house.app.as_role(Role::Admin).get("/api/admin/dashboard/stats").await.assert_status(200).json;
    assert_eq!((&shown["stats"]["totalEvents"], &shown["stats"]["totalRevenue"]), (&json!(2), &json!(100_000)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_is_written_down_for_the_other_replicas() {
    let house = watched().await;
    let kim = house.app.as_role(Role::Organizer);
    let told = |event: EventId| {
        let house = &house;
        async move {
            let told = format!(
                "SELECT count(*) AS number FROM seen WHERE topic = 'notice' AND payload = '{{\"kind\": \"event\", \"event_id\": \"{event}\"}}'"
            );
            house.number(&told).await
        }
    };
    let event = make(&kim, concert()).await;
    let path = format!("{EVENTS}/{event}");
    assert_eq!(told(event).await, 1);
    kim.put(&path, json!({"title": "새 밤"})).await.assert_status(200);
    assert_eq!(told(event).await, 2);
    let vip = json!({"name": "VIP", "price": 1, "totalQuantity": 1});
    let vip = kim.post(&format!("{path}/tickets"), vip).await.assert_status(201);
    assert_eq!(told(event).await, 3);
    let vip = format!("/api/v1/admin/tickets/{}", vip.text("/ticketType/id"));
    kim.put(&vip, json!({"price": 2})).await.assert_status(200);
    assert_eq!(told(event).await, 4);
    // What is refused tells nothing.
    kim.put(&vip, json!({"name": "R석"})).await.assert_problem(409, "ticket_type_exists");
    assert_eq!(told(event).await, 4);
    kim.post(&format!("{path}/cancel"), json!({})).await.assert_status(200);
    assert_eq!(told(event).await, 5);
    let gone = house.event("사라질 밤", ON_SALE).await;
    house.app.as_role(Role::Admin).delete(&format!("{EVENTS}/{gone}")).await.assert_status(200);
    assert_eq!(told(gone).await, 1);
}
