//! What pages of other origins may do, and what every answer tells a browser.

use reqwest::Method;

use crate::{Stage, caller::Answer, stage::PAGE};

fn preflight(stage: &Stage, path: &str, origin: &str) -> reqwest::RequestBuilder {
    let request = stage.anonymous().request(Method::OPTIONS, path).header("origin", origin);
    request.header("access-control-request-method", "PUT").header("access-control-request-headers", "authorization")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_page_is_told_what_it_may_do() {
    let stage = Stage::new().await;
    let answer = Answer::of(preflight(&stage, "/memo/m1", PAGE)).await.assert_status(204);
    assert_eq!(answer.header("access-control-allow-origin"), PAGE);
    assert_eq!(answer.header("access-control-allow-credentials"), "true");
    assert!(answer.header("access-control-allow-methods").contains("PUT"));
    assert!(answer.header("access-control-allow-headers").contains("authorization"));
    Answer::of(preflight(&stage, "/nowhere", PAGE)).await.assert_problem(404, "not_found");
    let refused = Answer::of(preflight(&stage, "/memo/m1", "https://evil.example.com")).await;
    let refused = refused.assert_problem(403, "origin_not_allowed");
    assert_eq!(refused.header("access-control-allow-origin"), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_page_may_read_answers_and_errors_and_no_other_may() {
    let stage = Stage::new().await;
    for path in ["/api/v1/events", "/memo/list", "/nowhere", "/health"] {
        let ask =
            |origin: &'static str| Answer::of(stage.anonymous().request(Method::GET, path).header("origin", origin));
        let answer = ask(PAGE).await;
        assert_eq!(answer.header("access-control-allow-origin"), PAGE, "{path}");
        let exposed = answer.header("access-control-expose-headers");
        for name in ["x-request-id", "x-total-count", "link", "retry-after", "etag", "ratelimit"] {
            assert!(exposed.contains(name), "{path}: {exposed}");
        }
        let varies: Vec<_> = answer.headers.get_all("vary").iter().collect();
        assert!(varies.iter().any(|value| *value == "Origin"), "{path}: {varies:?}");
        assert_eq!(ask("https://evil.example.com").await.header("access-control-allow-origin"), "", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_marked_and_tell_nothing_about_the_inside() {
    let stage = Stage::new().await;
    let (_, person) = stage.person();
    let answer = person.get("/memo/list").await.assert_status(200);
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("x-total-count"), "7");
    for name in ["server", "x-powered-by", "x-maru-draining"] {
        assert_eq!(answer.header(name), "", "{name}");
    }
    assert_eq!(answer.headers.get_all("x-request-id").iter().count(), 1);
    assert_eq!(answer.headers.get_all("date").iter().count(), 1);
    let public = stage.anonymous().get("/api/v1/events").await;
    assert_eq!(public.header("cache-control"), "");
    let missing = stage.anonymous().get("/nowhere").await;
    assert_eq!(missing.header("x-content-type-options"), "nosniff");
}
