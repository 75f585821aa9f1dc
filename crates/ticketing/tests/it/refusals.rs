//! What is refused, and with which words; what the database itself refuses.

use domain::{
    ids::{EventId, SeatId},
    seat_hold::SaleWindow,
};
use serde_json::json;
use ticketing::event::store;
use uuid::Uuid;

use crate::house::{House, ON_SALE, RESERVE, id, reserve, wish};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_may_look_and_not_reserve() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(1).await;
    let nobody = house.app.anonymous();
    let paths = [
        "/api/v1/events".to_owned(),
        format!("/api/v1/events/{event}"),
        format!("/api/v1/tickets/event/{event}"),
        format!("/api/v1/seats/events/{event}"),
    ];
    for path in &paths {
        nobody.get(path).await.assert_status(200);
        house.app.without_token().get(path).await.assert_problem(401, "unauthenticated");
    }
    let refused = reserve(&nobody, event, &seats).await.assert_problem(401, "unauthenticated");
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    let path = format!("/api/v1/seats/reservation/{}", Uuid::nil());
    nobody.get(&path).await.assert_problem(401, "unauthenticated");
    reserve(&house.app.without_token(), event, &seats).await.assert_problem(401, "unauthenticated");
    assert_eq!(house.number("SELECT count(*) AS number FROM reservations").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_that_cannot_be_is_422_and_says_where() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(6).await;
    let buyer = house.app.as_user();
    let pointers = |answer: testkit::Answer| {
        let answer = answer.assert_problem(422, "invalid");
        let errors = answer.json["errors"].as_array().unwrap();
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(pointers(reserve(&buyer, event, &[]).await), ["/seatIds"]);
    assert_eq!(pointers(reserve(&buyer, event, &seats[..5]).await), ["/seatIds"]);
    assert_eq!(pointers(reserve(&buyer, event, &[seats[0], seats[1], seats[0]]).await), ["/seatIds/2"]);
    let bad_key = [("idempotency-key", "a key with spaces")];
    let refused = buyer.post_with(RESERVE, wish(event, &seats[..1]), &bad_key).await;
    assert_eq!(pointers(refused), ["Idempotency-Key"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_cannot_be_read_is_400() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(1).await;
    let buyer = house.app.as_user();
    for body in [
        json!({}),
        json!({"eventId": event}),
        json!({"eventId": "1", "seatIds": seats}),
        json!({"eventId": event, "seatIds": "all"}),
        json!({"eventId": event, "seatIds": [1]}),
        json!({"eventId": event, "seatIds": seats, "price": 0}),
    ] {
        buyer.post(RESERVE, body).await.assert_problem(400, "malformed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_is_404() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(1).await;
    let (_other, foreign) = house.seated_event(1).await;
    let general = house.event("자유석", ON_SALE).await;
    let buyer = house.app.as_user();
    let unknown = EventId(Uuid::from_u128(7));
    reserve(&buyer, unknown, &seats).await.assert_problem(404, "event_not_found");
    reserve(&buyer, event, &[SeatId(Uuid::from_u128(7))]).await.assert_problem(404, "seat_not_found");
    reserve(&buyer, event, &[seats[0], foreign[0]]).await.assert_problem(404, "seat_not_found");
    assert_eq!(house.number("SELECT count(*) AS number FROM seats WHERE status <> 'available'").await, 0);

    for (path, code) in [
        (format!("/api/v1/events/{unknown}"), "event_not_found"),
        ("/api/v1/events/seven".to_owned(), "not_found"),
        (format!("/api/v1/tickets/event/{unknown}"), "event_not_found"),
        (format!("/api/v1/tickets/availability/{unknown}"), "ticket_type_not_found"),
        (format!("/api/v1/seats/events/{unknown}"), "event_not_found"),
        (format!("/api/v1/seats/events/{general}"), "no_seats"),
        (format!("/api/v1/seats/reservation/{unknown}"), "reservation_not_found"),
    ] {
        buyer.get(&path).await.assert_problem(404, code);
    }
    buyer.get(RESERVE).await.assert_problem(405, "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reservation_is_its_owners_alone() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(1).await;
    let kim = house.app.as_user();
    let reservation = reserve(&kim, event, &seats).await.assert_status(201);
    let path = format!("/api/seats/reservation/{}", reservation.text("/reservation/id"));
    house.app.as_user().get(&path).await.assert_problem(404, "reservation_not_found");
    let seen = kim.get(&path).await.assert_status(200).json;
    let seen = &seen["reservation"];
    let kept = &reservation.json["reservation"];
    assert_eq!(seen["id"], kept["id"]);
    assert_eq!(seen["reservation_number"], kept["reservationNumber"]);
    assert_eq!(seen["total_amount"], kept["totalAmount"]);
    assert_eq!(seen["expires_at"], kept["expiresAt"]);
    assert_eq!((&seen["status"], &seen["payment_status"]), (&json!("pending"), &json!("pending")));
    assert_eq!((&seen["payment_method"], &seen["isExpired"]), (&json!(null), &json!(false)));
    assert_eq!(id::<EventId>(&seen["event_id"]), event);
    assert_eq!((&seen["event_title"], &seen["venue"]), (&json!("달빛 재즈"), &json!("마루홀")));
    let seat = json!({
        "seatId": seats[0], "seatLabel": "A-1", "section": "A", "rowNumber": 1, "seatNumber": 1, "price": 50_000
    });
    assert_eq!(seen["seats"], json!([seat]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seats_are_sold_while_the_sale_is_open_and_the_list_says_the_same() {
    let house = House::open().await;
    let buyer = house.app.as_user();
    for (window, status) in [
        (["1 minute", "1 hour", "1 day"], "upcoming"),
        (["-1 minute", "1 hour", "1 day"], "on_sale"),
        (["-1 hour", "-1 minute", "1 day"], "ended"),
        (["-1 day", "1 day", "-1 minute"], "ended"),
    ] {
        for cancelled in [false, true] {
            let event = house.event("창", window).await;
            let seats = house.seats(event, 1).await;
            if cancelled {
                house.sql(&format!("UPDATE events SET cancelled_at = now() WHERE id = '{event}'")).await;
            }
            let status = if cancelled { "cancelled" } else { status };
            let shown = buyer.get(&format!("/api/v1/events/{event}")).await.assert_status(200);
            assert_eq!(shown.json["event"]["status"], status, "{window:?}");
            let (sale, now): (SaleWindow, _) =
                store::find_sale(&mut house.pg.conn().await.unwrap(), event).await.unwrap().unwrap();
            assert_eq!(sale.status(now, false).name(), status, "{window:?}");
            let answer = reserve(&buyer, event, &seats).await;
            if status == "on_sale" {
                answer.assert_status(201);
            } else {
                answer.assert_problem(409, "sale_closed");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_itself_refuses_what_must_never_be() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(2).await;
    let ticket_type = house.ticket_type(event, "R석", 10_000, 10).await;
    reserve(&house.app.as_user(), event, &seats[..1]).await.assert_status(201);
    for statement in [
        // More than there is.
        format!("UPDATE ticket_types SET held = 6, sold = 5 WHERE id = '{ticket_type}'"),
        format!("UPDATE ticket_types SET held = -1 WHERE id = '{ticket_type}'"),
        // A seat that is held by nobody, for ever, or is free and somebody's.
        format!("UPDATE seats SET status = 'locked', held_until = now() WHERE id = '{}'", seats[1]),
        format!("UPDATE seats SET held_until = NULL WHERE id = '{}'", seats[0]),
        format!("UPDATE seats SET status = 'available', held_until = NULL WHERE id = '{}'", seats[0]),
        format!("UPDATE seats SET reservation_id = '{event}' WHERE id = '{}'", seats[0]),
        // The same place twice.
        format!(
            "INSERT INTO seats (id, event_id, section, row_number, seat_number, seat_label, price) \
             SELECT '{event}', event_id, section, row_number, seat_number, seat_label, price FROM seats LIMIT 1"
        ),
        // In without having paid, and a seat after a refund.
        "UPDATE reservations SET status = 'confirmed'".to_owned(),
        "UPDATE reservations SET payment_status = 'refunded'".to_owned(),
        "UPDATE reservations SET status = 'gone'".to_owned(),
    ] {
        assert!(house.refuses(&statement).await, "{statement}");
    }
}
