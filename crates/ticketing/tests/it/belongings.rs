//! What the auth service is told of a person's items, payments and tickets.

use domain::principal::Service;
use serde_json::json;

use crate::house::{House, reserve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn items_payments_and_tickets_are_shown_and_bear_no_name_afterwards() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(1).await;
    let ticket_type = house.ticket_type(event, "R석", 1_000, 10).await;
    let kim = house.app.as_user();
    let made = reserve(&kim, event, &seats).await.assert_status(201);
    let order = made.text("/reservation/id").to_owned();
    let own = format!("/internal/users/{}", kim.user_id);
    house.sql(&format!("SELECT confirm_reservation('{order}', 'card', false, 0)")).await;
    house
        .sql(&format!(
            "INSERT INTO reservation_items (reservation_id, ticket_type_id, quantity, unit_price) \
             VALUES ('{order}', '{ticket_type}', 2, 1000); \
             UPDATE user_event SET quantity = 3 WHERE event_id = '{event}'; \
             INSERT INTO waiting_list (event_id, ticket_type_id, user_id, quantity, hold_seconds, most_per_event) \
             VALUES ('{event}', '{ticket_type}', '{user}', 4, 300, 10); \
             INSERT INTO payments (id, reservation_id, provider, order_id, payment_key, method, amount, status, \
             captured_at) VALUES ('{order}', '{order}', 'sandbox', 'order-1', 'key-1', 'kakao_pay', 52000, 'captured', \
             now()); \
             INSERT INTO tickets (id, reservation_id, event_id, seat_id, ordinal, holder_id) \
             VALUES ('{order}', '{order}', '{event}', '{seat}', 1, '{user}')",
            seat = seats[0],
            user = kim.user_id
        ))
        .await;
    let data =
        house.app.as_service(Service::Auth).get(&format!("{own}/export")).await.assert_status(200).json["data"].clone();
    let shown = &data["reservations"][0];
    assert_eq!(data["waiting_list"][0]["quantity"], 4);
    let items = json!([{"ticket_type_id": ticket_type, "ticket_type_name": "R석", "quantity": 2, "unit_price": 1_000}]);
    assert_eq!(shown["items"], items);
    let payment = &shown["payments"][0];
    assert_eq!((&payment["method"], &payment["amount"]), (&json!("kakao_pay"), &json!(52_000)));
    assert_eq!((&shown["tickets"][0]["id"], &shown["tickets"][0]["seat_id"]), (&json!(order), &json!(seats[0])));

    while house.app.as_service(Service::Auth).delete(&own).await.assert_status(200).json["is_finished"] != true {}
    let left = format!(
        "SELECT (SELECT count(*) FROM tickets WHERE holder_id = '{kim}') \
         + (SELECT count(*) FROM user_event WHERE user_id = '{kim}') \
         + (SELECT count(*) FROM waiting_list WHERE user_id = '{kim}') \
         + (SELECT count(*) FROM reservations WHERE user_id = '{kim}') AS number",
        kim = kim.user_id
    );
    assert_eq!(house.number(&left).await, 0);
    // The ticket still opens the door for its order.
    let kept = "SELECT count(*) AS number FROM tickets t JOIN reservations r ON r.id = t.reservation_id \
                AND r.user_id = t.holder_id WHERE r.status = 'confirmed'";
    assert_eq!(house.number(kept).await, 1);
}
