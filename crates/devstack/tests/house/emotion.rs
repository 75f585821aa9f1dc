//! The conversation of the document, through the front door, compared letter by letter.

use std::net::SocketAddr;

use serde_json::{Value, json};
use testkit::Socket;

use crate::{
    person::Person,
    stack::{SEVERAL_OF_EACH, Stack},
};

/// What the document has a client send, comments and all but those.
const EXAMPLE: &str = r#"{
  "user_input": "요즘 기분이 별로야.",
  "step_type": "normal",
  "system_prompt": "너는 감정 전문 상담사야"
}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documents_conversation_is_held_letter_by_letter_through_the_gateway() {
    let stack = Stack::up(SEVERAL_OF_EACH);
    let gateway = stack.gateway().to_owned();
    let addr: SocketAddr = gateway.trim_start_matches("http://").parse().unwrap();
    let kim = Person::register(&gateway, "kim@example.com").await;
    let (session_id, step_id) = the_documents_frames(&kim).await;
    the_same_reply_as_events(&kim, &step_id).await;
    a_conversation_goes_on(&kim, &session_id).await;
    who_shows_a_token_in_the_first_frame(&kim, addr).await;
    nobody_and_somebody_else(&kim, &Person::register(&gateway, "lee@example.com").await, addr).await;
}

/// Holds the document's example and compares every frame with what the document says, and the additions behind it.
async fn the_documents_frames(kim: &Person) -> (String, String) {
    let mut socket = kim.socket(&format!("/ws/emotion?user_id={}", kim.id)).await;
    let opened = socket.next_text().await;
    let session_id = text_of(&opened, "session_id");
    let notice = json!(domain::safety::disclosure(domain::locale::Locale::Ko));
    assert_eq!(opened, format!(r#"{{"session_id":"{session_id}","notice":{notice}}}"#));

    socket.send_text(EXAMPLE).await;
    let mut frames = Vec::new();
    let done = loop {
        let frame = socket.next_text().await;
        if !frame.starts_with(r#"{"token":"#) {
            break frame;
        }
        frames.push(frame);
    };
    let (step_id, created_at) = (text_of(&done, "step_id"), text_of(&done, "created_at"));
    let documented = format!(r#"{{"done":true,"step_id":"{step_id}","created_at":"{created_at}","#);
    assert!(done.starts_with(&documented), "{done}");
    assert!(created_at.len() == 24 && created_at.ends_with('Z'), "{created_at}");

    let steps = kim.get(&format!("/emotion/steps/{session_id}")).await.ok(200);
    let kept = steps.text("/0/gpt_response");
    let pieces: Vec<_> = frames.iter().map(|frame| text_of(frame, "token")).collect();
    let documented =
        |(seq, piece): (u32, &String)| format!(r#"{{"token":{},"seq":{seq},"step_id":"{step_id}"}}"#, json!(piece));
    assert_eq!(frames, (1..).zip(&pieces).map(documented).collect::<Vec<_>>());
    assert!(pieces.len() > 3 && pieces.concat() == kept, "{pieces:?}");
    assert_eq!((steps.text("/0/step_id"), steps.text("/0/created_at")), (step_id.clone(), created_at));
    assert_eq!(steps.text("/0/user_input"), "요즘 기분이 별로야.");
    (session_id, step_id)
}

async fn the_same_reply_as_events(kim: &Person, step_id: &str) {
    let path = format!("/emotion/steps/{step_id}/stream");
    let answer = kim.get(&path).await.ok(200);
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let text = String::from_utf8(answer.body).unwrap();
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.contains("-end\ndata: {\"done\":true,"), "{last}");
    let ticket = kim.post("/auth/ws-ticket", json!({})).await.ok(200).text("/ticket");
    kim.signed_out().get(&format!("{path}?ticket={ticket}")).await.ok(200);
    kim.signed_out().get(&path).await.problem(401, "unauthenticated");
}

async fn a_conversation_goes_on(kim: &Person, session_id: &str) {
    let mut socket = kim.socket(&format!("/ws/emotion?user_id={}&session_id={session_id}", kim.id)).await;
    assert_eq!(text_of(&socket.next_text().await, "session_id"), session_id);
    kim.post(&format!("/emotion/sessions/{session_id}/end"), json!({})).await.ok(200);
    socket.send_text(r#"{"user_input":"하나 더"}"#).await;
    let refused: Value = socket.next_json().await;
    assert_eq!(refused["error"]["code"], "session_ended", "{refused}");
}

async fn who_shows_a_token_in_the_first_frame(kim: &Person, addr: SocketAddr) {
    let path = format!("/ws/emotion?user_id={}", kim.id);
    let mut socket = Socket::open(addr, &path, None, &[]).await;
    socket.send_json(&json!({ "type": "open", "access_token": kim.token })).await;
    assert_eq!(socket.next_json().await["type"], "open_ok");
    socket.send_json(&json!({ "type": "message", "text": "안녕" })).await;
    assert_eq!(socket.next_json().await["type"], "message_start");
    // The gateway does not know whose socket it is, and still it ends with the login.
    kim.post("/auth/logout", json!({})).await.ok(200);
    assert_eq!(socket.closed().await, Some(4401));
    let mut socket = Socket::open(addr, &path, None, &[]).await;
    socket.send_json(&json!({ "type": "open", "access_token": kim.token })).await;
    assert_eq!(socket.closed().await, Some(4401));
}

async fn nobody_and_somebody_else(kim: &Person, lee: &Person, addr: SocketAddr) {
    let kims = format!("/ws/emotion?user_id={}", kim.id);
    assert_eq!(lee.socket(&kims).await.closed().await, Some(4403));
    let mut socket = Socket::open(addr, &kims, None, &[]).await;
    socket.send_json(&json!({ "user_input": "안녕" })).await;
    assert_eq!(socket.closed().await, Some(4401));
    let nowhere = format!("/ws/emotion?user_id={}&session_id={}", lee.id, lee.id);
    assert_eq!(lee.socket(&nowhere).await.closed().await, Some(4404));
}

/// Returns a text of a frame.
fn text_of(frame: &str, key: &str) -> String {
    let frame: Value = serde_json::from_str(frame).unwrap();
    frame[key].as_str().unwrap_or_else(|| panic!("no {key} in {frame}")).to_owned()
}
