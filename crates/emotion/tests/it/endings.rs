//! How conversations end, and how they are deleted.

use std::time::Duration;

use chassis::socket::Patience;
use serde_json::{Value, json};
use testkit::eventually;

use crate::{Prompted, hear, open, say, start, start_with, steps};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_is_written_once_and_takes_no_more_messages() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let made = kim.post("/emotion/sessions", json!({ "topic": "발표" })).await.assert_status(201);
    let id = made.text("/session_id");
    let said = json!({ "session_id": id, "user_input": "내일 발표가 있어서 너무 불안하고 무서워요" });
    kim.post("/emotion/steps/generate", said.clone()).await.assert_status(200);
    stage.clock.advance(Duration::from_mins(5));
    let path = format!("/emotion/sessions/{id}/end");
    let ended = kim.post(&path, json!({ "insight_summary": " 잘하고 싶은 마음 " })).await.assert_status(200);
    assert_eq!(ended.text("/ended_at"), domain::time::rfc3339(stage.clock.now()));
    assert_eq!((ended.text("/topic"), ended.text("/insight_summary")), ("발표", "잘하고 싶은 마음"));
    let label = ended.text("/emotion_label");
    assert!(domain::feeling::Label::parse(label).is_some(), "made of the steps: {label}");

    stage.clock.advance(Duration::from_mins(5));
    let again = kim.post(&path, json!({ "insight_summary": "다른 것" })).await.assert_status(200);
    assert_eq!(again.json, ended.json);
    assert_eq!(kim.get(&format!("/emotion/sessions/{id}")).await.json, ended.json);
    kim.post("/emotion/steps/generate", said).await.assert_problem(409, "session_ended");
    let (mut socket, _) = open(&kim, Some(id)).await;
    say(&mut socket, "하나 더").await;
    assert_eq!(socket.next_json().await["error"]["code"], "session_ended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_needs_no_body_and_a_bad_one_is_refused() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let made = kim.post("/emotion/sessions", json!({})).await.assert_status(201);
    let path = format!("/emotion/sessions/{}/end", made.text("/session_id"));
    let refused = kim.post(&path, json!({ "topic": "a\u{0}b", "emotion_label": "가".repeat(65) })).await;
    let refused = refused.assert_problem(422, "invalid");
    assert_eq!((refused.text("/errors/0/pointer"), refused.text("/errors/1/pointer")), ("/emotion_label", "/topic"));
    kim.post(&path, json!({ "ended_at": "2026-11-28T00:00:00Z" })).await.assert_problem(400, "malformed");
    let ended = kim.send(kim.request(reqwest::Method::POST, &path)).await.assert_status(200);
    assert_eq!((&ended.json["ended_at"].is_string(), &ended.json["emotion_label"]), (&true, &Value::Null));

    // One in which nothing was said ends, too.
    let (_socket, unspoken) = open(&kim, None).await;
    kim.post(&format!("/emotion/sessions/{unspoken}/end"), json!({})).await.assert_status(200);
    kim.get(&format!("/emotion/sessions/{unspoken}")).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_is_deleted_with_its_steps_and_a_reply_that_is_being_written_ends() {
    let companion = Prompted::new(&["듣고 ", "있어요."]);
    let (_stage, app) = start_with(companion.clone(), Patience::default()).await;
    let kim = app.as_user();
    let (mut socket, id) = open(&kim, None).await;
    say(&mut socket, "지워질 말").await;
    companion.let_say(1);
    assert!(socket.next_json().await["token"].is_string());
    eventually(Duration::from_secs(5), || async { steps(&kim, &id).await.len() == 1 }).await;

    let path = format!("/emotion/sessions/{id}");
    app.as_user().delete(&path).await.assert_problem(404, "session_not_found");
    kim.delete(&path).await.assert_status(204);
    assert_eq!(hear(&mut socket).await.1["error"]["code"], "reply_interrupted");
    kim.get(&path).await.assert_problem(404, "session_not_found");
    kim.get(&format!("/emotion/steps/{id}")).await.assert_problem(404, "session_not_found");
    kim.delete(&path).await.assert_problem(404, "session_not_found");
    say(&mut socket, "아직 거기 있어?").await;
    assert_eq!(hear(&mut socket).await.1["error"]["code"], "session_not_found");

    let (_other, unspoken) = open(&kim, None).await;
    kim.delete(&format!("/emotion/sessions/{unspoken}")).await.assert_status(204);
    kim.get(&format!("/emotion/sessions/{unspoken}")).await.assert_problem(404, "session_not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_ends_deletes_or_looks_into_a_conversation() {
    let (_stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let made = kim.post("/emotion/sessions", json!({})).await.assert_status(201);
    let path = format!("/emotion/sessions/{}", made.text("/session_id"));
    lee.post(&format!("{path}/end"), json!({})).await.assert_problem(404, "session_not_found");
    lee.delete(&path).await.assert_problem(404, "session_not_found");
    lee.get(&format!("{path}/summary")).await.assert_problem(404, "session_not_found");
    lee.get(&format!("{path}/flow")).await.assert_problem(404, "session_not_found");
    lee.post(&format!("{path}/summary/memo"), json!({})).await.assert_problem(404, "session_not_found");
    for nobody in [app.anonymous(), app.without_token()] {
        nobody.post(&format!("{path}/end"), json!({})).await.assert_problem(401, "unauthenticated");
        nobody.delete(&path).await.assert_problem(401, "unauthenticated");
        nobody.get("/emotion/prompt").await.assert_problem(401, "unauthenticated");
        nobody.get("/emotion/sessions").await.assert_problem(401, "unauthenticated");
    }
    assert_eq!(kim.get(&path).await.assert_status(200).json["ended_at"], Value::Null);
    let own = kim.get("/emotion/sessions?limit=1").await.assert_status(200);
    assert_eq!((own.json.as_array().unwrap().len(), own.header("x-total-count")), (1, "1"));
    assert_eq!(lee.get("/emotion/sessions").await.assert_status(200).json, json!([]));
}
