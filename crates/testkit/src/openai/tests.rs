use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::eventually;

async fn ask(server: &OpenAiServer, body: &Value) -> reqwest::Response {
    let http = crate::http_client();
    http.post(format!("{}/chat/completions", server.url())).json(body).send().await.unwrap()
}

fn question(model: &str) -> Value {
    json!({ "model": model, "stream": true, "messages": [{ "role": "user", "content": "안녕" }] })
}

/// Reads a stream as a client does that takes everything.
fn read(events: &str) -> String {
    let chunks = events.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    let chunks = chunks.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    chunks.filter_map(|chunk| chunk.pointer("/choices/0/delta/content")?.as_str().map(ToOwned::to_owned)).collect()
}

#[tokio::test]
async fn a_reply_is_decided_by_its_seed_however_it_is_cut_into_packets() {
    let server = OpenAiServer::start();
    let text = words(7, 30).concat();
    assert_ne!(text, words(8, 30).concat());
    for chunk in ["", ",chunk=utf8split", ",chunk=glue5", ",finish=empty", ",badjson=3,bads=2"] {
        let events = ask(&server, &question(&format!("n=30,seed=7{chunk}"))).await.text().await.unwrap();
        assert_eq!(read(&events), text, "{chunk}");
        assert!(events.ends_with("data: [DONE]\n\n"));
    }
    assert!(server.requests().iter().all(|asked| asked.sent == text && asked.ending == Ending::Sent));
    assert_eq!(server.live(), 0);
}

#[tokio::test]
async fn a_client_that_hangs_up_is_noticed_while_nothing_is_sent() {
    let server = OpenAiServer::start();
    server.next("n=5,stall=2");
    let answer = ask(&server, &question("scripted")).await;
    eventually(Duration::from_secs(5), || async { server.requests()[0].sent == words_of(&server, 2) }).await;
    assert_eq!((server.live(), server.requests()[0].ending), (1, Ending::Open));
    drop(answer);
    eventually(Duration::from_secs(5), || async { server.live() == 0 }).await;
    assert!(matches!(server.requests()[0].ending, Ending::Dropped(_)));
}

fn words_of(server: &OpenAiServer, n: usize) -> String {
    let asked = server.requests();
    Script::default().tokens(&asked[0].messages("user")[0]).into_iter().take(n).collect()
}

#[tokio::test]
async fn faults_come_as_they_are_written() {
    let server = OpenAiServer::start();
    let refused = ask(&server, &question("err=429:3600")).await;
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (429, "3600"));
    let too_long = ask(&server, &question("err=context")).await;
    assert_eq!(too_long.json::<Value>().await.unwrap()["error"]["code"], "context_length_exceeded");
    assert!(ask(&server, &question("cut=3")).await.text().await.is_err());
    let ended = ask(&server, &question("n=3,finish=none,done=0")).await.text().await.unwrap();
    assert!(!ended.contains("\"stop\"") && !ended.contains("DONE"));
    assert!(Script::parse("nonsense=1").is_err());
}

#[tokio::test]
async fn an_answer_that_is_not_streamed_fits_the_schema_that_was_asked_for() {
    let server = OpenAiServer::start();
    let schema = json!({ "type": "object", "properties": {
        "label": { "type": "string", "enum": ["joy", "grief"] }, "valence": { "type": "number", "minimum": -1 } } });
    let body = json!({ "model": "scripted", "messages": [],
        "response_format": { "type": "json_schema", "json_schema": { "name": "feeling", "schema": schema } } });
    let answer: Value = ask(&server, &body).await.json().await.unwrap();
    let content = answer.pointer("/choices/0/message/content").unwrap().as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(content).unwrap(), json!({ "label": "joy", "valence": -1 }));
}
