//! Conversations and steps over plain requests.

use chassis::socket::Patience;
use emotion::{app::App, commands, companion::OfflineCompanion};
use serde_json::{Value, json};

use crate::{config, open, start, steps};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_looks_the_same_wherever_it_is_shown() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let body = json!({ "user_id": kim.user_id, "emotion_label": "불안", "topic": " 발표 " });
    let made = kim.post("/emotion/sessions", body).await.assert_status(201);
    let keys: Vec<_> = made.json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "emotion_label",
            "ended_at",
            "insight_summary",
            "session_id",
            "started_at",
            "topic",
            "trigger_summary",
            "user_id"
        ]
    );
    assert_eq!((made.text("/topic"), made.text("/emotion_label")), ("발표", "불안"));
    assert_eq!((&made.json["ended_at"], made.text("/user_id")), (&Value::Null, kim.user_id.to_string().as_str()));
    assert_eq!(made.text("/started_at"), domain::time::rfc3339(stage.clock.now()));

    let shown = kim.get(&format!("/emotion/sessions/{}", made.text("/session_id"))).await.assert_status(200);
    let list = kim.get(&format!("/emotion/sessions/user/{}", kim.user_id)).await.assert_status(200);
    assert_eq!((&shown.json, &list.json), (&made.json, &json!([made.json])));
    kim.post("/emotion/sessions/", json!({})).await.assert_status(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_belongs_to_somebody_else_is_not_shown() {
    let (_stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let made = kim.post("/emotion/sessions", json!({})).await.assert_status(201);
    let id = made.text("/session_id");
    lee.get(&format!("/emotion/sessions/{id}")).await.assert_problem(404, "session_not_found");
    lee.get(&format!("/emotion/steps/{id}")).await.assert_problem(404, "session_not_found");
    lee.get("/emotion/sessions/one").await.assert_problem(404, "not_found");
    lee.get(&format!("/emotion/sessions/user/{}", kim.user_id)).await.assert_problem(403, "forbidden");
    lee.post("/emotion/sessions", json!({ "user_id": kim.user_id })).await.assert_problem(403, "forbidden");
    let body = json!({ "session_id": id, "user_input": "안녕" });
    lee.post("/emotion/steps/generate", body.clone()).await.assert_problem(404, "session_not_found");
    for (nobody, code) in [(app.anonymous(), "unauthenticated"), (app.without_token(), "unauthenticated")] {
        nobody.get(&format!("/emotion/sessions/{id}")).await.assert_problem(401, code);
        nobody.get(&format!("/emotion/steps/{id}")).await.assert_problem(401, code);
        nobody.post("/emotion/steps/generate", body.clone()).await.assert_problem(401, code);
        nobody.post("/emotion/sessions", json!({})).await.assert_problem(401, code);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_list_comes_in_pages_newest_first() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(kim.post("/emotion/sessions", json!({})).await.json["session_id"].clone());
        stage.clock.advance(std::time::Duration::from_secs(1));
    }
    made.reverse();
    let mut seen = Vec::new();
    let mut next = Some(format!("/emotion/sessions/user/{}?limit=2", kim.user_id));
    while let Some(path) = next {
        let page = kim.get(&path).await.assert_status(200);
        assert_eq!(page.header("x-total-count"), "5");
        seen.extend(page.json.as_array().unwrap().iter().map(|session| session["session_id"].clone()));
        let link = page.header("link").strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\""));
        next = link.map(ToOwned::to_owned);
    }
    assert_eq!(seen, made);
    let own = format!("/emotion/sessions/user/{}", kim.user_id);
    kim.get(&format!("{own}?limit=501")).await.assert_problem(422, "invalid");
    kim.get(&format!("{own}?cursor={}", kim.user_id)).await.assert_problem(422, "invalid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generated_step_is_answered_whole_and_takes_the_next_place() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (_socket, session_id) = open(&kim, None).await;
    let body = json!({
        "session_id": session_id, "user_input": "회사 일로 지쳤어", "step_order": 9, "step_type": "situation",
        "temperature": 0.72, "max_completion_tokens": 500, "insight_tag": "일"
    });
    let step = kim.post("/emotion/steps/generate", body).await.assert_status(200);
    let keys: Vec<_> = step.json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "created_at",
            "emotion",
            "gpt_response",
            "insight_tag",
            "provider",
            "session_id",
            "status",
            "step_id",
            "step_order",
            "step_type",
            "user_input"
        ]
    );
    assert_eq!(
        (&step.json["step_order"], step.text("/step_type"), step.text("/insight_tag")),
        (&json!(1), "situation", "일")
    );
    assert_eq!((step.text("/status"), step.text("/provider")), ("complete", "offline"));
    assert_eq!(json!(steps(&kim, &session_id).await), json!([step.json]));
    let list = kim.get(&format!("/emotion/steps/{session_id}?limit=1")).await;
    assert_eq!((list.header("x-total-count"), list.header("link")), ("1", ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_says_and_makes_it_once() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let key = [("idempotency-key", "k-1")];
    let first = kim.post_with("/emotion/sessions", json!({ "topic": "하나" }), &key).await.assert_status(201);
    let again = kim.post_with("/emotion/sessions", json!({ "topic": "하나" }), &key).await.assert_status(201);
    assert_eq!(first.json, again.json);
    let other = kim.post_with("/emotion/sessions", json!({ "topic": "둘" }), &key).await;
    other.assert_problem(422, "idempotency_key_reused");

    let session_id = first.text("/session_id");
    let body = json!({ "session_id": session_id, "user_input": "한 번만 말할게" });
    let said = kim.post_with("/emotion/steps/generate", body.clone(), &key).await.assert_status(200);
    let again = kim.post_with("/emotion/steps/generate", body, &key).await.assert_status(200);
    assert_eq!(said.json, again.json);
    assert_eq!(steps(&kim, session_id).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_invalid_field_is_named_at_once() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let pointers = |answer: testkit::Answer| -> Vec<String> {
        let errors = answer.assert_problem(422, "invalid").json["errors"].as_array().unwrap().clone();
        errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
    };
    let body = json!({
        "topic": "가".repeat(201), "emotion_label": "a\u{0}b",
        "started_at": "2026-11-21T10:00:00Z", "ended_at": "2026-11-21T09:59:59Z"
    });
    assert_eq!(pointers(kim.post("/emotion/sessions", body).await), ["/emotion_label", "/topic", "/ended_at"]);
    let made = kim.post("/emotion/sessions", json!({})).await;
    let body = json!({
        "session_id": made.text("/session_id"), "user_input": " ", "step_type": "?", "temperature": 3.0,
        "max_completion_tokens": 0, "insight_tag": "가".repeat(65)
    });
    assert_eq!(
        pointers(kim.post("/emotion/steps/generate", body).await),
        ["/insight_tag", "/temperature", "/max_completion_tokens", "/user_input", "/step_type"]
    );
    kim.post("/emotion/sessions", json!({ "role": "admin" })).await.assert_problem(400, "malformed");
    kim.post("/emotion/sessions", json!({ "started_at": "yesterday" })).await.assert_problem(400, "malformed");
    assert_eq!(steps(&kim, made.text("/session_id")).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_conversation_takes_no_more_messages() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let body = json!({ "started_at": "2026-11-20T10:00:00Z", "ended_at": "2026-11-20T11:00:00+00:00" });
    let made = kim.post("/emotion/sessions", body).await.assert_status(201);
    assert_eq!(made.text("/ended_at"), "2026-11-20T11:00:00.000Z");
    let said = json!({ "session_id": made.text("/session_id"), "user_input": "하나 더" });
    kim.post("/emotion/steps/generate", said).await.assert_problem(409, "session_ended");
    let (mut socket, _) = open(&kim, Some(made.text("/session_id"))).await;
    crate::say(&mut socket, "하나 더").await;
    assert_eq!(socket.next_json().await["error"]["code"], "session_ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_conversation_is_made_once() {
    let (stage, app) = start().await;
    for _ in 0..2 {
        let companion = std::sync::Arc::new(OfflineCompanion::default());
        let program = App::new(config(&stage), stage.clock.clone(), companion, Patience::default()).unwrap();
        commands::run(program, commands::Command::Seed).await.unwrap();
    }
    let demo = app.as_principal(domain::principal::Principal {
        user_id: domain::ids::UserId(domain::demo::USER.id),
        login_id: stage.clock.id(),
        role: domain::demo::USER.role,
    });
    let list = demo.get(&format!("/emotion/sessions/user/{}", demo.user_id)).await.assert_status(200);
    assert_eq!(list.json.as_array().unwrap().len(), 1);
    let kept = steps(&demo, list.text("/0/session_id")).await;
    assert_eq!(kept.len(), 2);
    assert!(kept.iter().all(|step| step["status"] == "complete" && step["provider"] == "offline"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_says_that_the_companion_is_offline_and_the_document_describes_the_socket() {
    let (_stage, app) = start().await;
    let health = app.without_token().get("/health").await.assert_status(200);
    assert_eq!((health.text("/status"), health.text("/parts/llm_offline/status")), ("ok", "ok"));
    let document = app.without_token().get("/openapi.json").await.assert_status(200);
    let socket = &document.json["paths"]["/ws/emotion"]["get"];
    assert!(socket["description"].as_str().unwrap().contains("4404"), "{socket}");
    assert!(document.json["components"]["schemas"]["ServerFrame"].is_object());
}
