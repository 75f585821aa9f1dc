//! Paths with two readings are refused before anybody is asked.

use std::sync::{Arc, Mutex};

use actix_web::HttpResponse;
use domain::principal::Service;

use crate::{Stage, scripted, stage::Setting};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_path_with_two_readings_reaches_a_service() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let addr = scripted::serve(move |request, _| {
        if request.path() != "/internal/revocations" {
            log.lock().unwrap().push(request.path().to_owned());
        }
        HttpResponse::Ok().json(serde_json::json!({ "revoked": [] }))
    });
    let setting = Service::BEHIND_GATEWAY.into_iter().fold(Setting::default(), |s, service| s.with(service, &[addr]));
    let stage = setting.start().await;
    let targets = [
        "/api/v1/events/../../../internal/revocations",
        "/api/v1/events/..",
        "/api/v1/events/.",
        "/api/v1/events/%2e%2e/x",
        "/api/v1/events/.%2E/x",
        "/api/v1/events/%2E",
        "/api/v1/events/..%2finternal",
        "/api/v1/events/a%2fb",
        "/api/v1/events/a%5cb",
        "/api/v1/events/a\\b",
        "/api/v1/events/a%00",
        "/api/v1/events/a%0d%0aX-User-Id:%201",
        "/api/v1/events/%zz",
        "/api/v1/events/%252e%252e/internal",
        "/api/v1/events/a%252fb",
        "/api/v1/events/..;/internal",
        "/api/v1/events/a;b=c",
        "/api/v1/events/a%3bb",
        "http://user@127.0.0.1/internal/revocations",
        "//api/v1/events",
        "/api//v1/events",
        "/api/v1/events//",
        "//evil.example.com/api/v1/events",
        "http://evil.example.com/api/v1/events",
        "https://127.0.0.1/api/v1/events",
        "/%69nternal/revocations",
    ];
    for target in targets {
        let request = format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = stage.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{target}: {answer}");
        assert!(answer.contains("application/problem+json") && answer.contains("bad_path"), "{target}: {answer}");
    }
    // The server itself refuses these, or sees no path at all.
    for request in ["CONNECT evil.example.com:80 HTTP/1.1", "GET * HTTP/1.1", "GET /a b HTTP/1.1", "GET x HTTP/1.1"] {
        let answer = stage.raw(format!("{request}\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{request}: {answer}");
    }
    assert_eq!(*seen.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_inside_does_not_exist_outside() {
    let stage = Stage::new().await;
    let (_, person) = stage.person();
    for path in ["/internal/revocations", "/internal/x", "/metrics", "/livez", "/readyz", "/x", "/api/v1", "/api/v1/x"]
    {
        person.get(path).await.assert_problem(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_query_is_passed_on_as_it_came_and_never_becomes_a_path() {
    let stage = Stage::new().await;
    let query = "q=%ED%95%9C&next=//evil/../x%2f&q=a+b&empty";
    let answer = stage.anonymous().get(&format!("/api/v1/events?{query}")).await.assert_status(200);
    assert_eq!((answer.json["path"].as_str(), answer.json["query"].as_str()), (Some("/api/v1/events"), Some(query)));
}
