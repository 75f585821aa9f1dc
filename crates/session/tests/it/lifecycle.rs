//! How a session goes on.

use std::time::Duration;

use diesel::sql_query;
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};
use testkit::{Stage, TestClient, eventually};

use crate::{SESSIONS, make, start};

async fn press(client: &TestClient, path: &str, button: &str) -> Value {
    client.post(&format!("{path}/{button}"), json!({})).await.assert_status(200).json
}

/// Makes it as if everything so far had happened ten minutes earlier.
async fn let_pass(stage: &Stage) {
    let earlier = "UPDATE sessions SET started_at = started_at - interval '10 minutes', \
        active_since = active_since - interval '10 minutes', ended_at = ended_at - interval '10 minutes'";
    sql_query(earlier).execute(&mut stage.pg().conn().await.unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_goes_on_and_off_begins_once_and_ends_for_good() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = make(&kim).await;
    let active = press(&kim, &path, "activate").await;
    assert_eq!((&active["status"], &active["is_active"]), (&json!("active"), &json!(true)));
    assert!(active["started_at"].as_str().unwrap().ends_with('Z') && active["started_at"] == active["start_time"]);
    assert_eq!((&active["ended_at"], &active["duration"]), (&Value::Null, &Value::Null));

    let paused = press(&kim, &path, "deactivate").await;
    assert_eq!((&paused["status"], &paused["is_active"]), (&json!("paused"), &json!(false)));
    assert!(paused["ended_at"].is_string() && paused["ended_at"] == paused["end_time"], "{paused}");
    assert_eq!(paused["started_at"], active["started_at"]);
    assert!((0..30).contains(&paused["duration"].as_i64().unwrap()), "{paused}");

    let again = press(&kim, &path, "activate").await;
    assert_eq!((&again["started_at"], &again["ended_at"]), (&active["started_at"], &Value::Null));

    let ended = kim.post(&format!("{path}/end"), json!({ "summary": { "score": 7 } })).await.assert_status(200).json;
    assert_eq!((&ended["status"], &ended["is_active"]), (&json!("ended"), &json!(false)));
    assert_eq!((&ended["summary"], &ended["started_at"]), (&json!({ "score": 7 }), &active["started_at"]));
    assert!(ended["ended_at"].is_string(), "{ended}");
    assert_eq!(kim.get(&path).await.json, ended);
    for button in ["activate", "deactivate"] {
        kim.post(&format!("{path}/{button}"), json!({})).await.assert_problem(409, "session_ended");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_button_again_changes_nothing_at_all() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = make(&kim).await;
    for button in ["activate", "deactivate", "end"] {
        let first = press(&kim, &path, button).await;
        assert_eq!(press(&kim, &path, button).await, first, "{button}");
    }
    let once = kim.get(&path).await.json;
    let second = kim.post(&format!("{path}/end"), json!({ "summary": { "another": true } })).await.assert_status(200);
    assert_eq!(second.json, once);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_break_is_not_part_of_the_duration() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let path = make(&kim).await;
    press(&kim, &path, "activate").await;
    let_pass(&stage).await;
    let paused = press(&kim, &path, "deactivate").await;
    let spoken = paused["duration"].as_i64().unwrap();
    assert!((600..630).contains(&spoken), "{paused}");
    let_pass(&stage).await;
    let ended = press(&kim, &path, "end").await;
    assert_eq!(ended["duration"].as_i64().unwrap(), spoken, "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_are_the_databases_whatever_the_services_clock_says() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let path = make(&kim).await;
    stage.clock.advance(Duration::from_secs(30));
    let started = press(&kim, &path, "activate").await["started_at"].as_str().unwrap().to_owned();
    let ahead = domain::time::Instant(stage.clock.now());
    assert!(json!(started).as_str() < json!(ahead).as_str(), "{started}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_ends_at_once_one_decides() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    for _ in 0..5 {
        let path = make(&kim).await;
        let end = format!("{path}/end");
        let say = |text: &'static str| kim.post(&end, json!({ "summary": { "said": text } }));
        let (a, b, c, d) = tokio::join!(say("a"), say("b"), say("c"), say("d"));
        let answers = [a, b, c, d].map(|answer| answer.assert_status(200).json);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_activates_what_is_being_ended() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    for _ in 0..5 {
        let path = make(&kim).await;
        let (activate, end) = (format!("{path}/activate"), format!("{path}/end"));
        let (activated, ended) = tokio::join!(kim.post(&activate, json!({})), kim.post(&end, json!({})));
        ended.assert_status(200);
        assert!([200, 409].contains(&activated.status), "{}", activated.json);
        assert_eq!(kim.get(&path).await.text("/status"), "ended");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn buttons_take_no_body_or_the_documented_one() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = make(&kim).await;
    for button in ["activate", "deactivate", "end"] {
        let path = format!("{path}/{button}");
        kim.post(&path, json!({ "at": "now" })).await.assert_problem(400, "malformed");
        kim.post(&path, json!([1])).await.assert_problem(400, "malformed");
    }
    let end = format!("{path}/end");
    kim.post(&end, json!({ "summary": "done" })).await.assert_problem(400, "malformed");
    let refused = kim.post(&end, json!({ "summary": { "a": "\u{0}" } })).await.assert_problem(422, "invalid");
    assert_eq!(refused.text("/errors/0/pointer"), "/summary");
    assert_eq!(kim.get(&path).await.text("/status"), "created");
    let bare = kim.send(kim.request(reqwest::Method::POST, &end)).await.assert_status(200);
    assert_eq!((bare.text("/status"), &bare.json["started_at"]), ("ended", &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_summary_is_written_before_and_after_the_end() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = make(&kim).await;
    let summary = format!("{path}/summary");
    let write = |document: Value| kim.put(&summary, json!({ "summary": document }));
    assert_eq!(write(json!({ "wpm": 140 })).await.assert_status(200).json["summary"], json!({ "wpm": 140 }));
    let ended = press(&kim, &path, "end").await;
    assert_eq!(ended["summary"], json!({ "wpm": 140 }));
    let after = write(json!({ "words": ["음"] })).await.assert_status(200);
    assert_eq!((&after.json["summary"], after.text("/status")), (&json!({ "words": ["음"] }), "ended"));
    for bad in [json!({}), json!({ "summary": null }), json!({ "summary": [1] }), json!({ "summary": {}, "x": 1 })] {
        kim.put(&summary, bad).await.assert_problem(400, "malformed");
    }
    let deep = (0..10).fold(json!(1), |inner, _| json!({ "a": inner }));
    let refused = write(deep).await.assert_problem(422, "invalid");
    assert_eq!(refused.text("/errors/0/pointer"), "/summary");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_session_is_gone_with_its_timer() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let path = make(&kim).await;
    kim.post(&format!("{path}/timer/setup"), json!({})).await.assert_status(200);
    let deleted = kim.delete(&path).await.assert_status(204);
    assert!(deleted.body.is_empty());
    kim.delete(&path).await.assert_problem(404, "session_not_found");
    kim.get(&path).await.assert_problem(404, "session_not_found");
    kim.get(&format!("{path}/timer")).await.assert_problem(404, "session_not_found");
    assert_eq!(kim.get(SESSIONS).await.json, json!([]));
    eventually(Duration::from_secs(5), || async {
        let mut conn = stage.pg().conn().await.unwrap();
        sql_query("DELETE FROM timers").execute(&mut conn).await.unwrap() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_changes_or_deletes_a_session() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = make(&kim).await;
    let before = kim.get(&path).await.json;
    let unknown = format!("{SESSIONS}/01900000-0000-7000-8000-0000000000ff");
    let lee = app.as_user();
    for target in [&path, &unknown] {
        lee.put(target, json!({ "title": "남의 것" })).await.assert_problem(404, "session_not_found");
        lee.delete(target).await.assert_problem(404, "session_not_found");
        lee.put(&format!("{target}/summary"), json!({ "summary": {} })).await.assert_problem(404, "session_not_found");
        for button in ["activate", "deactivate", "end"] {
            lee.post(&format!("{target}/{button}"), json!({})).await.assert_problem(404, "session_not_found");
        }
    }
    for stranger in [app.anonymous(), app.without_token()] {
        stranger.put(&path, json!({})).await.assert_problem(401, "unauthenticated");
        stranger.delete(&path).await.assert_problem(401, "unauthenticated");
        stranger.post(&format!("{path}/end"), json!({})).await.assert_problem(401, "unauthenticated");
    }
    assert_eq!(kim.get(&path).await.json, before);
}
