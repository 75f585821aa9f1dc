//! What happens when a part is away, or a process was.

use std::{sync::Arc, time::Duration};

use chassis::socket::Patience;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use domain::principal::Service;
use emotion::companion::OfflineCompanion;
use secrecy::SecretString;
use serde_json::json;
use testkit::{Stage, database::TestDatabase, eventually, fault_proxy::FaultProxy};

use crate::{Prompted, config, hear, open, say, start_scripted, start_with, steps};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_outlives_its_database_is_kept_when_it_comes_back() {
    let stage = Stage::new(Service::Emotion, emotion::app::MIGRATIONS).await;
    let proxy = FaultProxy::start(TestDatabase::server_addr()).unwrap();
    let mut config = config(&stage);
    config.base.pg.database_url = stage.database().url_through(proxy.addr());
    let companion = Prompted::new(&["아직 ", "여기 ", "있어요."]);
    let built = emotion::build_with(config, stage.clock.clone(), companion.clone(), Patience::default());
    let app = stage.serve(built.unwrap());
    let kim = app.as_user();
    let (mut socket, session_id) = open(&kim, None).await;
    say(&mut socket, "들려?").await;
    companion.let_say(1);
    assert_eq!(socket.next_json().await["token"], "아직 ");

    proxy.reset();
    companion.let_say(2);
    assert_eq!(socket.next_json().await["token"], "여기 ");
    assert_eq!(socket.next_json().await["token"], "있어요.");
    kim.get(&format!("/emotion/steps/{session_id}")).await.assert_problem(503, "unavailable");
    proxy.heal();
    assert_eq!(hear(&mut socket).await.1["done"], true);
    assert_eq!(steps(&kim, &session_id).await[0]["gpt_response"], "아직 여기 있어요.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_is_kept_at_the_second_try_is_complete() {
    let (stage, app, server) = start_scripted().await;
    // What it cost is written after the reply; the first time that fails.
    let fails_once = "CREATE SEQUENCE tries; \
         CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS \
         $$BEGIN IF nextval('tries') = 1 THEN RAISE 'not now'; END IF; RETURN NEW; END$$; \
         CREATE TRIGGER fails BEFORE UPDATE OF reserved_tokens ON emotion_steps FOR EACH ROW EXECUTE FUNCTION fail_once()";
    stage.pg().conn().await.unwrap().batch_execute(fails_once).await.unwrap();
    let kim = app.as_user();
    let (mut socket, session_id) = open(&kim, None).await;
    server.next("n=3");
    say(&mut socket, "오늘은 너무 속상해").await;
    let (text, done) = hear(&mut socket).await;
    assert_eq!(done["done"], true, "{done}");
    let kept = steps(&kim, &session_id).await.pop().unwrap();
    assert_eq!((kept["status"].as_str(), kept["gpt_response"].as_str()), (Some("complete"), Some(&*text)));
    let tried = diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>("last_value FROM tries"));
    assert!(tried.get_result::<i64>(&mut stage.pg().conn().await.unwrap()).await.unwrap() > 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_nothing_is_said_and_the_socket_stays_open() {
    let stage = Stage::new(Service::Emotion, emotion::app::MIGRATIONS).await;
    let proxy = FaultProxy::start(TestDatabase::server_addr()).unwrap();
    let mut config = config(&stage);
    config.base.pg.database_url = stage.database().url_through(proxy.addr());
    let companion = Arc::new(OfflineCompanion::new(Duration::ZERO));
    let built = emotion::build_with(config, stage.clock.clone(), companion, Patience::default());
    let app = stage.serve(built.unwrap());
    let kim = app.as_user();
    let (mut socket, session_id) = open(&kim, None).await;
    proxy.reset();
    say(&mut socket, "들려?").await;
    assert_eq!(socket.next_json().await["error"]["code"], "unavailable");
    proxy.heal();
    say(&mut socket, "이제는?").await;
    assert_eq!(hear(&mut socket).await.1["done"], true);
    assert_eq!(steps(&kim, &session_id).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_whose_process_is_gone_is_marked_and_the_conversation_goes_on() {
    let companion = Arc::new(OfflineCompanion::new(Duration::ZERO));
    let (stage, app) = start_with(companion, Patience::default()).await;
    let kim = app.as_user();
    let made = [kim.post("/emotion/sessions", json!({})).await, kim.post("/emotion/sessions", json!({})).await];
    let [spoken, left] = made.each_ref().map(|answer| answer.text("/session_id"));
    let abandon = |session_id: String| {
        let pg = stage.pg();
        async move {
            let mut conn = pg.conn().await.unwrap();
            let row = format!(
                "INSERT INTO emotion_steps (id, session_id, step_order, step_type, user_input, gpt_response, status, \
                 provider, created_at, lease_until) VALUES (gen_random_uuid(), '{session_id}', 1, 'normal', '듣고 있어?', \
                 '네, 듣', 'streaming', 'offline', now(), clock_timestamp() - interval '1 second')"
            );
            diesel::sql_query(row).execute(&mut conn).await.unwrap();
        }
    };
    abandon(spoken.to_owned()).await;
    let body = json!({ "session_id": spoken, "user_input": "다시 말할게" });
    let answer = kim.post("/emotion/steps/generate", body).await.assert_status(200);
    assert_eq!(answer.json["step_order"], 2);
    let first = &steps(&kim, spoken).await[0];
    assert_eq!((&first["status"], &first["gpt_response"]), (&json!("interrupted"), &json!("네, 듣")));

    abandon(left.to_owned()).await;
    eventually(Duration::from_secs(8), || async { steps(&kim, left).await[0]["status"] == "interrupted" }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_conversations_go_on() {
    let stage = Stage::new(Service::Emotion, emotion::app::MIGRATIONS).await;
    let mut config = config(&stage);
    // A port of loopback where nothing listens.
    config.base.redis.redis_url = SecretString::from("redis://127.0.0.1:1");
    let app = stage.serve(emotion::build(config, stage.clock.clone()).unwrap());
    let kim = app.as_user();
    let (mut socket, session_id) = open(&kim, None).await;
    say(&mut socket, "들려?").await;
    assert_eq!(hear(&mut socket).await.1["done"], true);
    assert_eq!(steps(&kim, &session_id).await.len(), 1);
    let unknown = kim.get("/emotion/sessions/01900000-0000-7000-8000-00000000ffff").await;
    unknown.assert_problem(404, "session_not_found");
}
