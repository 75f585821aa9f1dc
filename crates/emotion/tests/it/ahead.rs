//! Who answers is asked from memory while the database has not answered yet, and nothing is told that it does not bear out.

use std::time::Duration;

use chassis::pg::Connection;
use diesel_async::SimpleAsyncConnection;
use serde_json::json;
use testkit::{Socket, Stage, TestApp, TestClient, eventually, openai::OpenAiServer};
use tokio::time::timeout;

use crate::{hear, open, say, serve_scripted, start_scripted, steps};

/// Longest until something is asked that waits for no database.
const SOON: Duration = Duration::from_secs(5);
/// Long enough to be told something.
const A_WHILE: Duration = Duration::from_millis(300);

/// Somebody who has said something and was answered.
struct Talk {
    stage: Stage,
    kim: TestClient,
    _app: TestApp,
    server: OpenAiServer,
    socket: Socket,
    session_id: String,
    first: String,
}

impl Talk {
    async fn begin() -> Self {
        let (stage, app, server) = start_scripted().await;
        let kim = app.as_user();
        let (mut socket, session_id) = open(&kim, None).await;
        say(&mut socket, "회의에서 혼났어").await;
        let (first, done) = hear(&mut socket).await;
        assert_eq!(done["status"], "complete");
        Self { stage, kim, _app: app, server, socket, session_id, first }
    }

    /// Holds the conversation's row, so that nobody can write a step, until [`let_go`].
    async fn hold(&self) -> Connection {
        hold(&self.stage, &self.session_id).await
    }

    /// Says something that the model is asked about before it can be written.
    async fn say_ahead(&mut self, text: &str) {
        say(&mut self.socket, text).await;
        let server = &self.server;
        eventually(SOON, || async { server.streamed().len() == 2 }).await;
        assert!(timeout(A_WHILE, self.socket.next_text()).await.is_err(), "told before it was written");
    }
}

async fn hold(stage: &Stage, session_id: &str) -> Connection {
    let mut holder = stage.pg().conn().await.unwrap();
    let row = format!("BEGIN; SELECT FROM emotion_sessions WHERE id = '{session_id}' FOR UPDATE");
    holder.batch_execute(&row).await.unwrap();
    holder
}

async fn let_go(mut holder: Connection) {
    holder.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_asked_before_the_step_is_written_and_told_after_it() {
    let mut talk = Talk::begin().await;
    let holder = talk.hold().await;
    talk.say_ahead("그래서 속상해").await;
    let_go(holder).await;
    let (text, done) = hear(&mut talk.socket).await;
    let asked = talk.server.streamed();
    assert_eq!((asked.len(), &text, &done["status"]), (2, &asked[1].sent, &json!("complete")));
    assert_eq!(asked[1].messages("user"), ["회의에서 혼났어", "그래서 속상해"]);
    assert_eq!(asked[1].messages("assistant"), [talk.first]);
    let kept = steps(&talk.kim, &talk.session_id).await;
    assert_eq!((kept.len(), kept[1]["gpt_response"].as_str()), (2, Some(text.as_str())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_changed_meanwhile_is_asked_again() {
    let mut talk = Talk::begin().await;
    let holder = talk.hold().await;
    talk.server.next("n=30");
    talk.say_ahead("그래서 속상해").await;
    let prompt = json!({ "prompt": "반말로 해 줘" });
    talk.kim.put("/emotion/prompt", prompt).await.assert_status(200);
    let_go(holder).await;
    let (text, done) = hear(&mut talk.socket).await;
    let asked = talk.server.streamed();
    assert_eq!((asked.len(), &text, &done["status"]), (3, &asked[2].sent, &json!("complete")));
    assert!(!asked[1].messages("system")[0].contains("반말로") && asked[2].messages("system")[0].contains("반말로"));
    assert_eq!(steps(&talk.kim, &talk.session_id).await[1]["gpt_response"], text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_is_told_nothing_and_is_not_asked_ahead_for_again() {
    let mut talk = Talk::begin().await;
    let mut holder = talk.hold().await;
    talk.server.always("ttft=60000");
    talk.say_ahead("그래서 속상해").await;
    let ended = format!("UPDATE emotion_sessions SET ended_at = now() WHERE id = '{}'", talk.session_id);
    holder.batch_execute(&ended).await.unwrap();
    let_go(holder).await;
    for _ in 0..2 {
        assert_eq!(talk.socket.next_json().await["error"]["code"], "session_ended");
        say(&mut talk.socket, "아직 있어?").await;
    }
    let server = &talk.server;
    eventually(SOON, || async { server.live() == 0 }).await;
    assert_eq!(server.streamed().len(), 2, "a refusal leaves nothing to remember");
    assert_eq!(steps(&talk.kim, &talk.session_id).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_erased_is_not_sent_once_more_wherever_that_was() {
    for is_elsewhere in [false, true] {
        let mut talk = Talk::begin().await;
        let replica = serve_scripted(&talk.stage, &talk.server);
        let path = format!("/emotion/sessions/{}", talk.session_id);
        let there = replica.as_principal(talk.kim.principal().unwrap());
        let who = if is_elsewhere { &there } else { &talk.kim };
        who.delete(&path).await.assert_status(204);
        // Until the other replica has heard of it.
        tokio::time::sleep(Duration::from_secs(u64::from(is_elsewhere))).await;
        say(&mut talk.socket, "그래서 속상해").await;
        assert_eq!(talk.socket.next_json().await["error"]["code"], "session_not_found");
        assert_eq!(talk.server.streamed().len(), 1, "elsewhere: {is_elsewhere}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_words_on_a_socket_find_a_conversation_remembered_that_was_looked_at() {
    let (stage, app, server) = start_scripted().await;
    let kim = app.as_user();
    // Nobody is told when it has been looked at, so somebody comes until their words are quicker than the database.
    for pause in 1..40_u64 {
        // Nobody listens to this conversation, so nothing of it is remembered before somebody comes.
        let session_id = kim.post("/emotion/sessions", json!({})).await.text("/session_id").to_owned();
        let said = json!({ "session_id": session_id, "user_input": "회의에서 혼났어" });
        let first = kim.post("/emotion/steps/generate", said).await.assert_status(200);
        let (mut socket, _) = open(&kim, Some(&session_id)).await;
        tokio::time::sleep(Duration::from_millis(10 * pause)).await;
        let (holder, before) = (hold(&stage, &session_id).await, server.streamed().len());
        say(&mut socket, "다시 왔어").await;
        tokio::time::sleep(A_WHILE).await;
        let is_ahead = server.streamed().len() > before;
        let_go(holder).await;
        hear(&mut socket).await;
        let asked = server.streamed();
        assert_eq!(asked.len(), before + 1, "asked once, whenever it was");
        assert_eq!(asked[before].messages("assistant"), [first.text("/gpt_response")]);
        if is_ahead {
            return;
        }
    }
    panic!("never asked before the database");
}
