//! Ten thousand focus sessions are over within one second, and a replica, Redis' memory and PostgreSQL itself do not
//! live to see the end of it.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use testkit::{
    eventually,
    storm::{FOCUS_SESSIONS as SESSIONS, FOCUS_STORM},
};

use crate::{
    database::{self, number},
    faults::empty_redis,
    person::Person,
    stack::{RECOVERY, Stack},
};

async fn completed(stack: &Stack) -> i64 {
    let query = "SELECT count(*) FROM focus_sessions WHERE status = 'completed' AND subject = 'storm'";
    number(stack, "session", query).await.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_dies_in_the_middle_of_ten_thousand_completions() {
    let stack = Stack::up("session=3");
    let kim = Person::register(stack.gateway(), "kim@example.com").await;
    let body = json!({ "subject": "글쓰기", "duration": 25, "break_duration": 5 });
    let own = kim.post("/session", body).await.ok(201).text("/id");
    let start = json!({ "status": "started" });
    kim.try_send(Method::PUT, &format!("/session/{own}/status"), Some(start)).await.unwrap().ok(200);
    database::of_service(&stack, "session").await.unwrap().batch_execute(FOCUS_STORM).await.unwrap();
    empty_redis(&stack).await;

    eventually(RECOVERY, || async { completed(&stack).await > 500 }).await;
    let [replica, ..] = stack.pids("session")[..] else { panic!("three of them") };
    Stack::kill(replica);
    empty_redis(&stack).await;
    let [postgres] = stack.pids("postgres")[..] else { panic!("one PostgreSQL") };
    Stack::kill(postgres);
    eventually(RECOVERY, || async { completed(&stack).await > 0 }).await;
    // What was committed when it died is still committed.
    eventually(Duration::from_secs(150), || async { completed(&stack).await == SESSIONS }).await;

    let once = "SELECT count(*) FROM focus_sessions JOIN fired ON fired.session_id = id WHERE version = 2 \
                AND ended_at = fired.due_at";
    for (what, query, expected) in [
        ("completions", "SELECT count(*) FROM fired", SESSIONS),
        ("each of another session", "SELECT count(DISTINCT session_id) FROM fired", SESSIONS),
        ("by one version, at their due time", once, SESSIONS),
        ("early ones", "SELECT count(*) FROM fired WHERE at < due_at", 0),
        ("news", "SELECT count(*) FROM written", SESSIONS),
        ("news of each", "SELECT count(DISTINCT session_id) FROM written", SESSIONS),
        ("spans", "SELECT count(*) FROM focus_intervals", SESSIONS),
    ] {
        assert_eq!(number(&stack, "session", query).await, Some(expected), "{what}");
    }
    eventually(Duration::from_mins(1), || async {
        number(&stack, "session", "SELECT count(*) FROM outbox").await == Some(0)
    })
    .await;
    // Who was in the middle of a session still is.
    let current = kim.get("/session/current").await.ok(200);
    assert_eq!((current.text("/id"), current.text("/status")), (own, "started".to_owned()));
}
