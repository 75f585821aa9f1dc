//! Heads that are too large, or that two programs would read differently.

use reqwest::Method;

use crate::{Caller, Stage, caller::Answer};

/// Sends a raw request with these lines and returns the answer.
async fn with_lines(stage: &Stage, lines: &str) -> String {
    stage.raw(format!("GET /api/v1/events HTTP/1.1\r\nconnection: close\r\n{lines}\r\n").as_bytes()).await
}

#[track_caller]
fn assert_refused(answer: &str, status: u16, code: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(
        answer.contains("application/problem+json") && answer.contains(&format!("\"code\":\"{code}\"")),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_could_be_another_ones_is_refused() {
    let stage = Stage::new().await;
    for name in ["X_User_Id", "X.User.Id", "x-role_", "X!A", "a~b", "x|y"] {
        assert_refused(&with_lines(&stage, &format!("host: x\r\n{name}: 1\r\n")).await, 400, "bad_header");
    }
    let answer = with_lines(&stage, "host: x\r\nX-Anything-9: 1\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("anything"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_one_host_that_is_a_host_is_needed() {
    let stage = Stage::new().await;
    for host in ["", "user@x", "x/path", "x y", "x,y", "x:80:80", "x?a", "[::1"] {
        assert_refused(&with_lines(&stage, &format!("host: {host}\r\n")).await, 400, "bad_host");
    }
    for none_or_two in ["", "host: x\r\nhost: x\r\n", "host: x\r\nhost: y\r\n"] {
        assert!(with_lines(&stage, none_or_two).await.starts_with("HTTP/1.1 400 "), "{none_or_two}");
    }
    let ancient = stage.raw(b"GET /health HTTP/1.0\r\n\r\n").await;
    assert!(ancient.starts_with("HTTP/1.0 400 ") && ancient.contains("bad_host"), "{ancient}");
    for host in ["maru.example.com:443", "[::1]:8080", "x"] {
        assert!(with_lines(&stage, &format!("host: {host}\r\n")).await.starts_with("HTTP/1.1 200 "), "{host}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_said_to_be() {
    let stage = Stage::new().await;
    let anonymous = stage.anonymous();
    anonymous.get(&format!("/api/v1/events?q={}", "a".repeat(8_000))).await.assert_status(200);
    anonymous.get(&format!("/api/v1/events?q={}", "a".repeat(8_200))).await.assert_problem(414, "url_too_long");
    anonymous.get(&format!("/{}", "a".repeat(8_200))).await.assert_problem(414, "url_too_long");
    let padded = |length: usize| {
        let request = anonymous.request(Method::GET, "/api/v1/events").header("x-one", "a".repeat(length / 2));
        Answer::of(request.header("x-two", "b".repeat(length / 2)))
    };
    padded(15_000).await.assert_status(200);
    padded(17_000).await.assert_problem(431, "head_too_large");
    let long = |length: usize| Caller { token: Some("t".repeat(length)), ..anonymous.clone() };
    long(4_097).get("/memo/list").await.assert_problem(431, "head_too_large");
    long(4_096).get("/memo/list").await.assert_problem(401, "invalid_token");
    // Beyond what the server itself reads there is no document, and still an answer.
    for (target, status) in [("a".repeat(70_000), 400), ("a".repeat(140_000), 431)] {
        let request = format!("GET /{target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let answer = stage.raw(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bearer_token_however_it_is_written_and_nowhere_else() {
    let stage = Stage::new().await;
    let (_, person) = stage.person();
    let token = person.token.clone().unwrap();
    let ask = |lines: String| {
        let stage = &stage;
        async move {
            let request = format!("GET /memo/list HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}\r\n");
            stage.raw(request.as_bytes()).await
        }
    };
    for written in ["Bearer", "bearer", "BEARER"] {
        let answer = ask(format!("authorization: {written}   {token}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let two = format!("authorization: Bearer {token}\r\n").repeat(2);
    assert_refused(&ask(two).await, 400, "malformed");
    let (anonymous, form) = (stage.anonymous(), format!("access_token={token}"));
    anonymous.get(&format!("/memo/list?{form}&token={token}")).await.assert_problem(401, "unauthenticated");
    anonymous.post("/api/v1/sessions", form).await.assert_problem(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clients_own_request_id_goes_beside_ours() {
    let stage = Stage::new().await;
    let ask = |id: &'static str| {
        let request = stage.anonymous().request(Method::GET, "/api/v1/events").header("x-request-id", id);
        Answer::of(request.header("x-client-request-id", "forged"))
    };
    let answer = ask("mobile-42_A").await.assert_status(200);
    assert_eq!(answer.received("x-client-request-id"), ["mobile-42_A"]);
    assert_eq!(answer.received("x-request-id"), [answer.header("x-request-id")]);
    assert_ne!(answer.header("x-request-id"), "mobile-42_A");
    for unsafe_id in ["a b", "{\"a\":1}", "a;b"] {
        assert_eq!(ask(unsafe_id).await.received("x-client-request-id"), Vec::<&str>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotency_key_is_one_short_plain_word() {
    let stage = Stage::new().await;
    let (_, person) = stage.person();
    let send = |keys: Vec<String>| {
        let request = person.request(Method::POST, "/api/v1/sessions").body("{}");
        Answer::of(keys.into_iter().fold(request, |request, key| request.header("idempotency-key", key)))
    };
    assert_eq!(send(vec!["k".repeat(128)]).await.assert_status(200).received("idempotency-key"), ["k".repeat(128)]);
    for bad in [vec!["k".repeat(129)], vec!["a b".to_owned()], vec![String::new()], vec!["a".to_owned(); 2]] {
        send(bad).await.assert_problem(400, "bad_idempotency_key");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_are_told_to_come_back_over_tls() {
    let stage = Stage::new().await;
    for path in ["/", "/api/v1/events", "/memo/list", "/nowhere"] {
        let answer = stage.anonymous().get(path).await;
        assert_eq!(answer.header("strict-transport-security"), "max-age=31536000; includeSubDomains", "{path}");
    }
}
