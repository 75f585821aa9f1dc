//! What organizers may not ask for, field by field.

use domain::principal::Role;
use serde_json::{Value, json};
use testkit::Answer;

use crate::{
    admin::{concert, hall},
    house::House,
};

/// Sets what a pointer names, also where nothing was; `null` for nothing takes a key away.
fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = body.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        other => other[key] = value,
    }
    body
}

fn pointers(answer: Answer) -> Vec<String> {
    let answer = answer.assert_problem(422, "invalid");
    let errors = answer.json["errors"].as_array().unwrap();
    errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_field_of_an_event_is_named() {
    let house = House::open().await;
    let kim = house.app.as_role(Role::Organizer);
    let event = kim.post("/api/v1/admin/events", concert()).await.assert_status(201);
    let own = format!("/api/v1/admin/events/{}", event.text("/event/id"));
    let long = |n: usize| json!("가".repeat(n));
    for (pointer, value) in [
        ("/title", json!("")),
        ("/title", json!(" \n ")),
        ("/title", long(201)),
        ("/title", json!("두\n줄")),
        ("/title", json!("a\u{0}b")),
        ("/venue", json!("  ")),
        ("/venue", long(201)),
        ("/description", long(5_001)),
        ("/description", json!("a\u{0}b")),
        ("/address", long(301)),
        ("/artistName", long(201)),
        ("/eventDate", json!("soon")),
        ("/eventDate", json!("2026-12-25")),
        ("/eventDate", json!("1026-12-25T18:00")),
        ("/saleStartDate", json!("2026-02-30T00:00")),
        ("/saleStartDate", json!("")),
        ("/saleEndDate", json!("2019-01-01T00:00")),
        ("/posterImageUrl", json!("javascript:alert(1)")),
        ("/posterImageUrl", json!("data:text/html,x")),
        ("/posterImageUrl", json!("//cdn.example.com/a.png")),
    ] {
        let refused = kim.post("/api/v1/admin/events", with(concert(), pointer, value.clone())).await;
        assert_eq!(pointers(refused), [pointer], "{value}");
        let key = pointer.trim_start_matches('/');
        assert_eq!(pointers(kim.put(&own, json!({ key: value.clone() })).await), [pointer], "{value}");
    }
    let late = with(concert(), "/saleStartDate", json!("2099-12-25T18:00"));
    let refused = kim.post("/api/v1/admin/events", late).await;
    assert_eq!(pointers(refused), ["/saleEndDate", "/saleStartDate"]);
    assert_eq!(house.number("SELECT count(*) AS number FROM events").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_field_of_a_ticket_type_is_named() {
    let house = House::open().await;
    let kim = house.app.as_role(Role::Organizer);
    let event = kim.post("/api/v1/admin/events", concert()).await.assert_status(201);
    let tickets = format!("/api/v1/admin/events/{}/tickets", event.text("/event/id"));
    let own = format!("/api/v1/admin/tickets/{}", event.text("/ticketTypes/0/id"));
    let vip = json!({"name": "VIP", "price": 1, "totalQuantity": 1});
    for (pointer, value) in [
        ("/name", json!("")),
        ("/name", json!("가".repeat(51))),
        ("/price", json!(-1)),
        ("/price", json!(1.5)),
        ("/price", json!(100_000_001)),
        ("/price", json!(1e300)),
        ("/totalQuantity", json!(-1)),
        ("/totalQuantity", json!(1_000_001)),
        ("/totalQuantity", json!(u64::MAX)),
        ("/totalQuantity", json!(0.1)),
        ("/description", json!("가".repeat(5_001))),
    ] {
        assert_eq!(pointers(kim.post(&tickets, with(vip.clone(), pointer, value.clone())).await), [pointer], "{value}");
        let key = pointer.trim_start_matches('/');
        assert_eq!(pointers(kim.put(&own, json!({ key: value.clone() })).await), [pointer], "{value}");
        let inside = format!("/ticketTypes/0{pointer}");
        let refused = kim.post("/api/v1/admin/events", with(concert(), &inside, value.clone())).await;
        assert_eq!(pointers(refused), [inside], "{value}");
    }
    let twice = with(concert(), "/ticketTypes/1/name", json!("R석"));
    assert_eq!(pointers(kim.post("/api/v1/admin/events", twice).await), ["/ticketTypes/1/name"]);
    let many: Vec<_> = (0..51).map(|n| json!({"name": n.to_string(), "price": 1, "totalQuantity": 1})).collect();
    let refused = kim.post("/api/v1/admin/events", with(concert(), "/ticketTypes", json!(many[..]))).await;
    assert_eq!(pointers(refused), ["/ticketTypes"]);
    let full = with(concert(), "/ticketTypes", json!(many[..50]));
    let full = kim.post("/api/v1/admin/events", full).await.assert_status(201);
    let tickets = format!("/api/v1/admin/events/{}/tickets", full.text("/event/id"));
    kim.post(&tickets, vip).await.assert_problem(409, "too_many_ticket_types");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layout_that_no_hall_can_have_is_refused_before_a_seat_is_made() {
    let house = House::open().await;
    let kim = house.app.as_role(Role::Organizer);
    let (sections, first) = ("/layoutConfig/sections", "/layoutConfig/sections/0");
    let wide = |name: &str| json!({"name": name, "rows": 500, "seatsPerRow": 40, "price": 1});
    for (pointer, value, named) in [
        ("/name", json!(""), "/name".to_owned()),
        ("/name", json!("가".repeat(201)), "/name".to_owned()),
        (sections, json!([]), sections.to_owned()),
        (sections, json!(vec![wide("A"); 101]), sections.to_owned()),
        (sections, json!([wide("A"), wide("B")]), sections.to_owned()),
        (&format!("{first}/name"), json!("B"), format!("{sections}/1/name")),
        (&format!("{first}/rows"), json!(0), format!("{first}/rows")),
        (&format!("{first}/rows"), json!(1_000_000), format!("{first}/rows")),
        (&format!("{first}/rows"), json!(1e12), format!("{first}/rows")),
        (&format!("{first}/seatsPerRow"), json!(-5), format!("{first}/seatsPerRow")),
        (&format!("{first}/seatsPerRow"), json!(501), format!("{first}/seatsPerRow")),
        (&format!("{first}/price"), json!(-1), format!("{first}/price")),
        (&format!("{first}/startRow"), json!(0), format!("{first}/startRow")),
        (&format!("{first}/startRow"), json!(i64::MAX), format!("{first}/startRow")),
    ] {
        let refused = kim.post("/api/v1/admin/layouts", with(hall(), pointer, value.clone())).await;
        assert_eq!(pointers(refused), [named], "{pointer} {value}");
    }
    assert_eq!(house.number("SELECT count(*) AS number FROM seat_layouts").await, 0);
    let largest = with(hall(), sections, json!([wide("A")]));
    let largest = kim.post("/api/v1/admin/layouts", largest).await.assert_status(201);
    let event = with(concert(), "/seatLayoutId", largest.json["layout"]["id"].clone());
    let event = kim.post("/api/v1/admin/events", event).await.assert_status(201);
    assert_eq!(house.number("SELECT count(*) AS number FROM seats").await, 20_000);
    kim.delete(&format!("/api/v1/admin/events/{}", event.text("/event/id"))).await.assert_status(200);
    assert_eq!(house.number("SELECT count(*) AS number FROM seats").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_another_shape_is_400() {
    let house = House::open().await;
    let kim = house.app.as_role(Role::Organizer);
    for (path, body) in [
        ("/api/v1/admin/events", json!({})),
        ("/api/v1/admin/events", with(concert(), "/title", json!(7))),
        ("/api/v1/admin/events", with(concert(), "/eventDate", json!(1_800_000_000))),
        ("/api/v1/admin/events", with(concert(), "/seatLayoutId", json!("seven"))),
        ("/api/v1/admin/events", with(concert(), "/ticketTypes", json!({}))),
        ("/api/v1/admin/events", with(concert(), "/ticketTypes/0/price", json!("150000"))),
        ("/api/v1/admin/events", with(concert(), "/organizerId", json!("me"))),
        ("/api/v1/admin/events", with(concert(), "/artist_name", json!("twice"))),
        ("/api/v1/admin/layouts", json!({"name": "홀"})),
        ("/api/v1/admin/layouts", with(hall(), "/layoutConfig/rows", json!(3))),
        ("/api/v1/admin/layouts", with(hall(), "/layoutConfig/sections/0/rows", json!("2"))),
    ] {
        kim.post(path, body.clone()).await.assert_problem(400, "malformed");
    }
    // What forms send for what nobody has filled in.
    let mut empty = concert();
    for key in ["description", "address", "artistName", "posterImageUrl", "seatLayoutId"] {
        empty[key] = json!("");
    }
    let made = kim.post("/api/v1/admin/events", empty).await.assert_status(201).json;
    for key in ["description", "address", "artist_name", "poster_image_url", "seat_layout_id"] {
        assert_eq!(made["event"][key], json!(null), "{key}");
    }
    let unknown = with(concert(), "/seatLayoutId", json!("01900000-0000-7000-8000-000000000777"));
    kim.post("/api/v1/admin/events", unknown).await.assert_problem(404, "layout_not_found");
    let nil = uuid::Uuid::nil();
    for (path, code) in [
        (format!("/api/v1/admin/events/{nil}"), "event_not_found"),
        (format!("/api/v1/admin/tickets/{nil}"), "ticket_type_not_found"),
        ("/api/v1/admin/events/seven".to_owned(), "not_found"),
    ] {
        kim.put(&path, json!({})).await.assert_problem(404, code);
    }
    kim.get("/api/v1/admin/events").await.assert_problem(405, "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_speak_the_callers_language() {
    let house = House::open().await;
    let kim = house.app.as_role(Role::Organizer);
    let english = [("accept-language", "en")];
    let refused = kim.post_with("/api/v1/admin/layouts", with(hall(), "/name", json!("")), &english).await;
    assert_eq!(refused.text("/errors/0/detail"), "This cannot be empty.");
    let made = kim.post_with("/api/v1/admin/events", concert(), &english).await.assert_status(201);
    assert_eq!(made.text("/message"), "The event is there.");
}
