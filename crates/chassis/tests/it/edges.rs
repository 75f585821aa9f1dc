//! What a client sees when a request goes wrong before, in or after a handler.

use std::{net::SocketAddr, time::Duration};

use actix_web::web;
use chassis::{
    lifecycle::Lifecycle,
    problem::Outcome,
    server::{self, HttpConfig},
};
use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::stage::serving;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

#[derive(Deserialize)]
struct Body {
    count: u32,
}

async fn count(body: web::Json<Body>) -> String {
    body.count.to_string()
}

async fn sleep_for_ever() -> String {
    std::future::pending().await
}

async fn panics() -> Outcome<String> {
    panic!("a secret detail")
}

async fn fails() -> Outcome<String> {
    Err(chassis::problem::Problem::unexpected("a secret detail"))
}

async fn by_id(path: web::Path<u32>) -> String {
    path.to_string()
}

/// Serves the routes above; the server ends with the test's runtime.
fn serve(change: impl FnOnce(&mut HttpConfig)) -> (SocketAddr, Lifecycle) {
    let lifecycle = Lifecycle::new();
    let mut serving = serving(lifecycle.clone(), |cfg: &mut web::ServiceConfig| {
        cfg.service(web::resource("/count").post(count))
            .service(web::resource("/for-ever").get(sleep_for_ever))
            .service(web::resource("/panic").get(panics))
            .service(web::resource("/fail").get(fails))
            .service(web::resource("/things/{id}").get(by_id));
    });
    change(&mut serving.http);
    let bound = server::bind(serving).unwrap();
    let addr = bound.addr();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(bound.run());
    (addr, lifecycle)
}

async fn problem(response: reqwest::Response) -> (StatusCode, String, Value) {
    let status = response.status();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let document: Value = response.json().await.unwrap();
    assert_eq!(document["request_id"], id.as_str());
    (status, document["code"].as_str().unwrap().to_owned(), document)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_to_go_wrong_is_a_problem_document() {
    let (addr, _) = serve(|http| http.request_timeout_ms = 300);
    let client = testkit::http_client();
    let url = |path: &str| format!("http://{addr}{path}");
    let post = |body: &'static str| client.post(url("/count")).header("content-type", "application/json").body(body);
    let cases = [
        (client.get(url("/nowhere")), 404, "not_found"),
        (client.get(url("/count")), 405, "method_not_allowed"),
        (client.get(url("/things/seven")), 404, "not_found"),
        (post("{"), 400, "malformed"),
        (post(r#"{"count":"many"}"#), 400, "malformed"),
        (client.post(url("/count")).body("count=1"), 415, "unsupported_media_type"),
        (client.post(url("/count")).json(&json!({ "count": 1, "pad": "x".repeat(70_000) })), 413, "too_large"),
        (client.get(url("/for-ever")), 504, "timeout"),
        (client.get(url("/panic")), 500, "internal"),
        (client.get(url("/fail")), 500, "internal"),
    ];
    for (request, status, code) in cases {
        let (answered, named, document) = problem(request.send().await.unwrap()).await;
        assert_eq!((answered.as_u16(), named.as_str()), (status, code), "{document}");
        assert!(!document.to_string().contains("secret"), "{document}");
    }
    let well = client.post(url("/count")).json(&json!({ "count": 7 })).send().await.unwrap();
    assert_eq!(well.text().await.unwrap(), "7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_405_says_what_is_allowed_and_a_504_when_to_come_back() {
    let (addr, _) = serve(|http| http.request_timeout_ms = 100);
    let client = testkit::http_client();
    let late = client.get(format!("http://{addr}/for-ever")).send().await.unwrap();
    assert_eq!(late.headers()["retry-after"], "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_never_arrives_is_answered_with_408() {
    let (addr, _) = serve(|http| http.body_grace_ms = 200);
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let head = "POST /count HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"co";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await.unwrap().unwrap();
    let text = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("body_timeout"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_callers_id_language_and_deadline_are_kept() {
    let (addr, _) = serve(|_| {});
    let client = testkit::http_client();
    let started = tokio::time::Instant::now();
    let response = client
        .get(format!("http://{addr}/for-ever"))
        .header("x-request-id", "abc-123")
        .header("accept-language", "en")
        .header("x-deadline-ms", "100")
        .send()
        .await
        .unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
    let (status, _, document) = problem(response).await;
    assert_eq!((status.as_u16(), document["request_id"].as_str()), (504, Some("abc-123")));
    assert_eq!(document["detail"], "This takes too long. Please try again.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_name_the_route_and_never_the_path() {
    let (addr, _) = serve(|_| {});
    let client = testkit::http_client();
    client.get(format!("http://{addr}/things/4711")).send().await.unwrap();
    let page = client.get(format!("http://{addr}/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(page.contains(r#"http_requests_total{method="GET",route="/things/{id}",status="200"}"#), "{page}");
    assert!(!page.contains("4711"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn liveness_does_not_depend_on_readiness() {
    let (addr, lifecycle) = serve(|_| {});
    let client = testkit::http_client();
    let status = async |path: &str| client.get(format!("http://{addr}{path}")).send().await.unwrap().status().as_u16();
    assert_eq!((status("/livez").await, status("/readyz").await), (200, 200));
    lifecycle.begin_drain();
    assert_eq!((status("/livez").await, status("/readyz").await), (200, 503));
}
