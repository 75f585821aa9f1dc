//! Summary cards, and the memos they are saved as.

use std::sync::Arc;

use chassis::socket::Patience;
use domain::principal::Service;
use emotion::companion::OfflineCompanion;
use serde_json::{Value, json};
use testkit::{Stage, TestApp, TestClient};

use crate::{config, memo_service::MemoService, start};

const SAID: [&str; 3] = [
    "내일 회사에서 발표가 있어서 너무 불안하고 무서워요",
    "실수하면 다들 나를 무능하다고 생각할 것 같아요",
    "그래도 조금은 잘하고 싶어요",
];

/// Begins a conversation in which some things are said; returns its path.
async fn talk(client: &TestClient, said: &[&str]) -> String {
    let made = client.post("/emotion/sessions", json!({})).await.assert_status(201);
    let id = made.text("/session_id");
    for text in said {
        say(client, id, text).await;
    }
    format!("/emotion/sessions/{id}")
}

async fn say(client: &TestClient, id: &str, text: &str) {
    let body = json!({ "session_id": id, "user_input": text });
    client.post("/emotion/steps/generate", body).await.assert_status(200);
}

async fn start_beside(memos: &MemoService) -> (Stage, TestApp) {
    let stage = Stage::new(Service::Emotion, emotion::app::MIGRATIONS).await;
    let mut config = config(&stage);
    config.services.memo_urls = memos.urls();
    let companion = Arc::new(OfflineCompanion::new(std::time::Duration::ZERO));
    let app = stage.serve(emotion::build_with(config, stage.clock.clone(), companion, Patience::default()).unwrap());
    (stage, app)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_is_made_once_and_again_only_when_more_was_said() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let path = talk(&kim, &SAID).await;
    let card = kim.get(&format!("{path}/summary")).await.assert_status(200);
    assert_eq!((card.text("/source"), &card.json["memo_id"]), ("rules", &Value::Null));
    assert_eq!(card.text("/created_at"), domain::time::rfc3339(stage.clock.now()));
    assert!(card.text("/session_id").len() == 36 && !card.text("/title").is_empty());
    assert!(card.json["feelings"].as_array().unwrap().len() <= 3 && card.text("/disclaimer").contains("AI"));
    stage.clock.advance(std::time::Duration::from_mins(1));
    assert_eq!(kim.get(&format!("{path}/summary")).await.json, card.json);
    say(&kim, card.text("/session_id"), "이제 조금 편안해졌어요, 고마워요").await;
    let later = kim.get(&format!("{path}/summary")).await.assert_status(200);
    assert_ne!(later.text("/created_at"), card.text("/created_at"));
    assert!(later.json["trajectory"].as_array().unwrap().len() >= card.json["trajectory"].as_array().unwrap().len());

    let silent = talk(&kim, &[]).await;
    let empty = kim.get(&format!("{silent}/summary")).await.assert_status(200);
    assert_eq!((&empty.json["created_at"], &empty.json["feelings"]), (&Value::Null, &json!([])));
    kim.post(&format!("{silent}/summary/memo"), json!({})).await.assert_problem(409, "nothing_said");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_cards_that_are_made_at_once_everybody_gets_the_same() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = talk(&kim, &SAID).await;
    let asked = (0..8).map(|_| {
        let (kim, path) = (kim.clone(), format!("{path}/summary"));
        async move { kim.get(&path).await.assert_status(200).json }
    });
    let cards = futures_util::future::join_all(asked).await;
    assert!(cards.iter().all(|card| *card == cards[0]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_is_saved_as_one_memo_however_often_it_is_asked_for() {
    let memos = MemoService::start();
    let (_stage, app) = start_beside(&memos).await;
    let kim = app.as_user();
    let path = talk(&kim, &SAID).await;
    // The first call is lost on its way back: the memo may be there, and the next call names the same one.
    memos.refuse(Some(503));
    kim.post(&format!("{path}/summary/memo"), json!({})).await.assert_problem(503, "unavailable");
    memos.refuse(None);
    let saved = kim.post(&format!("{path}/summary/memo"), json!({})).await.assert_status(200);
    let again = kim.send(kim.request(reqwest::Method::POST, &format!("{path}/summary/memo"))).await.assert_status(200);
    assert_eq!(saved.json, again.json);
    let written = memos.written();
    assert!(written.len() >= 3 && written.iter().all(|memo| memo.id == written[0].id));
    assert_eq!(saved.text("/memo_id"), written[0].id.to_string());
    let card = kim.get(&format!("{path}/summary")).await.assert_status(200);
    assert_eq!(card.text("/memo_id"), saved.text("/memo_id"));
    assert!(written[0].content.contains(card.text("/title")) && written[0].tags == ["감정"]);
    assert_eq!(written[0].metadata["emotion_session_id"], card.json["session_id"]);

    let fresh = talk(&kim, &SAID[..1]).await;
    let first = kim.post(&format!("{fresh}/summary/memo"), json!({})).await.assert_status(201);
    assert_ne!(first.text("/memo_id"), saved.text("/memo_id"));
    memos.refuse(Some(409));
    kim.post(&format!("{fresh}/summary/memo"), json!({})).await.assert_status(503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_ends_is_described_by_what_was_said() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = talk(&kim, &SAID).await;
    let ended = kim.post(&format!("{path}/end"), json!({})).await.assert_status(200);
    let card = kim.get(&format!("{path}/summary")).await.assert_status(200);
    assert_eq!(ended.text("/topic"), card.text("/title"));
    assert_eq!(ended.json["trigger_summary"], card.json["trigger"]);
    assert_eq!(ended.json["insight_summary"], card.json["insight"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_is_drawn_as_nodes_and_edges_in_pages() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = talk(&kim, &SAID).await;
    let whole = kim.get(&format!("{path}/flow")).await.assert_status(200);
    let kinds: Vec<_> = whole.json["nodes"].as_array().unwrap().iter().map(|node| node["kind"].clone()).collect();
    assert_eq!(kinds, ["user", "reply", "user", "reply", "user", "reply"]);
    assert_eq!(whole.json["edges"].as_array().unwrap().len(), 5);
    assert_eq!((&whole.json["stats"]["turns"], &whole.json["next"]), (&json!(3), &Value::Null));
    assert!(SAID[0].starts_with(whole.text("/nodes/0/preview")) && whole.json["nodes"][0]["valence"].is_number());
    assert!(whole.json["nodes"][0]["at"].as_str().unwrap().ends_with('Z'));

    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = kim.get(&format!("{path}/flow?limit=1{after}")).await.assert_status(200);
        seen.extend(page.json["nodes"].as_array().unwrap().clone());
        let Some(next) = page.json["next"].as_u64() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(json!(seen), whole.json["nodes"]);
    kim.get(&format!("{path}/summary")).await.assert_status(200);
    let drawn = kim.get(&format!("{path}/flow")).await.json;
    assert_eq!(drawn["nodes"].as_array().unwrap().last().unwrap()["kind"], "summary");
    for query in ["limit=0", "limit=501"] {
        kim.get(&format!("{path}/flow?{query}")).await.assert_problem(422, "invalid");
    }
    let silent = talk(&kim, &[]).await;
    assert_eq!(kim.get(&format!("{silent}/flow")).await.assert_status(200).json["nodes"], json!([]));
}
