//! `PUT /api/v1/sessions/{id}`.

use serde_json::{Value, json};

use crate::{SESSIONS, make, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_out_stays_and_what_is_given_is_checked_as_when_it_was_made() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let body = json!({ "title": "마루 발표", "description": "첫 번째", "tags": ["가을"] });
    let made = kim.post(SESSIONS, body).await.assert_status(201);
    let path = format!("{SESSIONS}/{}", made.text("/id"));
    let changed = kim.put(&path, json!({ "title": "  새 제목 " })).await.assert_status(200).json;
    assert_eq!(
        (&changed["title"], &changed["description"], &changed["metadata"]),
        (&json!("새 제목"), &json!("첫 번째"), &json!({ "tags": ["가을"] }))
    );
    assert!(changed["updated_at"].as_str() > made.json["updated_at"].as_str(), "{changed}");
    for kept in ["id", "user_id", "type", "session_code", "created_at", "status", "settings", "qr_code_url"] {
        assert_eq!(changed[kept], made.json[kept], "{kept}");
    }
    assert_eq!(kim.put(&path, json!({})).await.assert_status(200).json, changed);
    assert_eq!(kim.put(&path, json!({ "description": null })).await.json["description"], Value::Null);
    assert_eq!(kim.get(&path).await.json["description"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_laid_over_and_metadata_is_replaced() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = make(&kim).await;
    let body = json!({
        "settings": { "feedback": { "audio": true }, "mine": { "__proto__": { "polluted": true } } },
        "metadata": { "room": "3층" },
    });
    let changed = kim.put(&path, body).await.assert_status(200).json;
    assert_eq!(
        changed["settings"]["feedback"],
        json!({ "enabled": true, "haptic": true, "visual": true, "audio": true })
    );
    assert_eq!(changed["settings"]["presentation_specific"]["timer"]["duration_minutes"], 10);
    assert_eq!(changed["metadata"], json!({ "room": "3층" }));
    let again = kim.put(&path, json!({ "metadata": { "floor": 3 } })).await.json;
    assert_eq!((&again["metadata"], &again["settings"]), (&json!({ "floor": 3 }), &changed["settings"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_invalid_field_is_named_at_once_and_nothing_is_changed() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = make(&kim).await;
    let before = kim.get(&path).await.json;
    let deep = (0..10).fold(json!(1), |inner, _| json!({ "a": inner }));
    let body = json!({
        "title": "가", "description": "\u{0}", "status": "gone", "settings": deep, "metadata": { "\u{0}": 1 },
    });
    let refused = kim.put(&path, body).await.assert_problem(422, "invalid");
    let pointers: Vec<_> =
        refused.json["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/title", "/description", "/status", "/settings", "/metadata"]);
    assert_eq!(refused.text("/errors/0/detail"), "제목은 2글자 이상이어야 합니다.");
    for field in ["title", "is_active", "status", "settings", "metadata"] {
        let refused = kim.put(&path, json!({ field: null })).await.assert_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), format!("/{field}"));
    }
    for body in [
        json!({ "title": 7 }),
        json!({ "is_active": "yes" }),
        json!({ "settings": [] }),
        json!({ "metadata": "x" }),
        json!({ "id": "x" }),
        json!({ "user_id": "x" }),
        json!({ "session_code": "AAAAAA" }),
        json!({ "started_at": "2026-01-01T00:00:00Z" }),
        json!({ "participant_count": 9 }),
        json!({ "type": "dating" }),
    ] {
        kim.put(&path, body).await.assert_problem(400, "malformed");
    }
    assert_eq!(kim.get(&path).await.json, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_do_not_grow_without_end() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = make(&kim).await;
    let half = "가".repeat(5_000);
    kim.put(&path, json!({ "settings": { "a": half, "b": half } })).await.assert_status(200);
    let refused = kim.put(&path, json!({ "settings": { "c": half } })).await.assert_problem(422, "invalid");
    assert_eq!((refused.text("/errors/0/pointer"), refused.text("/errors/0/code")), ("/settings", "too_large"));
    kim.put(&path, json!({ "settings": { "a": 1, "b": 2, "c": half } })).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_goes_by_the_same_rule_as_the_buttons() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = make(&kim).await;
    let put = |body: Value| kim.put(&path, body);
    assert_eq!(
        put(json!({ "is_active": false, "status": "created" })).await.assert_status(200).text("/status"),
        "created"
    );
    assert_eq!(put(json!({ "is_active": false })).await.assert_status(200).text("/status"), "created");
    let active = put(json!({ "is_active": true })).await.assert_status(200);
    assert!(active.json["started_at"].is_string() && active.text("/status") == "active");
    put(json!({ "status": "created" })).await.assert_problem(409, "session_begun");
    let refused = put(json!({ "status": "paused", "is_active": true })).await.assert_problem(422, "invalid");
    assert_eq!(refused.text("/errors/0/code"), "contradicts_status");
    let paused = put(json!({ "status": "paused", "is_active": false })).await.assert_status(200);
    assert!(paused.json["ended_at"].is_string(), "{}", paused.json);
    let again = put(json!({ "status": "active" })).await.assert_status(200);
    assert_eq!((&again.json["started_at"], &again.json["ended_at"]), (&active.json["started_at"], &Value::Null));
    let off = put(json!({ "is_active": false })).await.assert_status(200);
    assert_eq!((off.text("/status"), &off.json["is_active"]), ("paused", &json!(false)));

    let ended = put(json!({ "status": "ended" })).await.assert_status(200);
    assert!(ended.json["ended_at"].is_string() && ended.json["duration"].is_i64(), "{}", ended.json);
    for body in [json!({ "status": "active" }), json!({ "is_active": true }), json!({ "status": "paused" })] {
        put(body).await.assert_problem(409, "session_ended");
    }
    // A refused step takes nothing else of the request with it.
    put(json!({ "title": "다른 제목", "status": "active" })).await.assert_problem(409, "session_ended");
    assert_eq!(kim.get(&path).await.json, ended.json);
    // What it is called may still be mended.
    let named = put(json!({ "title": "끝난 발표", "status": "ended", "is_active": false })).await.assert_status(200);
    assert_eq!((named.text("/title"), &named.json["ended_at"]), ("끝난 발표", &ended.json["ended_at"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_once_all_count() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = make(&kim).await;
    let put = |name: &'static str| {
        let (kim, path) = (kim.clone(), path.clone());
        async move { kim.put(&path, json!({ "settings": { name: true } })).await.assert_status(200) }
    };
    tokio::join!(put("a"), put("b"), put("c"), put("d"), put("e"), put("f"));
    let settings = kim.get(&path).await.json["settings"].clone();
    for name in ["a", "b", "c", "d", "e", "f"] {
        assert_eq!(settings[name], true, "{settings}");
    }
}
