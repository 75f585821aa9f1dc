//! Sessions for those who have a ticket.

use std::time::{Duration, Instant};

use domain::principal::Service;
use serde_json::json;
use testkit::{Stage, TestApp, TestClient};

use crate::{
    SESSIONS, config, join, nowhere,
    scripted::{Script, Scripted},
};

const EVENT: &str = "01900000-0000-7000-8000-0000000000aa";

struct Hall {
    _stage: Stage,
    app: TestApp,
    ticketing: Scripted,
    code: String,
}

impl Hall {
    /// Opens a session of an event.
    async fn open(script: Script) -> Self {
        let stage = Stage::new(Service::Session, session::app::MIGRATIONS).await;
        let ticketing = Scripted::start(script);
        let mut config = config(&stage);
        config.services.ticketing_urls = ticketing.urls();
        let app = stage.serve(session::build(config, stage.clock.clone()).unwrap());
        let code = open_event(&app.as_user()).await;
        Self { _stage: stage, app, ticketing, code }
    }
}

async fn open_event(kim: &TestClient) -> String {
    let made = kim.post(SESSIONS, json!({ "title": "공연", "event_id": EVENT })).await.assert_status(201);
    kim.post(&format!("{SESSIONS}/{}/activate", made.text("/id")), json!({})).await.assert_status(200);
    made.text("/session_code").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_ticket_comes_in_and_nobody_else() {
    let hall = Hall::open(Script::Says(200, json!({ "has_ticket": true }))).await;
    let lee = hall.app.as_user();
    let joined = join(&lee, &hall.code, "이주최").await.assert_status(201);
    assert_eq!(joined.json["session"]["requires_ticket"], true);
    assert_eq!(hall.ticketing.asked(), [format!("GET /internal/events/{EVENT}/ticket-holders/{}", lee.user_id)]);

    hall.ticketing.now(Script::Says(200, json!({ "has_ticket": false })));
    let refused = join(&hall.app.as_user(), &hall.code, "박관리").await.assert_problem(403, "ticket_required");
    assert_eq!(refused.text("/detail"), "이 세션은 예매가 확정된 사람만 참여할 수 있습니다.");
    // A guest has nothing to show, so nobody is asked.
    join(&hall.app.anonymous(), &hall.code, "손님").await.assert_problem(403, "ticket_required");
    assert_eq!(hall.ticketing.asked().len(), 2);
    let shown = hall.app.anonymous().get(&format!("{SESSIONS}/code/{}", hall.code)).await.assert_status(200);
    assert_eq!((&shown.json["requires_ticket"], &shown.json["participant_count"]), (&json!(true), &json!(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_clear_word_nobody_comes_in() {
    let hall = Hall::open(Script::Sleeps).await;
    let begun = Instant::now();
    join(&hall.app.as_user(), &hall.code, "이주최").await.assert_problem(503, "unavailable");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let problem = json!({
        "type": "x", "title": "x", "status": 404, "detail": "x", "code": "not_found", "request_id": "x", "error": "x",
    });
    for script in [
        Script::Says(404, problem.clone()),
        Script::Says(403, problem),
        Script::Says(404, json!({})),
        Script::Says(500, json!({})),
    ] {
        hall.ticketing.now(script.clone());
        let refused = join(&hall.app.as_user(), &hall.code, "이주최").await.assert_problem(503, "unavailable");
        assert_eq!(refused.header("retry-after"), "1", "{script:?}");
    }
    let shown = hall.app.anonymous().get(&format!("{SESSIONS}/code/{}", hall.code)).await;
    assert_eq!(shown.json["participant_count"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_not_the_contracts_lets_nobody_in() {
    let hall = Hall::open(Script::Says(200, json!({}))).await;
    for script in [json!({}), json!({ "has_ticket": "true" }), json!({ "has_ticket": null }), json!(true)] {
        hall.ticketing.now(Script::Says(200, script.clone()));
        join(&hall.app.as_user(), &hall.code, "이주최").await.assert_problem(503, "unavailable");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_ticketing_service_only_sessions_of_events_are_closed() {
    let stage = Stage::new(Service::Session, session::app::MIGRATIONS).await;
    let config = config(&stage);
    assert_eq!(config.services.ticketing_urls, nowhere());
    let app = stage.serve(session::build(config, stage.clock.clone()).unwrap());
    let code = open_event(&app.as_user()).await;
    join(&app.as_user(), &code, "이주최").await.assert_problem(503, "unavailable");
    let (_path, free) = crate::open(&app.as_user()).await;
    join(&app.as_user(), &free, "이주최").await.assert_status(201);
}
