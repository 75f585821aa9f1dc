//! What is read of a request, and who may send one.

use reqwest::Method;
use serde_json::json;

use crate::{SESSIONS, make, start, talk};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fields_nobody_knows_are_refused() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    for field in ["user_id", "id", "status", "session_code", "settings"] {
        let mut body = talk("마루 발표");
        body[field] = json!("x");
        kim.post(SESSIONS, body).await.assert_problem(400, "malformed");
    }
    let path = make(&kim).await;
    kim.post(&format!("{path}/timer/setup"), json!({ "minutes": 5 })).await.assert_problem(400, "malformed");
    kim.post(&format!("{path}/timer/setup"), json!({ "alerts": { "one_hour": true } }))
        .await
        .assert_problem(400, "malformed");
    kim.post(&format!("{path}/timer/start"), json!({ "at": 0 })).await.assert_problem(400, "malformed");
    kim.get(&format!("{SESSIONS}?page=2")).await.assert_problem(400, "malformed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_another_type_are_refused() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    for (field, value) in [
        ("title", json!(7)),
        ("custom_settings", json!([])),
        ("device_info", json!("phone")),
        ("tags", json!("one")),
        ("event_id", json!("not-an-id")),
    ] {
        let mut body = talk("마루 발표");
        body[field] = value;
        kim.post(SESSIONS, body).await.assert_problem(400, "malformed");
    }
    kim.post(SESSIONS, json!([])).await.assert_problem(400, "malformed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_button_needs_no_body_and_a_body_must_be_json() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = make(&kim).await;
    let bare = |control: &str| kim.send(kim.request(Method::POST, &format!("{path}/timer/{control}")));
    assert_eq!(bare("setup").await.assert_status(200).json["duration_seconds"], 600);
    assert_eq!(bare("start").await.assert_status(200).text("/status"), "running");
    let send = |content_type: &'static str, body: String| {
        let request = kim.request(Method::POST, &format!("{path}/timer/pause"));
        kim.send(request.header("content-type", content_type).body(body))
    };
    send("text/plain", "{}".to_owned()).await.assert_problem(415, "unsupported_media_type");
    send("application/json", "{".to_owned()).await.assert_problem(400, "malformed");
    send("application/json", format!("\"{}\"", "x".repeat(70_000))).await.assert_problem(413, "too_large");
    send("application/json; charset=utf-8", "{}".to_owned()).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_nobody_or_comes_around_the_gateway_is_refused_everywhere() {
    let (_stage, app) = start().await;
    let path = make(&app.as_user()).await;
    for stranger in [app.without_token(), app.anonymous()] {
        stranger.post(SESSIONS, talk("마루 발표")).await.assert_problem(401, "unauthenticated");
        stranger.get(SESSIONS).await.assert_problem(401, "unauthenticated");
        stranger.get(&path).await.assert_problem(401, "unauthenticated");
        stranger.get(&format!("{path}/timer")).await.assert_problem(401, "unauthenticated");
        for control in ["setup", "start", "pause", "resume", "reset"] {
            stranger.post(&format!("{path}/timer/{control}"), json!({})).await.assert_problem(401, "unauthenticated");
        }
    }
    assert_eq!(app.without_token().get("/readyz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_paths_and_methods_are_problems_too() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    kim.get("/api/v1/sessionz").await.assert_problem(404, "not_found");
    kim.put(SESSIONS, json!({})).await.assert_problem(405, "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_document_names_every_route() {
    let (_stage, app) = start().await;
    let document = app.without_token().get("/openapi.json").await.assert_status(200).json;
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let timer = |part: &str| format!("{SESSIONS}/{{id}}/timer{part}");
    let mut expected = vec![SESSIONS.to_owned(), format!("{SESSIONS}/{{id}}"), timer("")];
    expected.extend(["/setup", "/start", "/pause", "/resume", "/reset"].map(timer));
    expected.extend(["", "/settings"].map(|part| format!("{SESSIONS}/{{id}}/feedback{part}")));
    expected.extend([format!("{SESSIONS}/{{id}}/stream"), "/ws/sessions/{id}".to_owned()]);
    expected.extend(["", "/list", "/current", "/stats", "/{id}", "/{id}/status"].map(|part| format!("/session{part}")));
    let of_one = ["activate", "deactivate", "end", "summary", "qr.png", "qr.svg", "participants", "stream-ticket"];
    expected.extend(of_one.map(|part| format!("{SESSIONS}/{{id}}/{part}")));
    expected.push(format!("{SESSIONS}/{{id}}/participants/{{pid}}"));
    expected.extend(["", "/join"].map(|part| format!("{SESSIONS}/code/{{code}}{part}")));
    expected.sort();
    let mut sorted = paths.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
}
