//! What the auth service asks about a person.

use std::time::Duration;

use chassis::socket::Patience;
use diesel::{QueryableByName, sql_query, sql_types::BigInt};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use domain::{
    contract::{UserErasure, UserExport},
    ids::UserId,
    principal::{Role, Service},
};
use serde_json::json;
use testkit::{Stage, TestApp, TestClient, eventually};

use crate::{Prompted, hear, open, say, start, start_with, steps};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

fn path(person: UserId) -> String {
    format!("/internal/users/{person}")
}

async fn export(app: &TestApp, person: UserId) -> UserExport {
    let answer = app.as_service(Service::Auth).get(&format!("{}/export", path(person))).await.assert_status(200);
    serde_json::from_value(answer.json).unwrap()
}

async fn erase(app: &TestApp, person: UserId) -> UserErasure {
    let answer = app.as_service(Service::Auth).delete(&path(person)).await.assert_status(200);
    serde_json::from_value(answer.json).unwrap()
}

async fn number(stage: &Stage, query: &str) -> i64 {
    let mut conn = stage.pg().conn().await.unwrap();
    sql_query(query).get_result::<Number>(&mut conn).await.unwrap().number
}

/// Counts everything that is kept of a person.
async fn left_of(stage: &Stage, person: UserId) -> i64 {
    let count = format!(
        "SELECT (SELECT count(*) FROM emotion_sessions WHERE user_id = '{person}') \
         + (SELECT count(*) FROM emotion_steps t JOIN emotion_sessions s ON s.id = t.session_id \
            WHERE s.user_id = '{person}') \
         + (SELECT count(*) FROM person_keys WHERE user_id = '{person}') \
         + (SELECT count(*) FROM emotion_prompts WHERE user_id = '{person}') \
         + (SELECT count(*) FROM emotion_usage WHERE user_id = '{person}') \
         + (SELECT count(*) FROM idempotency_keys WHERE user_id = '{person}') AS number"
    );
    number(stage, &count).await
}

/// Makes a conversation under a key and says one thing in it.
async fn a_talk(client: &TestClient) -> String {
    let key = [("idempotency-key", "k-1")];
    let made = client.post_with("/emotion/sessions", json!({ "topic": "발표" }), &key).await.assert_status(201);
    let body = json!({ "session_id": made.text("/session_id"), "user_input": "떨려요" });
    client.post("/emotion/steps/generate", body).await.assert_status(200);
    made.text("/session_id").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_auth_service_may_ask_about_a_person() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    a_talk(&kim).await;
    let (own, shown) = (path(kim.user_id), format!("{}/export", path(kim.user_id)));
    let others = [Service::Gateway, Service::Session, Service::Ticketing, Service::Emotion, Service::Memo];
    let callers = others.map(|service| app.as_service(service)).into_iter();
    for caller in callers.chain([kim.clone(), app.as_role(Role::Admin), app.anonymous()]) {
        caller.get(&shown).await.assert_problem(404, "not_found");
        caller.delete(&own).await.assert_problem(404, "not_found");
    }
    app.without_token().delete(&own).await.assert_problem(401, "unauthenticated");
    assert_eq!(left_of(&stage, kim.user_id).await, 5);
    let document = app.without_token().get("/openapi.json").await.assert_status(200);
    assert!(!String::from_utf8(document.body).unwrap().contains("/internal/"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_shows_what_was_said_and_nothing_of_others() {
    let (_stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let session_id = a_talk(&kim).await;
    a_talk(&lee).await;
    let UserExport { service, data } = export(&app, kim.user_id).await;
    assert_eq!((service, &data["truncated"]), (Service::Emotion, &json!(false)));
    let conversations = data["conversations"].as_array().unwrap();
    assert_eq!((conversations.len(), &conversations[0]["topic"]), (1, &json!("발표")));
    assert_eq!(conversations[0]["session_id"], json!(session_id));
    let said = data["steps"].as_array().unwrap();
    assert_eq!((said.len(), &said[0]["user_input"], &said[0]["status"]), (1, &json!("떨려요"), &json!("complete")));
    assert_eq!(said[0]["session_id"], json!(session_id));
    assert!(said[0]["finished_at"].as_str().unwrap().ends_with('Z'), "{said:?}");
    let nobody = export(&app, UserId(uuid::Uuid::nil())).await.data;
    assert_eq!(
        nobody,
        json!({
            "conversations": [], "steps": [], "summary_cards": [], "prompts": [], "usage": [], "truncated": false
        })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_holds_cards_and_prompts_as_they_were_written() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let session_id = a_talk(&kim).await;
    for prompt in ["천천히", "짧게"] {
        kim.put("/emotion/prompt", json!({ "prompt": prompt })).await.assert_status(200);
    }
    let card = kim.get(&format!("/emotion/sessions/{session_id}/summary")).await.assert_status(200);
    let data = export(&app, kim.user_id).await.data;
    let cards = data["summary_cards"].as_array().unwrap();
    assert_eq!((cards.len(), &cards[0]["title"]), (1, &card.json["title"]));
    assert_eq!((&cards[0]["session_id"], &cards[0]["memo_id"]), (&json!(session_id), &json!(null)));
    let prompts: Vec<_> = data["prompts"].as_array().unwrap().iter().map(|row| row["prompt"].clone()).collect();
    assert_eq!(prompts, ["짧게", "천천히"]);
    assert!(data["prompts"][0]["retired_at"].is_null() && data["prompts"][1]["retired_at"].is_string());
    assert_eq!(data["usage"][0]["messages"], 1);
    let erased = erase(&app, kim.user_id).await;
    assert_eq!((erased.is_finished, erased.erased.get("prompts")), (true, Some(&2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_leaves_nothing_of_the_person_and_everything_of_others() {
    let (stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    a_talk(&kim).await;
    a_talk(&lee).await;
    let before = export(&app, lee.user_id).await.data;
    let first = erase(&app, kim.user_id).await;
    assert_eq!((first.service, first.is_finished), (Service::Emotion, true));
    assert_eq!(
        json!(first.erased),
        json!({ "encryption_keys": 1, "conversations": 1, "steps": 1, "usage_days": 1, "idempotency_keys": 1 })
    );
    assert_eq!(left_of(&stage, kim.user_id).await, 0);
    assert_eq!((left_of(&stage, lee.user_id).await, export(&app, lee.user_id).await.data), (5, before));
    let again = erase(&app, kim.user_id).await;
    assert_eq!((again.is_finished, again.erased.len()), (true, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_in_which_nothing_was_said_is_forgotten_too() {
    let (_stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let (_socket, of_kim) = open(&kim, None).await;
    let (_other, of_lee) = open(&lee, None).await;
    kim.get(&format!("/emotion/sessions/{of_kim}")).await.assert_status(200);
    lee.get(&format!("/emotion/sessions/{of_kim}")).await.assert_problem(404, "session_not_found");
    assert!(erase(&app, kim.user_id).await.is_finished);
    kim.get(&format!("/emotion/sessions/{of_kim}")).await.assert_problem(404, "session_not_found");
    lee.get(&format!("/emotion/sessions/{of_lee}")).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_account_takes_several_calls_and_is_shown_whole() {
    let (stage, app) = start().await;
    let person = app.as_user().user_id;
    let many = format!(
        "INSERT INTO emotion_sessions (id, user_id, started_at) \
         SELECT gen_random_uuid(), '{person}', now() FROM generate_series(1, 250); \
         INSERT INTO emotion_steps (id, session_id, step_order, step_type, user_input, status, provider, created_at, \
         lease_until) SELECT gen_random_uuid(), s.id, n, 'normal', 'x', 'complete', 'offline', now(), now() \
         FROM emotion_sessions s, generate_series(1, 5) n"
    );
    stage.pg().conn().await.unwrap().batch_execute(&many).await.unwrap();
    let data = export(&app, person).await.data;
    let ids = |part: &str, id: &str| {
        let rows = data[part].as_array().unwrap().iter();
        rows.map(|row| row[id].as_str().unwrap().to_owned()).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!((ids("conversations", "session_id"), ids("steps", "step_id")), (250, 1250));
    let mut calls = Vec::new();
    loop {
        let erasure = erase(&app, person).await;
        calls.push(erasure.erased.get("steps").copied().unwrap_or_default());
        if erasure.is_finished {
            break;
        }
    }
    assert_eq!(calls, [500, 500, 250]);
    assert_eq!(left_of(&stage, person).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_is_being_written_ends_and_brings_nothing_back() {
    let companion = Prompted::new(&["ㄱ ", "ㄴ"]);
    let (stage, app) = start_with(companion.clone(), Patience::default()).await;
    let kim = app.as_user();
    let (mut socket, session_id) = open(&kim, None).await;
    say(&mut socket, "안녕하세요").await;
    companion.let_say(1);
    assert_eq!(socket.next_json().await["token"], "ㄱ ");
    assert_eq!(steps(&kim, &session_id).await[0]["status"], "streaming");

    assert!(erase(&app, kim.user_id).await.is_finished);
    // Nobody lets the companion go on: the job ends because its step is gone.
    assert_eq!(hear(&mut socket).await.1["error"]["code"], "reply_interrupted");
    let steps_left = "SELECT count(*) AS number FROM emotion_steps";
    assert_eq!((left_of(&stage, kim.user_id).await, number(&stage, steps_left).await), (0, 0));

    // The socket is still open, and what is said there is said nowhere.
    say(&mut socket, "들려?").await;
    assert_eq!(hear(&mut socket).await.1["error"]["code"], "session_not_found");
    assert_eq!(left_of(&stage, kim.user_id).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_ends_just_after_the_erasure_is_kept_nowhere() {
    let companion = Prompted::new(&["그랬", "군요."]);
    let (stage, app) = start_with(companion.clone(), Patience::default()).await;
    let kim = app.as_user();
    let made = kim.post("/emotion/sessions", json!({})).await.assert_status(201);
    let session_id = made.text("/session_id");
    let body = json!({ "session_id": session_id, "user_input": "말하고 갈게" });
    let asking = kim.post("/emotion/steps/generate", body);
    let erasing = async {
        eventually(Duration::from_secs(5), || async { steps(&kim, session_id).await.len() == 1 }).await;
        let erased = erase(&app, kim.user_id).await;
        companion.let_say(2);
        erased
    };
    let (answer, erased) = tokio::join!(asking, erasing);
    assert!(erased.is_finished);
    answer.assert_problem(404, "not_found");
    assert_eq!(left_of(&stage, kim.user_id).await, 0);
}
