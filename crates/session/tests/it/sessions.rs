//! Making sessions and looking at one's own.

use serde_json::{Value, json};

use crate::{SESSIONS, make, start, talk};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_session_shows_everything_under_every_name_clients_read() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let made = kim.post(SESSIONS, talk("  마루 발표 ")).await.assert_status(201);
    let json = &made.json;
    assert_eq!(
        (made.text("/title"), made.text("/type"), made.text("/status")),
        ("마루 발표", "presentation", "created")
    );
    assert_eq!(made.text("/user_id"), kim.user_id.to_string());
    let code = made.text("/session_code");
    assert!(code.len() == 6 && code.bytes().all(|b| b"23456789ABCDEFGHJKMNPQRSTUVWXYZ".contains(&b)), "{code}");
    assert_eq!((&json["is_active"], &json["participant_count"]), (&json!(false), &json!(0)));
    for absent in ["description", "summary", "start_time", "started_at", "end_time", "ended_at", "duration"] {
        assert_eq!(json.get(absent), Some(&Value::Null), "{absent}: {json}");
    }
    assert!(made.text("/created_at").strip_suffix(".000Z").is_some(), "{json}");
    assert_eq!(json["created_at"], json["updated_at"]);
    let shown = kim.get(&format!("{SESSIONS}/{}", made.text("/id"))).await.assert_status(200);
    assert_eq!(shown.json, made.json);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_those_of_the_type_with_the_persons_own_laid_over_them() {
    let (_stage, app) = start().await;
    let body = json!({
        "title": "소개팅",
        "type": "dating",
        "description": "첫 만남",
        "custom_settings": { "feedback": { "haptic": false }, "dating_specific": { "silence_alerts": false } },
        "device_info": { "model": "Watch" },
        "location": { "city": "서울" },
        "participants": ["이주최", { "name": "박관리" }],
        "tags": [" 첫만남 ", "카페", "카페"],
        "event_id": "01900000-0000-7000-8000-0000000000aa",
    });
    let made = app.as_user().post(SESSIONS, body).await.assert_status(201).json;
    let settings = &made["settings"];
    assert_eq!(settings["feedback"], json!({ "enabled": true, "haptic": false, "visual": true, "audio": false }));
    assert_eq!(settings["dating_specific"]["interest_tracking"], true);
    assert_eq!(settings["dating_specific"]["silence_alerts"], false);
    assert!(settings.get("presentation_specific").is_none());
    let metadata = json!({
        "device_info": { "model": "Watch" },
        "location": { "city": "서울" },
        "participants": ["이주최", { "name": "박관리" }],
        "tags": ["첫만남", "카페"],
    });
    assert_eq!(made["metadata"], metadata);
    assert_eq!(
        (&made["description"], &made["event_id"]),
        (&json!("첫 만남"), &json!("01900000-0000-7000-8000-0000000000aa"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_post_with_the_same_key_makes_one_session() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let key = [("idempotency-key", "k-1")];
    let first = kim.post_with(SESSIONS, talk("한 번만"), &key).await.assert_status(201);
    let second = kim.post_with(SESSIONS, talk("한 번만"), &key).await.assert_status(201);
    assert_eq!(first.json, second.json);
    kim.post_with(SESSIONS, talk("다른 제목"), &key).await.assert_problem(422, "idempotency_key_reused");
    assert_eq!(kim.get(SESSIONS).await.header("x-total-count"), "1");
    // The key is this person's own.
    app.as_user().post_with(SESSIONS, talk("다른 사람"), &key).await.assert_status(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_posts_at_once_with_the_same_key_make_one_session() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let post = || kim.post_with(SESSIONS, talk("한 번만"), &[("idempotency-key", "k-1")]);
    let (a, b, c, d) = tokio::join!(post(), post(), post(), post());
    for answer in [a, b, c, d] {
        assert!(matches!(answer.status, 201 | 409), "{}", answer.json);
    }
    assert_eq!(kim.get(SESSIONS).await.header("x-total-count"), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_persons_session_is_not_found() {
    let (_stage, app) = start().await;
    let path = make(&app.as_user()).await;
    let lee = app.as_user();
    let unknown = format!("{SESSIONS}/01900000-0000-7000-8000-0000000000ff");
    for path in [&path, &unknown] {
        lee.get(path).await.assert_problem(404, "session_not_found");
        lee.get(&format!("{path}/timer")).await.assert_problem(404, "session_not_found");
        for control in ["setup", "start", "pause", "resume", "reset"] {
            lee.post(&format!("{path}/timer/{control}"), json!({})).await.assert_problem(404, "session_not_found");
        }
    }
    assert_eq!(lee.get(SESSIONS).await.json, json!([]));
    lee.get(&format!("{SESSIONS}/not-an-id")).await.assert_problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_of_one_letter_is_refused_in_korean_and_english() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let korean = kim.post(SESSIONS, talk(" 가 ")).await.assert_problem(422, "invalid");
    assert_eq!((korean.text("/errors/0/pointer"), korean.text("/errors/0/code")), ("/title", "too_short"));
    assert_eq!(korean.text("/errors/0/detail"), "제목은 2글자 이상이어야 합니다.");
    let english = kim.post_with(SESSIONS, talk("가"), &[("accept-language", "en")]).await;
    assert_eq!(english.text("/errors/0/detail"), "A title has at least 2 characters.");
    let long = kim.post(SESSIONS, talk(&"가".repeat(101))).await.assert_problem(422, "invalid");
    assert_eq!(long.text("/errors/0/detail"), "제목은 100글자 이하여야 합니다.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_invalid_field_is_named_at_once() {
    let (_stage, app) = start().await;
    let deep = (0..10).fold(json!(1), |inner, _| json!({ "a": inner }));
    let body = json!({
        "title": "",
        "type": "party",
        "description": "\u{0}",
        "custom_settings": deep,
        "location": { "\u{0}": 1 },
        "tags": ["ok", " "],
    });
    let refused = app.as_user().post(SESSIONS, body).await.assert_problem(422, "invalid");
    let pointers: Vec<_> =
        refused.json["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/title", "/type", "/description", "/custom_settings", "/tags/1", "/location"]);
}
