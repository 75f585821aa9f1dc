//! What the gateway answers by itself, and its probes.

use std::time::Duration;

use actix_web::HttpResponse;
use domain::principal::Service;
use reqwest::Method;
use serde_json::json;

use crate::{
    Stage,
    caller::Answer,
    scripted::{nobody, serve},
    stage::Setting,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_start_page_is_korean_first() {
    let stage = Stage::new().await;
    let korean = stage.anonymous().get("/").await.assert_status(200);
    assert_eq!((korean.header("content-type"), korean.header("content-language")), ("text/html; charset=utf-8", "ko"));
    assert!(korean.text.contains("마루") && !korean.text.contains("{{"));
    let english = stage.anonymous().request(Method::GET, "/").header("accept-language", "en");
    let english = Answer::of(english).await.assert_status(200);
    assert!(english.text.contains("One backend") && english.header("content-language") == "en");
    for page in [korean, english] {
        for link in ["/docs", "/health", "/openapi.json"] {
            assert!(page.text.contains(&format!("href=\"{link}\"")), "{link}");
        }
        assert!(!page.text.contains("<script") && !page.text.contains("http://") && !page.text.contains("https://"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swagger_ui_is_served_with_all_its_files() {
    let stage = Stage::new().await;
    for path in ["/docs", "/docs/"] {
        let page = stage.anonymous().get(path).await.assert_status(200);
        assert!(page.header("content-type").starts_with("text/html"));
        let files: Vec<&str> =
            page.text.split(['"', '\'']).filter(|text| [".js", ".css"].iter().any(|end| text.ends_with(end))).collect();
        assert!(files.len() >= 3, "{files:?}");
        for file in files {
            let answer = stage.anonymous().get(file).await.assert_status(200);
            assert!(!answer.text.is_empty(), "{file}");
        }
    }
    let script = stage.anonymous().get("/docs/swagger-initializer.js").await.assert_status(200);
    assert!(script.text.contains("/openapi.json"), "{}", script.text);
    stage.anonymous().get("/docs/nothing.js").await.assert_problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_api_documents_are_one_and_name_who_is_missing() {
    let document = |path: &'static str| {
        serve(move |request, _| match request.path() {
            "/openapi.json" => HttpResponse::Ok().json(json!({
                "openapi": "3.1.0",
                "info": { "title": "t", "version": "1" },
                "paths": { path: { "get": { "operationId": "get" } }, "/internal/x": { "get": {} } },
            })),
            _ => HttpResponse::Ok().json(json!({ "revoked": [] })),
        })
    };
    let mut setting = Setting::default();
    for (service, path) in [
        (Service::Auth, "/user/me"),
        (Service::Session, "/session/list"),
        (Service::Ticketing, "/api/v1/events"),
        (Service::Emotion, "/emotion/prompt"),
    ] {
        setting = setting.with(service, &[document(path)]);
    }
    let stage = setting.with(Service::Memo, &[nobody().await]).start().await;
    let answer = stage.anonymous().get("/openapi.json").await.assert_status(200);
    assert_eq!(answer.header("x-maru-missing"), "memo");
    let mut paths: Vec<&String> = answer.json["paths"].as_object().unwrap().keys().collect();
    paths.sort();
    let expected = ["/api/v1/events", "/emotion/prompt", "/health", "/openapi.json", "/session/list", "/user/me"];
    assert_eq!(paths, expected);
    assert_eq!(answer.json["paths"]["/user/me"]["get"]["operationId"], "auth_get");
    assert!(answer.json["openapi"].as_str().unwrap().starts_with("3.1"), "{}", answer.json["openapi"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_is_ok_degraded_or_down() {
    let well = || {
        serve(|_, _| {
            HttpResponse::Ok().json(json!({
                "status": "ok", "service": "s", "version": "1", "draining": false, "parts": {}, "revoked": [],
            }))
        })
    };
    let weak = serve(|_, _| {
        let view = json!({ "status": "degraded", "service": "s", "version": "1", "draining": false, "parts": {} });
        HttpResponse::Ok().json(view)
    });
    let all =
        |addr| Service::BEHIND_GATEWAY.into_iter().fold(Setting::default(), |s, service| s.with(service, &[addr]));
    // Whoever does not answer within a second is down, so a busy machine is asked again.
    let ask = |setting: Setting, expected: &'static str| async move {
        let stage = setting.start().await;
        let until = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let answer = stage.anonymous().get("/health").await;
            if answer.json["status"] == expected || tokio::time::Instant::now() > until {
                return answer;
            }
        }
    };
    let answer = ask(all(well()), "ok").await.assert_status(200);
    assert_eq!(answer.json["status"], "ok");
    assert!(answer.json["services"]["memo"]["latency_ms"].is_u64(), "{}", answer.text);
    let answer = ask(all(well()).with(Service::Memo, &[nobody().await]), "degraded").await.assert_status(200);
    assert_eq!(
        (&answer.json["status"], &answer.json["services"]["memo"]["status"]),
        (&"degraded".into(), &"down".into())
    );
    let answer = ask(all(well()).with(Service::Memo, &[nobody().await, well()]), "ok").await.assert_status(200);
    assert_eq!(answer.json["status"], "ok");
    let answer = ask(all(well()).with(Service::Memo, &[weak]), "degraded").await.assert_status(200);
    assert_eq!(answer.json["status"], "degraded");
    let answer = ask(all(nobody().await), "down").await.assert_status(503);
    assert_eq!((&answer.json["status"], answer.header("retry-after")), (&"down".into(), "1"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_and_metrics_are_on_the_admin_port() {
    let stage = Stage::new().await;
    let operator = |path: &str| {
        let url = format!("http://{}{path}", stage.admin);
        Answer::of(stage.anonymous().http.get(url))
    };
    operator("/livez").await.assert_status(200);
    testkit::eventually(Duration::from_secs(5), || async { operator("/readyz").await.status == 200 }).await;
    stage.anonymous().get("/api/v1/events/e1").await.assert_status(200);
    let metrics = operator("/metrics").await.assert_status(200);
    assert!(metrics.text.contains("route=\"/api/v1/events/{id}\""), "{}", metrics.text);
    stage.lifecycle.begin_drain();
    operator("/readyz").await.assert_status(503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_becomes_ready_without_the_auth_service_too() {
    let stage = Setting::default().with(Service::Auth, &[nobody().await]).start().await;
    let ready = || async {
        let url = format!("http://{}/readyz", stage.admin);
        Answer::of(stage.anonymous().http.get(url)).await.status == 200
    };
    testkit::eventually(Duration::from_secs(20), ready).await;
}
