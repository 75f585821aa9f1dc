//! A day's memos beside its focus sessions, and memos of a focus session. A stand-in for the session service answers
//! here; against the real one it is tried where contracts are.

use std::{net::SocketAddr, time::Duration};

use chassis::peers::Urls;
use serde_json::{Value, json};
use testkit::{Stage, TestApp};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};
use uuid::Uuid;

use crate::{config, start};

/// Longest a day may take, whatever the session service does.
const A_DAY_TAKES: Duration = Duration::from_millis(800);

fn session(id: Uuid) -> Value {
    json!({
        "id": id, "user_id": id, "subject": "글쓰기", "goal": null, "duration": 25, "break_duration": 5, "tags": [],
        "started_at": null, "created_at": "2026-11-28T00:00:00.000Z", "updated_at": "2026-11-28T00:00:00.000Z",
        "status": "pending", "reflection": null, "remaining_seconds": 1500, "ends_at": null,
    })
}

/// Serves what a day had, one focus session that is the caller's, and 404 for any other.
async fn session_service(own: Uuid, delay: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(stream, own, delay));
        }
    });
    addr
}

async fn answer(mut stream: TcpStream, own: Uuid, delay: Duration) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    tokio::time::sleep(delay).await;
    let head = String::from_utf8_lossy(&head).into_owned();
    let (status, body) = if head.starts_with("GET /internal/focus/by-day?") {
        ("200 OK", json!({ "sessions": [session(own)], "is_truncated": false }))
    } else if head.starts_with(&format!("GET /internal/focus/{own} ")) {
        ("200 OK", session(own))
    } else {
        let problem = json!({
            "type": "about:blank", "title": "Not Found", "status": 404, "detail": "", "code": "session_not_found",
            "request_id": "x", "error": "",
        });
        ("404 Not Found", problem)
    };
    let body = body.to_string();
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    _ = stream.write_all(text.as_bytes()).await;
}

/// Serves memos beside a session service that knows one focus session and takes its time.
async fn start_beside(own: Uuid, delay: Duration) -> (Stage, TestApp) {
    let stage = Stage::new(domain::principal::Service::Memo, memo::app::MIGRATIONS).await;
    let mut config = config(&stage);
    let url = format!("http://{}", session_service(own, delay).await);
    config.services.session_urls = Urls(vec![url.parse().unwrap()]);
    let app = stage.serve(memo::build(config, stage.clock.clone()).unwrap());
    (stage, app)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_shows_memos_and_focus_sessions_together() {
    let own = Uuid::from_u128(5);
    let (stage, app) = start_beside(own, Duration::ZERO).await;
    let kim = app.as_user();
    kim.post("/memo", json!({ "content": "오늘" })).await.assert_status(201);
    let today = stage.clock.now().date_naive();
    let day = kim.get(&format!("/memo/daily?date={today}&tz=UTC")).await.assert_status(200);
    assert_eq!((day.text("/date"), day.text("/tz")), (today.to_string().as_str(), "UTC"));
    assert_eq!((day.text("/memos/0/content"), day.text("/sessions/0/subject")), ("오늘", "글쓰기"));
    assert_eq!((&day.json["partial"], &day.json["missing"]), (&json!(false), &json!([])));
    let tomorrow = today.succ_opt().unwrap();
    assert_eq!(kim.get(&format!("/memo/daily?date={tomorrow}&tz=UTC")).await.json["memos"], json!([]));
    for (query, pointers) in [
        ("", vec!["?date", "?tz"]),
        ("date=2026-02-30&tz=UTC", vec!["?date"]),
        ("date=2026-02-28&tz=Seoul", vec!["?tz"]),
    ] {
        let answer = kim.get(&format!("/memo/daily?{query}")).await.assert_problem(422, "invalid");
        let errors = answer.json["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap());
        assert_eq!(errors.collect::<Vec<_>>(), pointers);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_session_service_a_day_is_shown_in_time_and_says_what_is_missing() {
    let (stage, away) = start().await;
    let (late_stage, late) = start_beside(Uuid::from_u128(5), Duration::from_mins(1)).await;
    for (stage, app) in [(&stage, &away), (&late_stage, &late)] {
        let kim = app.as_user();
        kim.post("/memo", json!({ "content": "오늘" })).await.assert_status(201);
        let today = stage.clock.now().date_naive();
        let mut fastest = Duration::MAX;
        // More often than it takes until nobody is asked any more, which is after five.
        for n in 0..7 {
            let asked = Instant::now();
            let day = kim.get(&format!("/memo/daily?date={today}&tz=UTC")).await.assert_status(200);
            if n < 5 {
                fastest = fastest.min(asked.elapsed());
            }
            assert_eq!((&day.json["partial"], &day.json["missing"]), (&json!(true), &json!(["sessions"])));
            assert_eq!((day.text("/memos/0/content"), &day.json["sessions"]), ("오늘", &json!([])));
        }
        // Of those that wait: a busy machine may make one of them late, and not each of them.
        assert!(fastest < A_DAY_TAKES, "{fastest:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memo_belongs_to_a_focus_session_of_its_owner_or_to_none() {
    let own = Uuid::from_u128(5);
    let (_stage, app) = start_beside(own, Duration::ZERO).await;
    let kim = app.as_user();
    let made = kim.post("/memo", json!({ "content": "집중", "session_id": own })).await.assert_status(201);
    assert_eq!(made.text("/session_id"), own.to_string());
    let path = format!("/memo/{}", made.text("/id"));
    for foreign in [Uuid::from_u128(6).to_string(), "6720e4b1c2d3a4b5c6d7e8f9".to_owned(), String::new()] {
        let body = json!({ "content": "집중", "session_id": foreign });
        let refused = kim.post("/memo", body.clone()).await.assert_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), "/session_id");
        assert_eq!(refused.text("/errors/0/code"), "session_not_found");
        kim.put(&path, body).await.assert_problem(422, "invalid");
    }
    let list = kim.get(&format!("/memo/list?session_id={own}")).await.assert_status(200);
    assert_eq!(list.json.as_array().unwrap().len(), 1);
    let none = kim.put(&path, json!({ "session_id": null })).await.assert_status(200);
    assert!(none.json.get("session_id").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_cannot_be_checked_is_not_written_and_can_be_sent_again() {
    let own = Uuid::from_u128(5);
    let (stage, app) = start().await;
    let kim = app.as_user();
    let (body, key) = (json!({ "content": "집중", "session_id": own }), [("idempotency-key", "k1")]);
    let refused = kim.post_with("/memo", body.clone(), &key).await.assert_problem(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "1");
    kim.post("/memo", json!({ "content": "집중" })).await.assert_status(201);

    let mut config = config(&stage);
    let url = format!("http://{}", session_service(own, Duration::ZERO).await);
    config.services.session_urls = Urls(vec![url.parse().unwrap()]);
    let healed = stage.serve(memo::build(config, stage.clock.clone()).unwrap());
    let kim_again = healed.as_principal(kim.principal().unwrap());
    let made = kim_again.post_with("/memo", body.clone(), &key).await.assert_status(201);
    // What was answered once is answered again, and nobody is asked.
    let replayed = kim.post_with("/memo", body, &key).await.assert_status(201);
    assert_eq!(replayed.json, made.json);
}
