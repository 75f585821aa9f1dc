//! Fields that nobody may set.

use serde_json::{Value, json};

use super::{
    House,
    operations::{ELSEWHERE, entries},
    ownership::{call, request},
};

/// What is decided by the house, with what an attacker would like it to be.
fn coveted(house: &House) -> [(&'static str, Value); 11] {
    [
        ("id", json!("01900000-0000-7000-8000-00000000dead")),
        ("user_id", json!(house.lee.id)),
        ("owner_id", json!(house.lee.id)),
        ("role", json!("admin")),
        ("is_admin", json!(true)),
        ("price", json!(1)),
        ("status", json!("confirmed")),
        ("created_at", json!("2020-01-01T00:00:00Z")),
        ("email_verified", json!(true)),
        ("provider", json!("google")),
        ("__proto__", json!({ "role": "admin" })),
    ]
}

/// Those of them that a client of the documents sends, and the status that one gets which is not true.
const LEGITIMATE: [(&str, &str, u16); 9] = [
    // Nobody but the caller.
    ("POST /emotion/sessions", "user_id", 403),
    // There are four, and none of them is bought.
    ("PUT /api/v1/sessions/{id}", "status", 422),
    // Old clients send them; every focus session begins as pending, by the server's clock.
    ("POST /session", "status", 201),
    ("POST /session", "created_at", 201),
    // Organizers set it; there is a ticket type of that name already.
    ("POST /api/v1/admin/events/{event_id}/tickets", "price", 409),
    ("PUT /api/v1/admin/tickets/{ticket_type_id}", "price", 200),
    // What it is there for.
    ("PATCH /api/v1/admin/reservations/{reservation_id}/status", "status", 200),
    // No such thing.
    ("PUT /session/{id}", "status", 422),
    ("PUT /session/{id}/status", "status", 422),
];

/// What another house writes, which adds fields as it likes: only the number of an order is read, and not believed.
pub(super) const WRITTEN_ELSEWHERE: &str = "POST /api/v1/payments/webhooks/toss";

/// Every JSON body of the document refuses every field that is not documented, and tells which; of those that are, each
/// is known here together with what becomes of a lie.
pub(super) async fn attack_25_no_field_that_is_not_documented_is_taken(house: &House) {
    let before = house.kim.get("/user/me").await.ok(200).json;
    let table = entries(&house.kims);
    for operation in house.api.operations() {
        let Some(documented) = house.api.fields(&operation) else { continue };
        let name = &operation.name;
        if ELSEWHERE.contains(&name.as_str()) {
            continue;
        }
        let entry = table.iter().find(|entry| entry.name == *name);
        let body = entry.and_then(|entry| entry.body.clone());
        let (Some(entry), Some(body)) = (entry, body) else { panic!("{name} has no body in attacks/operations.rs") };
        for (field, value) in coveted(house) {
            let mut forged = body.clone();
            forged[field] = value;
            let caller = house.caller(entry, &house.kim);
            let answer = caller.send(request(caller, entry).json(&forged)).await;
            answer.sound(name);
            if name == WRITTEN_ELSEWHERE {
                assert_eq!((answer.status, answer.json), (200, json!({})), "{forged}");
                continue;
            }
            let known = LEGITIMATE.iter().find(|known| known.0 == name && known.1 == field);
            if documented.contains(field) {
                let (_, _, status) = known.unwrap_or_else(|| panic!("{name} takes `{field}`: is that meant?"));
                assert_eq!(answer.status, *status, "{name} with {forged}: {}", answer.json);
                continue;
            }
            let reason = answer.json["reason"].as_str().unwrap_or_default();
            let is_named = reason.starts_with(&format!("unknown field `{field}`"));
            // Bodies that are read by hand name it among what is invalid.
            let pointer = format!("/{field}");
            let is_listed = |error: &Value| error["pointer"] == *pointer && error["code"] == "unknown";
            let listed = answer.json["errors"].as_array().is_some_and(|errors| errors.iter().any(is_listed));
            let is_refused = (answer.status == 400 && is_named) || (answer.status == 422 && listed);
            assert!(is_refused, "{name} with {forged}: {} {}", answer.status, answer.json);
        }
    }
    assert_eq!(house.kim.get("/user/me").await.ok(200).json, before);
    place_of_a_step_is_decided_here(house).await;
}

/// `step_order` is sent by old clients, and means nothing.
async fn place_of_a_step_is_decided_here(house: &House) {
    let table = entries(&house.lees);
    let said = table.iter().find(|entry| entry.name == "POST /emotion/steps/generate").expect("it is in the table");
    let mut body = said.body.clone().expect("it has a body");
    body["step_order"] = json!(700);
    let step = house.lee.send(request(&house.lee, said).json(&body)).await.ok(200);
    // One was said before.
    assert_eq!(step.json["step_order"], 2, "{}", step.json);
    assert_eq!(call(&house.kim, said).await.status, 404);
}
