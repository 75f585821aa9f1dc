//! What is sold in the storm, and a look at it that needs no service.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{database, person::Person, stack::Stack};

/// How many seats there are.
pub(super) const SEATS: usize = 50;
/// How many tickets there are beside them.
pub(super) const TICKETS: i64 = 100;

/// An event on sale.
pub(super) struct Sale {
    pub(super) event: String,
    pub(super) seats: Vec<String>,
    pub(super) ticket_type: String,
}

impl Sale {
    /// Puts an event on as an organizer does.
    pub(super) async fn open(stack: &Stack) -> Self {
        let organizer = stack.demo_person("organizer").await;
        let sections = json!([{ "name": "A", "rows": 5, "seatsPerRow": 10, "price": 50_000 }]);
        let layout = json!({ "name": "storm", "layoutConfig": { "sections": sections } });
        let layout = organizer.post("/api/v1/admin/layouts", layout).await.ok(201).text("/layout/id");
        let event = json!({
            "title": "폭풍 속의 마루", "venue": "마루홀", "eventDate": "2090-12-25T18:00",
            "saleStartDate": "2020-01-01T00:00", "saleEndDate": "2090-12-25T17:00", "seatLayoutId": layout,
            "ticketTypes": [{ "name": "스탠딩", "price": 30_000, "totalQuantity": TICKETS }],
        });
        let made = organizer.post("/api/v1/admin/events", event).await.ok(201);
        let event = made.text("/event/id");
        let map = organizer.get(&format!("/api/v1/seats/events/{event}")).await.ok(200);
        let seats: Vec<_> = map.json["seats"].as_array().expect("seats").iter().map(id).collect();
        assert_eq!(seats.len(), SEATS);
        Self { event, seats, ticket_type: made.text("/ticketTypes/0/id") }
    }
}

fn id(value: &Value) -> String {
    value["id"].as_str().expect("an id").to_owned()
}

/// Reads one number; nothing while there is no database.
pub(super) async fn number(stack: &Stack, query: &str) -> Option<i64> {
    database::number(stack, "ticketing", query).await
}

/// A reservation as the database has it.
pub(super) struct Kept {
    pub(super) user: String,
    pub(super) status: String,
}

/// Reads all reservations of an event.
pub(super) async fn reservations(stack: &Stack, event: &str) -> BTreeMap<String, Kept> {
    let query = format!("SELECT id::text, user_id::text, status FROM reservations WHERE event_id = '{event}'");
    let client = database::of_service(stack, "ticketing").await.expect("a database");
    let rows = client.query(&query, &[]).await.expect("reservations");
    rows.iter().map(|row| (row.get(0), Kept { user: row.get(1), status: row.get(2) })).collect()
}

/// Counts the seats of each status as everybody sees them.
pub(super) async fn seats_by_status(person: &Person, event: &str) -> BTreeMap<String, usize> {
    let map = person.try_send(Method::GET, &format!("/api/v1/seats/events/{event}"), None).await.expect("an answer");
    let mut counts = BTreeMap::new();
    for seat in map.ok(200).json["seats"].as_array().expect("seats") {
        *counts.entry(seat["status"].as_str().expect("a status").to_owned()).or_default() += 1;
    }
    counts
}
