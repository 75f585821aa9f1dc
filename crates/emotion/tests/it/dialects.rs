//! Both dialects, each answered in kind.

use serde_json::{Value, json};
use testkit::{Socket, TestClient, openai::Script};
use tokio_tungstenite::tungstenite::Message;

use crate::{hear, open, path, say, start, start_impatient, start_scripted, steps};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documents_example_is_answered_with_the_documents_frames_in_their_order() {
    let (_stage, app, server) = start_scripted().await;
    server.always(Script::saying("ㄱ ㄴ ㄷ"));
    let kim = app.as_user();
    let mut socket = kim.socket(&path(&kim, None)).await;
    let opened = socket.next_text().await;
    assert!(opened.starts_with(r#"{"session_id":""#), "{opened}");
    let example = r#"{
  "user_input": "요즘 기분이 별로야.",
  "step_type": "normal",
  "system_prompt": "너는 감정 전문 상담사야"
}"#;
    socket.send(Message::text(example)).await;
    for (place, token) in (1..).zip(["ㄱ ", "ㄴ ", "ㄷ"]) {
        let frame = socket.next_text().await;
        let documented = format!(r#"{{"token":{},"seq":{place},"step_id":""#, json!(token));
        assert!(frame.starts_with(&documented), "{frame}");
    }
    let done = socket.next_text().await;
    assert!(done.starts_with(r#"{"done":true,"step_id":""#), "{done}");
    let created_at = done.find(r#","created_at":""#).unwrap();
    assert!(done[created_at..].contains(r#"Z","#) && created_at < 70, "right behind the step: {done}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_else_a_client_says_the_documents_dialect_has_only_its_own_frames() {
    let (_stage, app, server) = start_scripted().await;
    server.always(Script::saying("ㄱ ㄴ ㄷ ㄹ"));
    let kim = app.as_user();
    let mut socket = kim.socket(&path(&kim, None)).await;
    assert!(socket.next_json().await["session_id"].is_string());
    for frame in [r#"{"type":"ping"}"#, r#"{"type":"message","text":"안녕"}"#] {
        socket.send(Message::text(frame)).await;
    }
    let (text, done) = hear(&mut socket).await;
    assert_eq!((&done["done"], text.is_empty()), (&json!(true), false));
    for frame in [r#"{"type":"stop"}"#, r#"{"type":"resume","after":2}"#] {
        socket.send(Message::text(frame)).await;
    }
    // A stop of what has ended is silent, and a resume brings what was asked for.
    let mut places = Vec::new();
    let done = loop {
        let frame = socket.next_json().await;
        match frame["seq"].as_i64() {
            Some(place) if frame["token"].is_string() => places.push(place),
            _ => break frame,
        }
    };
    assert_eq!((places, &done["done"]), (vec![3, 4], &json!(true)));
}

async fn open_typed(who: &TestClient, session_id: Option<&str>) -> Socket {
    let mut socket = who.socket(&path(who, session_id)).await;
    socket.next_json().await;
    socket.send_json(&json!({ "type": "open" })).await;
    let opened = socket.next_json().await;
    assert_eq!(opened["type"], "open_ok", "{opened}");
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_opens_with_types_gets_types() {
    let (_stage, app, server) = start_scripted().await;
    server.always(Script::saying("ㄱ ㄴ ㄷ ㄹ"));
    let kim = app.as_user();
    let mut socket = open_typed(&kim, None).await;
    socket.send_json(&json!({ "type": "ping" })).await;
    assert_eq!(socket.next_json().await, json!({ "type": "pong" }));
    socket.send_json(&json!({ "type": "message", "text": "안녕", "client_msg_id": "m1" })).await;
    let begins = socket.next_json().await;
    assert_eq!((&begins["type"], &begins["client_msg_id"]), (&json!("message_start"), &json!("m1")), "{begins}");
    assert_eq!((&begins["step_order"], &begins["provider"]), (&json!(1), &json!("openai")));
    let mut text = String::new();
    let end = loop {
        let frame = socket.next_json().await;
        if frame["type"] != "message_delta" {
            break frame;
        }
        text.push_str(frame["delta"].as_str().unwrap());
        assert_eq!(frame["step_id"], begins["step_id"]);
    };
    assert_eq!((&end["type"], &end["status"], &end["seq"]), (&json!("message_end"), &json!("complete"), &json!(4)));
    assert_eq!(text, server.streamed()[0].sent);
    socket.send_json(&json!({ "type": "message", "text": "" })).await;
    let error = socket.next_json().await;
    assert_eq!((&error["type"], &error["error"]["code"]), (&json!("error"), &json!("empty_input")), "{error}");
    assert_eq!(error["message"], error["error"]["message"]);
    socket.send_json(&json!({ "type": "stop" })).await;
    let stopped = socket.next_json().await;
    assert_eq!((&stopped["type"], &stopped["stopped"]), (&json!("stop_ok"), &json!(false)), "{stopped}");

    socket.send_json(&json!({ "type": "close", "topic": "회사 일" })).await;
    assert_eq!(socket.next_json().await["type"], "close_ok");
    assert_eq!(socket.closed().await, Some(1000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_conversation_takes_no_more_messages() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (mut socket, session_id) = open(&kim, None).await;
    say(&mut socket, "안녕").await;
    hear(&mut socket).await;
    kim.post(&format!("/emotion/sessions/{session_id}/end"), json!({})).await.assert_status(200);
    say(&mut socket, "아직 있어?").await;
    assert_eq!(socket.next_json().await["error"]["code"], "session_ended");
    let body = json!({ "session_id": session_id, "user_input": "여보세요" });
    kim.post("/emotion/steps/generate", body).await.assert_problem(409, "session_ended");
    assert_eq!(steps(&kim, &session_id).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_with_a_name_is_said_once() {
    let (_stage, app, server) = start_impatient(4_000).await;
    let kim = app.as_user();
    let (mut socket, session_id) = open(&kim, None).await;
    let message = json!({ "user_input": "한 번만", "client_msg_id": "once" });
    socket.send_json(&message).await;
    let (text, done) = hear(&mut socket).await;
    assert_eq!((&done["client_msg_id"], &done["duplicate"]), (&json!("once"), &Value::Null));
    let (mut other, _) = open(&kim, Some(&session_id)).await;
    other.send_json(&message).await;
    let (again, repeated) = hear(&mut other).await;
    assert_eq!((again, &repeated["step_id"], &repeated["duplicate"]), (text, &done["step_id"], &json!(true)));
    other.send_json(&json!({ "user_input": "다른 말", "client_msg_id": "once" })).await;
    assert_eq!(other.next_json().await["error"]["code"], "id_reused");
    assert_eq!((steps(&kim, &session_id).await.len(), server.streamed().len()), (1, 1));

    // While the reply grows, whoever says it again sees it from its beginning.
    // Letters that begin no phrase a reply may not hold: none of them is held back.
    server.next(Script { stall: Some(6), ..Script::saying("ㄱ ㄴ ㄷ ㄹ ㅁ ㅂ ㅅ") });
    let slow = json!({ "user_input": "천천히", "client_msg_id": "slow" });
    socket.send_json(&slow).await;
    assert_eq!(socket.next_json().await["seq"], 1);
    let (mut third, _) = open(&kim, Some(&session_id)).await;
    third.send_json(&slow).await;
    for place in 1..=6 {
        assert_eq!(third.next_json().await["seq"], place);
    }
    assert_eq!(server.streamed().len(), 2);

    // What was interrupted is tried again, in the same step.
    assert_eq!(hear(&mut third).await.1["error"]["code"], "reply_interrupted");
    third.send_json(&slow).await;
    let (whole, done) = hear(&mut third).await;
    assert_eq!((whole, &done["done"]), (server.streamed()[2].sent.clone(), &json!(true)));
    assert_eq!(steps(&kim, &session_id).await.len(), 2);
}
