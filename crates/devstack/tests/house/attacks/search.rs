//! Searches and other queries.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{House, hostile::TEXTS, operations::entries, ownership, things::method};
use crate::database;

/// Longest that a query may take, whatever stands in it: far more than any needs, far less than a pattern that backtracks.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn attack_42_no_query_parameter_reaches_the_database_as_code(house: &House) {
    let table = entries(&house.kims);
    let mut asked = 0;
    for operation in house.api.operations() {
        let Some(entry) = table.iter().find(|entry| entry.name == operation.name) else { continue };
        let (path, given) = entry.target.split_once('?').unwrap_or((&entry.target, ""));
        for parameter in operation.parameters("query") {
            for text in TEXTS {
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                let others = url::form_urlencoded::parse(given.as_bytes()).filter(|(name, _)| *name != parameter);
                let query = query.extend_pairs(others).append_pair(&parameter, text).finish();
                let (told, begun) = (format!("{}?{query}", operation.name), Instant::now());
                let caller = house.caller(entry, &house.kim);
                let answer = caller.send(caller.request(method(entry.method()), &format!("{path}?{query}"))).await;
                assert!(begun.elapsed() < PATIENCE, "{told} took {:?}", begun.elapsed());
                answer.sound(&told);
                assert!(matches!(answer.status, 200 | 400 | 404 | 422), "{told}: {}", answer.json);
                asked += 1;
            }
        }
    }
    assert!(asked > 200, "only {asked} queries were tried");
    // Nothing was dropped, and nothing changed hands.
    let list = table.iter().find(|entry| entry.name == "GET /memo/list").expect("it is in the table");
    let mine = ownership::call(&house.kim, list).await.ok(200).json.to_string();
    assert!(mine.contains(&house.kims.said) && !mine.contains(&house.lees.said), "{mine}");
}

/// What stands for anything in a pattern stands for itself in a search.
pub(super) async fn attack_42_what_is_searched_for_is_text_and_never_a_pattern(house: &House) {
    let titles =
        ["attack 100% wood", "attack 100x wood", "attack a_b", "attack axb", "attack back\\slash", "attack [a-z]*"];
    put_on_sale(house, &titles).await;
    let found_by = [
        ("100%", vec![titles[0]]),
        ("100_ wood", vec![]),
        ("k a_b", vec![titles[2]]),
        ("a%b", vec![]),
        ("back\\", vec![titles[4]]),
        ("\\%", vec![]),
        ("[a-z]*", vec![titles[5]]),
        (".*attack", vec![]),
        // Words are looked for one by one, in any order.
        ("WOOD attack", vec![titles[0], titles[1]]),
        ("ATTACK A_", vec![titles[2]]),
        ("' OR true --", vec![]),
    ];
    for (text, expected) in found_by {
        let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("q", text).finish();
        let answer = house.kim.get(&format!("/api/v1/events?limit=100&{query}")).await.ok(200);
        let events = answer.json["events"].as_array().expect("events");
        let mut found: Vec<_> = events.iter().filter_map(|event| event["title"].as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, expected, "search for {text:?}");
    }
    let sorted = house.kim.get("/api/v1/sessions?sort=title;select&order=asc").await.problem(422, "invalid");
    assert_eq!(sorted.json["errors"][0]["pointer"], json!("?sort"));
}

/// Writes events into the database: all at once, and of nobody.
async fn put_on_sale(house: &House, titles: &[&str]) {
    let client = database::of_service(&house.stack, "ticketing").await.expect("a database");
    for title in titles {
        let event = "INSERT INTO events (id, organizer_id, title, venue, event_date, sale_start_date, sale_end_date) \
                     VALUES (gen_random_uuid(), gen_random_uuid(), $1, '마루홀', now() + interval '90 days', \
                     now() - interval '1 day', now() + interval '80 days')";
        client.execute(event, &[title]).await.expect("an event");
    }
}
