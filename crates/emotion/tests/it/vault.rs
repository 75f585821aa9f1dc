//! What people wrote is sealed: nobody reads it in the tables, moves it, or brings it back after its key is gone.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use diesel::{QueryableByName, sql_query, sql_types::Text};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use domain::principal::Service;
use emotion::vault::VaultConfig;
use secrecy::SecretString;
use serde_json::{Value, json};
use testkit::{Stage, TestApp, TestClient, eventually};
use tokio::process::Command;

use crate::{config, start, steps};

/// In every text that is written here; the second in Korean, which no base64 or escape hides.
const CANARIES: [&str; 2] = ["canary-in-a-coal-mine", "탄광의카나리아"];

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

async fn lines(stage: &Stage, query: &str) -> Vec<String> {
    let mut conn = stage.pg().conn().await.unwrap();
    let found: Vec<Line> = sql_query(query).load(&mut conn).await.unwrap();
    found.into_iter().map(|line| line.line).collect()
}

async fn execute(stage: &Stage, statements: &str) {
    stage.pg().conn().await.unwrap().batch_execute(statements).await.unwrap();
}

/// Reads every column of every row of every table as text; bytes are hexadecimal.
async fn dump(stage: &Stage) -> String {
    let tables = "SELECT table_name::text AS line FROM information_schema.tables WHERE table_schema = 'public'";
    let mut all = String::new();
    for table in lines(stage, tables).await {
        all += &lines(stage, &format!("SELECT t::text AS line FROM {table} t")).await.join("\n");
    }
    all
}

/// Returns which canary stands somewhere in a dump: as it is, as hexadecimal bytes, escaped, or in base64 at any of its
/// three offsets.
fn told(dump: &str) -> Option<String> {
    CANARIES.iter().find_map(|canary| {
        let hex: Vec<String> = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
        let escaped: Vec<String> = canary.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let (hex, escaped) = (hex.concat(), escaped.concat());
        let encoded = (0..3).map(|offset| {
            let padded = BASE64_STANDARD.encode([&vec![b' '; offset], canary.as_bytes()].concat());
            // What a neighbour would change is left out at both ends.
            padded.chars().skip(4).take(padded.len().saturating_sub(12)).collect::<String>()
        });
        let forms: Vec<String> = [(*canary).to_owned(), hex, escaped].into_iter().chain(encoded).collect();
        forms.into_iter().find(|form| dump.contains(form.as_str()))
    })
}

/// Writes the canaries wherever somebody can write something; returns the conversation.
async fn write_everywhere(client: &TestClient) -> String {
    let text = CANARIES.join(" ");
    let key = [("idempotency-key", "k-1")];
    let body = json!({
        "topic": text, "trigger_summary": text, "insight_summary": text, "emotion_label": CANARIES[0],
    });
    let made = client.post_with("/emotion/sessions", body.clone(), &key).await.assert_status(201);
    let again = client.post_with("/emotion/sessions", body, &key).await.assert_status(201);
    assert_eq!(made.json, again.json, "the kept answer opens");
    client.put("/emotion/prompt", json!({ "prompt": text })).await.assert_status(200);
    let id = made.text("/session_id");
    for key in ["k-2", "k-3"] {
        let body = json!({
            "session_id": id, "user_input": text, "system_prompt": text, "insight_tag": CANARIES[0],
        });
        let key = [("idempotency-key", key)];
        let said = client.post_with("/emotion/steps/generate", body.clone(), &key).await.assert_status(200);
        assert_eq!(said.text("/user_input"), text);
        let again = client.post_with("/emotion/steps/generate", body, &key).await.assert_status(200);
        assert_eq!(again.text("/step_id"), said.text("/step_id"));
    }
    client.get(&format!("/emotion/sessions/{id}/summary")).await.assert_status(200);
    id.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_written_can_be_read_in_the_database_before_or_after_the_erasure() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let id = write_everywhere(&kim).await;
    kim.post(&format!("/emotion/sessions/{id}/end"), json!({ "topic": CANARIES[1] })).await.assert_status(200);
    let dump_before = dump(&stage).await;
    assert!(dump_before.contains(&id) && dump_before.len() > 2_000, "the dump is one");
    assert_eq!(told(&dump_before), None);
    // The search finds what it looks for: the same text, kept as it was before it was sealed.
    execute(&stage, &format!("UPDATE emotion_sessions SET topic = '{}'", CANARIES[1])).await;
    assert!(told(&dump(&stage).await).is_some());

    let path = format!("/internal/users/{}", kim.user_id);
    let erased = app.as_service(Service::Auth).delete(&path).await.assert_status(200);
    assert_eq!((&erased.json["is_finished"], &erased.json["erased"]["encryption_keys"]), (&json!(true), &json!(1)));
    let left = dump(&stage).await;
    assert!(told(&left).is_none() && !left.contains(&kim.user_id.to_string()), "{left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_backup_brings_back_after_the_key_is_gone_stays_unreadable() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let id = write_everywhere(&kim).await;
    execute(
        &stage,
        "CREATE TABLE backup_sessions AS TABLE emotion_sessions; CREATE TABLE backup_steps AS TABLE emotion_steps",
    )
    .await;
    app.as_service(Service::Auth).delete(&format!("/internal/users/{}", kim.user_id)).await.assert_status(200);
    execute(
        &stage,
        "INSERT INTO emotion_sessions SELECT * FROM backup_sessions; INSERT INTO emotion_steps SELECT * FROM backup_steps",
    )
    .await;
    let lost = kim.get(&format!("/emotion/sessions/{id}")).await.assert_problem(404, "text_erased");
    assert!(told(&String::from_utf8(lost.body).unwrap()).is_none());
    // A key that is made anew is another one.
    kim.put("/emotion/prompt", json!({ "prompt": "새로 시작" })).await.assert_status(200);
    kim.get(&format!("/emotion/sessions/{id}")).await.assert_problem(500, "internal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_that_was_altered_or_moved_to_another_row_is_refused() {
    let (stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let (of_kim, of_lee) = (write_everywhere(&kim).await, write_everywhere(&lee).await);
    let path = format!("/emotion/steps/{of_kim}");
    execute(&stage, "CREATE TABLE kept AS TABLE emotion_steps").await;
    let swap = |from: String| {
        format!(
            "UPDATE emotion_steps t SET user_input_sealed = o.user_input_sealed FROM emotion_steps o \
             WHERE t.session_id = '{of_kim}' AND t.step_order = 1 AND {from}"
        )
    };
    let attacks = [
        // Another row of the same person's, another column, another person's row, one bit, nothing.
        swap(format!("o.session_id = '{of_kim}' AND o.step_order = 2")),
        format!("UPDATE emotion_steps SET user_input_sealed = gpt_response_sealed WHERE session_id = '{of_kim}'"),
        swap(format!("o.session_id = '{of_lee}' AND o.step_order = 1")),
        format!(
            "UPDATE emotion_steps SET user_input_sealed = set_bit(user_input_sealed, 200, 1 - get_bit(user_input_sealed, \
             200)) WHERE session_id = '{of_kim}'"
        ),
        format!("UPDATE emotion_steps SET user_input_sealed = '' WHERE session_id = '{of_kim}'"),
    ];
    for attack in attacks {
        execute(&stage, &attack).await;
        let refused = kim.get(&path).await.assert_problem(500, "internal");
        assert!(told(&String::from_utf8(refused.body).unwrap()).is_none());
        let heal = "UPDATE emotion_steps t SET user_input_sealed = k.user_input_sealed FROM kept k WHERE k.id = t.id";
        execute(&stage, heal).await;
        kim.get(&path).await.assert_status(200);
    }
    // Another person's key in the place of this one's.
    execute(
        &stage,
        &format!(
            "UPDATE person_keys k SET wrapped_key = o.wrapped_key FROM person_keys o WHERE k.user_id = '{}' AND \
             o.user_id = '{}'",
            kim.user_id, lee.user_id
        ),
    )
    .await;
    kim.get(&path).await.assert_problem(500, "internal");
    lee.get(&format!("/emotion/steps/{of_lee}")).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_before_texts_were_sealed_is_still_read() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let id = stage.clock.uuid();
    execute(
        &stage,
        &format!(
            "INSERT INTO emotion_sessions (id, user_id, topic, emotion_label, started_at) \
             VALUES ('{id}', '{}', '옛 주제', '불안', now()); \
             INSERT INTO emotion_steps (id, session_id, step_order, step_type, user_input, gpt_response, status, provider, \
             insight_tag, emotion, created_at, lease_until) VALUES (gen_random_uuid(), '{id}', 1, 'normal', '옛말', '옛 답', \
             'complete', 'offline', '일', '{{\"label\": \"fear\"}}', now(), now())",
            kim.user_id
        ),
    )
    .await;
    let shown = kim.get(&format!("/emotion/sessions/{id}")).await.assert_status(200);
    assert_eq!((shown.text("/topic"), shown.text("/emotion_label")), ("옛 주제", "불안"));
    let said = &steps(&kim, &id.to_string()).await[0];
    assert_eq!((&said["user_input"], &said["gpt_response"]), (&json!("옛말"), &json!("옛 답")));
    assert_eq!((&said["insight_tag"], &said["emotion"]["label"]), (&json!("일"), &json!("fear")));
    // Whoever only reads gets no key, and their first message makes one beside what is there.
    assert_eq!(lines(&stage, "SELECT user_id::text AS line FROM person_keys").await, Vec::<String>::new());
    let body = json!({ "session_id": id, "user_input": "새말" });
    kim.post("/emotion/steps/generate", body).await.assert_status(200);
    let said: Vec<Value> = steps(&kim, &id.to_string()).await.iter().map(|step| step["user_input"].clone()).collect();
    assert_eq!(said, [json!("옛말"), json!("새말")]);
}

fn master(byte: u8) -> SecretString {
    SecretString::from(BASE64_STANDARD.encode([byte; 32]))
}

fn with_keys(stage: &Stage, current: u8, previous: Option<u8>) -> TestApp {
    let mut config = config(stage);
    config.vault =
        VaultConfig { emotion_master_key: Some(master(current)), emotion_master_key_previous: previous.map(master) };
    stage.serve(emotion::build(config, stage.clock.clone()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_master_key_wraps_every_key_anew_and_then_the_old_one_is_not_needed() {
    let stage = Stage::new(Service::Emotion, emotion::app::MIGRATIONS).await;
    let wrapped_by = async || lines(&stage, "SELECT DISTINCT master_key_id AS line FROM person_keys").await;
    let first = with_keys(&stage, 1, None);
    let (kim, lee) = (first.as_user(), first.as_user());
    let id = write_everywhere(&kim).await;
    write_everywhere(&lee).await;
    let before = wrapped_by().await;
    drop(first);

    // The new key alone reads nothing, and says so without a word of what it could not read.
    let path = format!("/emotion/sessions/{id}");
    let lost = with_keys(&stage, 2, None);
    lost.as_principal(kim.principal().unwrap()).get(&path).await.assert_problem(500, "internal");
    drop(lost);

    let both = with_keys(&stage, 2, Some(1));
    let read = both.as_principal(kim.principal().unwrap()).get(&path).await.assert_status(200);
    assert!(read.text("/topic").contains(CANARIES[0]));
    eventually(Duration::from_secs(5), || async { wrapped_by().await.len() == 1 && wrapped_by().await != before })
        .await;
    drop(both);

    let second = with_keys(&stage, 2, None);
    second.as_principal(kim.principal().unwrap()).get(&path).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outside_development_it_does_not_start_without_a_master_key() {
    for (given, fault) in [(None, "is not set"), (Some("hunter2"), "is not 32 bytes")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maru-emotion"));
        command.arg("check-config").env_clear().env("MARU_ENV", "production");
        command.env("DATABASE_URL", "postgres://maru@127.0.0.1:1/x").env("REDIS_URL", "redis://127.0.0.1:1");
        let stage_keys = chassis::token::KeyPair::generate("emotion.1").unwrap();
        command.env("INTERNAL_PUBLIC_KEYS", &stage_keys.public_jwks);
        command.env("INTERNAL_SIGNING_KEY", secrecy::ExposeSecret::expose_secret(&stage_keys.private_pem));
        if let Some(key) = given {
            command.env("EMOTION_MASTER_KEY", key);
        }
        let output = command.output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(64), "{text}");
        assert!(text.contains(&format!("EMOTION_MASTER_KEY: {fault}")) && !text.contains("hunter2"), "{text}");
    }
}
