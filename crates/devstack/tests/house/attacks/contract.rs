//! What cannot be bought, asked for through the gateway: each refusal says what is wrong, and nothing has moved.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;

use super::House;
use crate::person::{Answer, Person};

/// Numbers that are none of tickets.
fn no_quantities() -> [Value; 7] {
    [json!(0), json!(-1), json!(1.5), json!(11), json!(i64::MAX), json!(u64::MAX), json!(1e300)]
}

pub(super) async fn attack_49_what_cannot_be_bought_is_refused_and_moves_nothing(house: &House) {
    let buyer = Person::register(house.stack.gateway(), "hong@example.com").await;
    let (things, unknown) = (&house.kims, house.kims.unknown());
    let (event, stage) = (&things.event, &things.stage);
    let map = buyer.get(&format!("/api/v1/seats/events/{event}")).await.ok(200);
    let free = map.json["seats"].as_array().expect("seats").iter().filter(|seat| seat["status"] == "available");
    let seats: Vec<_> = free.filter_map(|seat| seat["id"].as_str()).take(5).collect();
    let [first, second, ..] = seats[..] else { panic!("two seats are free") };

    let reserve =
        async |seats: &[&str]| buyer.post("/api/v1/seats/reserve", json!({ "eventId": event, "seatIds": seats })).await;
    assert_eq!(pointer(reserve(&[]).await), "/seatIds");
    assert_eq!(pointer(reserve(&seats).await), "/seatIds");
    assert_eq!(pointer(reserve(&[first, second, first]).await), "/seatIds/2");
    reserve(&[&unknown.reservation]).await.problem(404, "seat_not_found");
    // One that is there does not carry one that is not.
    reserve(&[first, &unknown.reservation]).await.problem(404, "seat_not_found");
    let elsewhere = json!({ "eventId": stage, "seatIds": [first] });
    buyer.post("/api/v1/seats/reserve", elsewhere).await.problem(404, "seat_not_found");

    let order = async |event: &str, kind: &str, quantity: &Value| {
        let items = json!([{ "ticketTypeId": kind, "quantity": quantity }]);
        buyer.post("/api/v1/reservations", json!({ "eventId": event, "items": items })).await
    };
    for quantity in no_quantities() {
        assert_eq!(pointer(order(stage, &things.stage_type, &quantity).await), "/items/0/quantity", "{quantity}");
        let best = json!({ "eventId": event, "quantity": quantity });
        assert_eq!(pointer(buyer.post("/api/v1/seats/best", best).await), "/quantity", "{quantity}");
        let wait = json!({ "eventId": stage, "ticketTypeId": things.stage_type, "quantity": quantity });
        assert_eq!(pointer(buyer.post("/api/v1/reservations/waiting-list", wait).await), "/quantity", "{quantity}");
    }
    let one = json!(1);
    order(&unknown.stage, &things.stage_type, &one).await.problem(404, "event_not_found");
    order(stage, &unknown.stage_type, &one).await.problem(404, "ticket_type_not_found");
    order(stage, &things.ticket_type, &one).await.problem(404, "ticket_type_not_found");
    assert_eq!(buyer.get("/api/v1/reservations/my").await.ok(200).json["reservations"], json!([]));

    a_wrong_sum_is_not_paid(house).await;
    what_is_not_open_is_not_sold(house, &buyer).await;
}

/// Returns where in the request the mistake is.
fn pointer(answer: Answer) -> String {
    answer.problem(422, "invalid").text("/errors/0/pointer")
}

async fn a_wrong_sum_is_not_paid(house: &House) {
    let things = &house.kims;
    for amount in [0, 1, -things.amount, things.amount + 1, i64::MAX] {
        let prepare = json!({ "reservationId": things.order, "amount": amount });
        assert_eq!(pointer(house.kim.post("/api/v1/payments/prepare", prepare).await), "/amount", "{amount}");
        let confirm = json!({ "paymentKey": "consent-to-less", "orderId": things.payment, "amount": amount });
        assert_eq!(pointer(house.kim.post("/api/v1/payments/confirm", confirm).await), "/amount", "{amount}");
    }
    let process = json!({ "reservationId": things.order, "paymentMethod": "a promise" });
    assert_eq!(pointer(house.kim.post("/api/v1/payments/process", process).await), "/paymentMethod");
}

async fn what_is_not_open_is_not_sold(house: &House, buyer: &Person) {
    let organizer = &house.organizer;
    let put_on = async |opens: &str| {
        let event = json!({
            "title": "문 앞", "venue": "마루홀", "eventDate": "2090-12-25T18:00", "saleStartDate": opens,
            "saleEndDate": "2090-12-25T17:00", "ticketTypes": [{ "name": "한 장", "price": 1_000, "totalQuantity": 1 }],
        });
        let made = organizer.post("/api/v1/admin/events", event).await.ok(201);
        (made.text("/event/id"), made.text("/ticketTypes/0/id"))
    };
    let order = async |(event, kind): &(String, String)| {
        let items = json!([{ "ticketTypeId": kind, "quantity": 1 }]);
        buyer.post("/api/v1/reservations", json!({ "eventId": event, "items": items })).await
    };
    let closed = put_on("2090-12-01T00:00").await;
    order(&closed).await.problem(409, "sale_closed");

    let guarded = put_on("2020-01-01T00:00").await;
    let room = async |settings: Value| {
        let path = format!("/api/v1/queue/admin/{}", guarded.0);
        organizer.try_send(reqwest::Method::PUT, &path, Some(settings)).await.expect("an answer")
    };
    room(json!({ "mode": "on", "paused": true })).await.ok(200);
    order(&guarded).await.problem(403, "not_admitted");
    for threshold in [json!(0), json!(-1), json!(1_000_001)] {
        room(json!({ "threshold": threshold })).await.problem(422, "invalid");
    }
    room(json!({ "mode": "off" })).await.ok(200);
    // The other replica hears of it in a moment.
    eventually(Duration::from_secs(5), || async { order(&guarded).await.status == 201 }).await;
}
