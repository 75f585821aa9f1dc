//! What is said beside the reply: who answers, again after some hours; the card in short when it is there already; and
//! when a refusal is worth another try.

use std::time::Duration;

use chassis::problem::Outcome;
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use domain::{locale::Locale, principal::Service, safety::disclosure};
use emotion::{commands, config::EmotionConfig, limit::LimitConfig, step::running::interrupt_abandoned};
use serde_json::{Value, json};
use testkit::{Stage, eventually, openai::Script};

use crate::{config, hear, open, say, start, start_scripted, steps};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_answers_is_said_again_once_in_three_hours_of_a_conversation() {
    let (stage, app, server) = start_scripted().await;
    server.always(Script::saying("네, 듣고 있어요."));
    let kim = app.as_user();
    let (mut socket, session_id) = open(&kim, None).await;
    let mut discloses = async |text: &str| {
        say(&mut socket, text).await;
        hear(&mut socket).await.0.starts_with(disclosure(Locale::Ko))
    };
    assert!(!discloses("안녕").await, "the first frame has said it");
    stage.clock.advance(Duration::from_mins(179));
    assert!(!discloses("아직 여기 있어").await);
    stage.clock.advance(Duration::from_mins(2));
    assert!(discloses("세 시간이 지났네").await);
    assert!(!discloses("그렇구나").await);
    stage.clock.advance(Duration::from_hours(9));
    assert!(discloses("다시 왔어").await);
    let kept = steps(&kim, &session_id).await;
    assert!(kept[2]["gpt_response"].as_str().unwrap().ends_with("네, 듣고 있어요."), "{}", kept[2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_that_is_there_already_is_only_reminded_of_until_it_grows_graver() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let (mut socket, session_id) = open(&kim, None).await;
    let mut card = async |text: &str| -> Value {
        say(&mut socket, text).await;
        let first = socket.next_json().await;
        hear(&mut socket).await;
        first
    };
    let length = |frame: &Value| frame["token"].as_str().unwrap().len();
    let whole = card("요즘은 그냥 죽고 싶어").await;
    let again = card("그래도 죽고 싶어").await;
    let graver = card("오늘 밤에 죽으려고 약을 모아 뒀어").await;
    for frame in [&whole, &again, &graver] {
        assert!(frame["token"].as_str().unwrap().contains("109"), "{frame}");
        assert!(frame["safety"]["hotlines"].as_array().unwrap().len() > 1, "{frame}");
    }
    assert!(length(&again) * 2 < length(&whole), "{again}");
    assert!(length(&graver) > length(&again), "{graver}");
    // The kept reply is what was shown, and another socket starts anew.
    let kept = steps(&kim, &session_id).await;
    assert!(kept[1]["gpt_response"].as_str().unwrap().starts_with(again["token"].as_str().unwrap()));
    let (mut other, _) = open(&kim, Some(&session_id)).await;
    say(&mut other, "요즘은 그냥 죽고 싶어").await;
    assert_eq!(length(&other.next_json().await), length(&whole));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_over_the_socket_says_when_another_try_is_worth_it() {
    let stage = Stage::new(Service::Emotion, emotion::app::MIGRATIONS).await;
    let limits = LimitConfig { messages_per_minute: 1, ..LimitConfig::default() };
    let config = EmotionConfig { limits, ..config(&stage) };
    let app = stage.serve(emotion::build(config, stage.clock.clone()).unwrap());
    let kim = app.as_user();
    let (mut socket, _) = open(&kim, None).await;
    say(&mut socket, "하나").await;
    hear(&mut socket).await;
    say(&mut socket, "둘").await;
    let refused = socket.next_json().await;
    assert_eq!(refused["error"]["code"], "too_many_messages", "{refused}");
    assert!((1..=60).contains(&refused["error"]["retry_after"].as_u64().unwrap()), "{refused}");
    socket.send_json(&json!({ "user_input": "" })).await;
    let refused = socket.next_json().await;
    assert_eq!((&refused["error"]["code"], &refused["error"]["retry_after"]), (&json!("empty_input"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_operator_sets_in_the_database_reaches_the_model_while_the_service_runs() {
    let (stage, app, server) = start_scripted().await;
    let file = std::env::temp_dir().join(format!("maru-system-prompt-{}", std::process::id()));
    std::fs::write(&file, "항상 바다 이야기를 한 문장 곁들이세요.\n").unwrap();
    let operate = async |what| {
        let companion = std::sync::Arc::new(emotion::companion::OfflineCompanion::default());
        let patience = chassis::socket::Patience::default();
        let program = emotion::app::App::new(config(&stage), stage.clock.clone(), companion, patience).unwrap();
        commands::run(program, commands::Command::SystemPrompt { what }).await
    };
    operate(commands::SystemPromptCommand::Set { file: file.clone() }).await.unwrap();
    let kim = app.as_user();
    let is_told = || async {
        let (mut socket, _) = open(&kim, None).await;
        say(&mut socket, "안녕").await;
        hear(&mut socket).await;
        server.streamed().last().unwrap().messages("system")[0].contains("바다 이야기")
    };
    eventually(Duration::from_secs(10), is_told).await;
    operate(commands::SystemPromptCommand::Unset).await.unwrap();
    eventually(Duration::from_secs(10), || async { !is_told().await }).await;
    std::fs::write(&file, " ").unwrap();
    assert!(operate(commands::SystemPromptCommand::Set { file: file.clone() }).await.is_err());
    std::fs::remove_file(file).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_process_reserved_and_did_not_use_is_given_back() {
    let (stage, app, server) = start_scripted().await;
    server.next("n=5,stall=2");
    let kim = app.as_user();
    let (mut socket, _) = open(&kim, None).await;
    say(&mut socket, "안녕").await;
    socket.next_json().await;
    let used = async || {
        let mut conn = stage.pg().conn().await.unwrap();
        emotion::limit::list_days(&mut conn, kim.user_id).await.unwrap()[0].1
    };
    let reserved = used().await;
    assert!(reserved > 2_500, "{reserved}");
    // As if nobody renewed its lease any more.
    let abandon = async |conn: &mut chassis::pg::Connection| {
        let pass = "UPDATE emotion_steps SET lease_until = now() - interval '1 second', reply_seq = 2";
        conn.batch_execute(pass).await?;
        let first = interrupt_abandoned(conn).await?;
        Outcome::Ok((first, interrupt_abandoned(conn).await?))
    };
    let mut conn = stage.pg().conn().await.unwrap();
    assert_eq!(conn.transaction(abandon).await.unwrap(), (1, 0));
    // The prompt counts, and two pieces: what the reply did not use of its 1,024 tokens is there again.
    assert_eq!(used().await, reserved - 1_022);
}
