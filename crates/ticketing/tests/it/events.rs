//! Looking at what is on sale.

use domain::ids::EventId;
use serde_json::{Value, json};

use crate::house::{House, ON_SALE, reserve};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn titles(page: &Value) -> Vec<&str> {
    page["events"].as_array().unwrap().iter().map(|event| event["title"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_has_the_documents_shape() {
    let house = House::open().await;
    let (event, _seats) = house.seated_event(2).await;
    house.ticket_type(event, "VIP", 150_000, 10).await;
    house.ticket_type(event, "R석", 60_000, 10).await;
    let list = house.app.anonymous().get("/api/v1/events").await.assert_status(200).json;
    assert_eq!(keys(&list), ["events", "pagination"]);
    assert_eq!(list["pagination"], json!({"page": 1, "limit": 10, "total": 1, "totalPages": 1}));
    let shown = &list["events"][0];
    for (key, value) in [
        ("id", json!(event)),
        ("title", json!("달빛 재즈")),
        ("artist_name", json!("마루 콰르텟")),
        ("venue", json!("마루홀")),
        ("poster_image_url", json!(null)),
        ("status", json!("on_sale")),
        // The seats cost less than any ticket type.
        ("min_price", json!(50_000)),
        ("max_price", json!(150_000)),
        ("ticket_type_count", json!(2)),
    ] {
        assert_eq!(shown[key], value, "{key}");
    }
    for key in ["event_date", "sale_start_date", "sale_end_date"] {
        assert!(shown[key].as_str().unwrap().ends_with('Z'), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_comes_with_its_ticket_types_the_dearest_first() {
    let house = House::open().await;
    let event = house.event("한강 불빛", ON_SALE).await;
    house.ticket_type(event, "S석", 50_000, 100).await;
    let dear = house.ticket_type(event, "R석", 150_000, 100).await;
    house.sql(&format!("UPDATE ticket_types SET held = 20, sold = 30 WHERE id = '{dear}'")).await;
    let nobody = house.app.anonymous();
    let shown = nobody.get(&format!("/api/v1/events/{event}")).await.assert_status(200).json;
    assert_eq!((&shown["event"]["id"], &shown["event"]["address"]), (&json!(event), &json!("서울 종로구")));
    assert_eq!((&shown["event"]["seat_layout_id"], &shown["event"]["description"]), (&json!(null), &json!(null)));
    let types = json!([
        {"id": dear, "name": "R석", "price": 150_000, "available_quantity": 50, "total_quantity": 100,
         "description": null},
        {"id": shown["ticketTypes"][1]["id"], "name": "S석", "price": 50_000, "available_quantity": 100,
         "total_quantity": 100, "description": null}
    ]);
    assert_eq!(shown["ticketTypes"], types);
    let listed = nobody.get(&format!("/api/tickets/event/{event}")).await.assert_status(200).json;
    assert_eq!(listed, json!({"ticketTypes": types}));
    let left = nobody.get(&format!("/api/v1/tickets/availability/{dear}")).await.assert_status(200).json;
    assert_eq!(left, json!({"available_quantity": 50, "total_quantity": 100}));
    let empty = house.event("아직", ON_SALE).await;
    let listed = nobody.get(&format!("/api/v1/tickets/event/{empty}")).await.assert_status(200).json;
    assert_eq!(listed, json!({"ticketTypes": []}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hall_shows_its_layout_and_every_seat() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(3).await;
    let buyer = house.app.as_user();
    reserve(&buyer, event, &seats[..2]).await.assert_status(201);
    house.sql(&format!("UPDATE seats SET held_until = clock_timestamp() WHERE id = '{}'", seats[1])).await;
    let path = format!("/api/v1/seats/events/{event}");
    let hall = house.app.anonymous().get(&path).await.assert_status(200).json;
    assert_eq!(hall["event"], json!({"id": event, "title": "달빛 재즈"}));
    let section = json!({"name": "A", "rows": 1, "seatsPerRow": 3, "price": 50_000, "startRow": 1});
    assert_eq!(hall["layout"], json!({"rows": 1, "cols": 3, "sections": [section]}));
    let seat = |n: usize, status: &str| {
        json!({
            "id": seats[n], "section": "A", "row_number": 1, "seat_number": n + 1, "seat_label": format!("A-{}", n + 1),
            "price": 50_000, "status": status
        })
    };
    // The hold of the second has ended, though nobody has swept.
    assert_eq!(hall["seats"], json!([seat(0, "locked"), seat(1, "available"), seat(2, "available")]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_found_by_status_and_by_text() {
    let house = House::open().await;
    house.event("마루 100% 재즈", ["-3 hours", "1 day", "2 days"]).await;
    house.event("Seoul Jazz_Night", ["-2 hours", "1 day", "2 days"]).await;
    house.event("내일의 합창", ["1 hour", "1 day", "2 days"]).await;
    let gone = house.event("어제의 합창", ["-2 days", "-1 day", "2 days"]).await;
    let sold = house.event("다 팔린 밤", ["-1 hour", "1 day", "2 days"]).await;
    house.ticket_type(sold, "R석", 1_000, 2).await;
    house.sql("UPDATE ticket_types SET sold = 2").await;
    house.sql(&format!("UPDATE events SET venue = '부산', artist_name = NULL WHERE id = '{gone}'")).await;
    let nobody = house.app.anonymous();
    for (query, found) in [
        ("", vec!["어제의 합창", "마루 100% 재즈", "Seoul Jazz_Night", "다 팔린 밤", "내일의 합창"]),
        ("status=on_sale", vec!["마루 100% 재즈", "Seoul Jazz_Night"]),
        ("status=upcoming&q=", vec!["내일의 합창"]),
        ("status=sold_out", vec!["다 팔린 밤"]),
        ("status=ended", vec!["어제의 합창"]),
        ("status=cancelled", vec![]),
        ("status=&q=jazz", vec!["Seoul Jazz_Night"]),
        ("q=합창", vec!["어제의 합창", "내일의 합창"]),
        ("q=부산", vec!["어제의 합창"]),
        ("q=콰르텟&status=upcoming", vec!["내일의 합창"]),
        // Characters of a search are characters, not a pattern.
        ("q=%25", vec!["마루 100% 재즈"]),
        ("q=z_N", vec!["Seoul Jazz_Night"]),
        ("q=%5C", vec![]),
        ("q='%20OR%201=1--", vec![]),
    ] {
        let page = nobody.get(&format!("/api/v1/events?{query}")).await.assert_status(200).json;
        assert_eq!(titles(&page), found, "{query}");
        assert_eq!(page["pagination"]["total"], found.len(), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_sold_out_when_every_seat_is_sold_and_not_while_some_are_only_held() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(1).await;
    reserve(&house.app.as_user(), event, &seats).await.assert_status(201);
    let path = format!("/api/v1/events/{event}");
    let nobody = house.app.anonymous();
    assert_eq!(nobody.get(&path).await.text("/event/status"), "on_sale");
    house.sql("UPDATE seats SET status = 'reserved', held_until = NULL").await;
    // Nobody was told, so it may take the life of a kept answer.
    let is_sold_out = || async { nobody.get(&path).await.text("/event/status") == "sold_out" };
    testkit::eventually(crate::line::SOON, is_sold_out).await;
    reserve(&house.app.as_user(), event, &seats).await.assert_problem(409, "seat_taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_follow_each_other_without_a_gap() {
    let house = House::open().await;
    for n in 0..5 {
        // The same start for all: the id decides, so that no page repeats another's event.
        house.event(&format!("{n}"), ["-1 hour", "1 day", "2 days"]).await;
    }
    house.sql("UPDATE events SET sale_start_date = date_trunc('day', now()) - interval '1 day'").await;
    let nobody = house.app.anonymous();
    let mut seen: Vec<EventId> = Vec::new();
    for (path, page, on_page) in
        [("/api/v1/events", 1, 2), ("/api/v1/events/", 2, 2), ("/api/events", 3, 1), ("/api/events/", 4, 0)]
    {
        let answer = nobody.get(&format!("{path}?page={page}&limit=2")).await.assert_status(200).json;
        assert_eq!(answer["pagination"], json!({"page": page, "limit": 2, "total": 5, "totalPages": 3}));
        let events = answer["events"].as_array().unwrap();
        assert_eq!(events.len(), on_page);
        seen.extend(events.iter().map(|event| crate::house::id::<EventId>(&event["id"])));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_cannot_be_is_refused() {
    let house = House::open().await;
    let nobody = house.app.anonymous();
    let long = format!("q={}", "가".repeat(101));
    for query in
        ["status=open", "page=0", "page=-1", "page=9223372036854775807", "limit=0", "limit=101", "q=a%00b", &long]
    {
        nobody.get(&format!("/api/v1/events?{query}")).await.assert_problem(422, "invalid");
    }
    for query in ["page=one", "limit=1.5", "page=99999999999999999999"] {
        nobody.get(&format!("/api/v1/events?{query}")).await.assert_problem(400, "malformed");
    }
    let none = nobody.get("/api/v1/events").await.assert_status(200).json;
    assert_eq!(none, json!({"events": [], "pagination": {"page": 1, "limit": 10, "total": 0, "totalPages": 0}}));
}
