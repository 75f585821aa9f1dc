//! What is kept of the catalogue, and how soon a change is seen on every replica.

use std::time::{Duration, Instant};

use domain::principal::Role;
use serde_json::json;
use testkit::{TestApp, eventually};

use crate::{
    admin::concert,
    house::{House, ON_SALE, id},
    line::SOON,
};

/// Below the life of a kept answer: what is seen by then was told.
const TOLD: Duration = Duration::from_millis(800);
/// What the catalogue promises, and a little for the requests of the test. A busy machine may break it for once, not in
/// every round.
const PROMISED: Duration = Duration::from_millis(1_150);

async fn title(app: &TestApp, event: &str) -> String {
    app.anonymous().get(&format!("/api/v1/events/{event}")).await.text("/event/title").to_owned()
}

async fn listed(app: &TestApp) -> Vec<String> {
    let list = app.anonymous().get("/api/v1/events").await.assert_status(200).json;
    list["events"].as_array().unwrap().iter().map(|event| event["title"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_seen_at_once_where_it_was_made_and_soon_on_every_replica() {
    let house = House::open().await;
    let other = house.replica();
    let kim = house.app.as_role(Role::Organizer);
    let event = kim.post("/api/v1/admin/events", concert()).await.text("/event/id").to_owned();
    let path = format!("/api/v1/admin/events/{event}");
    let mut in_time = 0;
    for round in 0..5 {
        let new = format!("밤 {round}");
        // Kept by both.
        for app in [&house.app, &other] {
            title(app, &event).await;
            listed(app).await;
        }
        let changed = Instant::now();
        kim.put(&path, json!({ "title": new })).await.assert_status(200);
        assert_eq!(title(&house.app, &event).await, new);
        assert_eq!(listed(&house.app).await, std::slice::from_ref(&new));
        eventually(SOON, || async { title(&other, &event).await == new && listed(&other).await == [new.clone()] })
            .await;
        in_time += u32::from(changed.elapsed() < TOLD);
    }
    assert!(in_time > 0, "nothing was told in any round");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_gone_is_gone_everywhere() {
    let house = House::open().await;
    let other = house.replica();
    let kim = house.app.as_role(Role::Organizer);
    let event = kim.post("/api/v1/admin/events", concert()).await.text("/event/id").to_owned();
    for app in [&house.app, &other] {
        eventually(SOON, || async { listed(app).await.len() == 1 }).await;
    }
    kim.delete(&format!("/api/v1/admin/events/{event}")).await.assert_status(200);
    assert!(listed(&house.app).await.is_empty());
    house.app.anonymous().get(&format!("/api/v1/events/{event}")).await.assert_problem(404, "event_not_found");
    eventually(SOON, || async {
        let shown = other.anonymous().get(&format!("/api/v1/events/{event}")).await;
        shown.status == 404 && listed(&other).await.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_nobody_tells_of_is_seen_within_a_second() {
    let house = House::open().await;
    let other = house.replica();
    let event = house.event("옛 밤", ON_SALE).await;
    let mut in_time = 0;
    for round in 0..5 {
        for app in [&house.app, &other] {
            listed(app).await;
        }
        let new = format!("밤 {round}");
        house.sql(&format!("UPDATE events SET title = '{new}' WHERE id = '{event}'")).await;
        let committed = Instant::now();
        eventually(SOON, || async {
            listed(&house.app).await == [new.clone()] && listed(&other).await == [new.clone()]
        })
        .await;
        in_time += u32::from(committed.elapsed() < PROMISED);
    }
    assert!(in_time > 0, "no change was seen within a second");
    house.sql("DELETE FROM events").await;
    eventually(SOON, || async { listed(&house.app).await.is_empty() && listed(&other).await.is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_that_moves_is_seen_soon_on_every_replica() {
    let house = House::open().await;
    let other = house.replica();
    let event = house.event("마루의 밤", ON_SALE).await;
    let ticket_type = house.ticket_type(event, "R석", 1_000, 10).await;
    let paths = [
        (format!("/api/v1/tickets/availability/{ticket_type}"), "/available_quantity"),
        (format!("/api/v1/events/{event}"), "/ticketTypes/0/available_quantity"),
        (format!("/api/v1/tickets/event/{event}"), "/ticketTypes/0/available_quantity"),
    ];
    for held in 1..4 {
        for (path, _) in &paths {
            other.anonymous().get(path).await.assert_status(200);
        }
        house
            .sql(&format!(
                "UPDATE ticket_types SET held = {held} WHERE id = '{ticket_type}'; \
                 INSERT INTO outbox (id, topic, payload) VALUES (gen_random_uuid(), 'notice', jsonb_build_object( \
                 'kind', 'tickets', 'event_id', '{event}', 'ticket_type_id', '{ticket_type}', \
                 'available_quantity', {left}, 'total_quantity', 10, 'version', {held}))",
                left = 10 - held
            ))
            .await;
        for (path, pointer) in &paths {
            // The relay looks every half second where it is not woken.
            let is_seen = || async {
                let shown = other.anonymous().get(path).await.json;
                shown.pointer(pointer) == Some(&json!(10 - held))
            };
            eventually(SOON, is_seen).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sale_opens_for_those_who_look_on() {
    let house = House::open().await;
    let event = house.event("곧", ["1500 milliseconds", "1 day", "2 days"]).await;
    let path = format!("/api/v1/events/{event}");
    let nobody = house.app.anonymous();
    let open = "SELECT count(*) AS number FROM events WHERE sale_start_date <= now()";
    while house.number(open).await == 0 {
        let status = nobody.get(&path).await.text("/event/status").to_owned();
        assert!(status == "upcoming" || house.number(open).await == 1, "{status}");
    }
    eventually(SOON, || async { nobody.get(&path).await.text("/event/status") == "on_sale" }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_and_searches_are_kept_apart() {
    let house = House::open().await;
    for title in ["하나", "둘", "셋"] {
        house.event(title, ON_SALE).await;
    }
    let nobody = house.app.anonymous();
    for _ in 0..2 {
        for (query, count) in
            [("", 3), ("limit=1", 1), ("limit=2", 2), ("limit=2&page=2", 1), ("q=하나", 1), ("q=둘&limit=2", 1)]
        {
            let list = nobody.get(&format!("/api/v1/events?{query}")).await.assert_status(200);
            assert_eq!(list.header("content-type"), "application/json");
            assert_eq!(list.json["events"].as_array().unwrap().len(), count, "{query}");
        }
    }
    let first = &nobody.get("/api/v1/events").await.json["events"][0];
    let _: domain::ids::EventId = id(&first["id"]);
}
