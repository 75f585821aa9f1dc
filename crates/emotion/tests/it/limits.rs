//! How much of the companion one person may have.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection, SimpleAsyncConnection};
use domain::{
    companion::StepStatus,
    ids::{ConversationId, StepId, UserId},
    principal::Service,
};
use emotion::{
    app::App,
    companion::OfflineCompanion,
    conversation::{Conversation, store as conversations},
    limit::{self, LimitConfig, Reserved},
    step::{running as steps, store::NewStep},
};
use serde_json::json;
use testkit::Stage;

use crate::config;

const SMALL: LimitConfig = LimitConfig {
    sockets_per_user: 2,
    replies_per_user: 2,
    messages_per_minute: 3,
    tokens_per_day: 1_000,
    replies_per_instance: 1,
};

struct Scene {
    stage: Stage,
    app: App,
    owner: UserId,
}

impl Scene {
    async fn set() -> Self {
        let stage = Stage::new(Service::Emotion, emotion::app::MIGRATIONS).await;
        let app = Self::replica(&stage);
        let owner = stage.clock.id();
        Self { stage, app, owner }
    }

    fn replica(stage: &Stage) -> App {
        let mut config = config(stage);
        config.limits = SMALL;
        let companion = std::sync::Arc::new(OfflineCompanion::default());
        App::new(config, stage.clock.clone(), companion, chassis::socket::Patience::default()).unwrap()
    }

    async fn reserve(&self, tokens: i32, now: DateTime<Utc>) -> Reserved {
        let conn = self.app.ground.pg.conn().await.unwrap();
        limit::reserve(&conn, self.owner, now, tokens, &SMALL).await.unwrap()
    }

    /// Reserves and writes a running step in one transaction, as a reply does.
    async fn begin(&self, tokens: i32) -> Result<StepId, Reserved> {
        let (id, talk): (StepId, ConversationId) = (self.stage.clock.id(), self.stage.clock.id());
        let now = self.stage.clock.now();
        let mut conn = self.app.ground.pg.conn().await.unwrap();
        let reserving = conn.transaction(async |conn| {
            let vault = self.app.vault.open_for(conn, self.owner).await?;
            conversations::insert_missing(conn, &vault, &Conversation::new(talk, self.owner, now)).await?;
            let reserved = limit::reserve(conn, self.owner, now, tokens, &SMALL).await?;
            if reserved == Reserved::Taken {
                let step = NewStep {
                    reserved_tokens: tokens,
                    ..NewStep::streaming(id.0, talk.0, self.owner.0, 1, "말", now)
                };
                steps::insert(conn, &vault, step).await?;
            }
            chassis::problem::Outcome::Ok(reserved)
        });
        match reserving.await.unwrap() {
            Reserved::Taken => Ok(id),
            refused => Err(refused),
        }
    }

    async fn end(&self, id: StepId) {
        let mut conn = self.app.ground.pg.conn().await.unwrap();
        let vault = self.app.vault.read_for(&mut conn, self.owner).await.unwrap();
        let ended = steps::Ended::new(steps::Reply::default(), StepStatus::Complete, self.stage.clock.now());
        assert!(steps::finish(&mut conn, &vault, (id, 1), ended).await.unwrap());
    }

    async fn settle(&self, id: StepId, used: i64) {
        limit::settle(&mut self.app.ground.pg.conn().await.unwrap(), id, used).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_counted_over_all_replicas_and_refused_with_a_time() {
    let scene = Scene::set().await;
    let other = Scene::replica(&scene.stage);
    for app in [&scene.app, &other, &scene.app] {
        app.limits.admit_message(scene.owner).await.unwrap();
    }
    let refused = other.limits.admit_message(scene.owner).await.unwrap_err();
    assert_eq!((refused.code(), refused.status().as_u16()), ("too_many_messages", 429));
    other.limits.admit_message(scene.stage.clock.id()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_are_counted_over_all_replicas_and_a_closed_one_makes_room() {
    let scene = Scene::set().await;
    let other = Scene::replica(&scene.stage);
    let first = scene.app.limits.open_socket(scene.owner).await.unwrap();
    let _second = other.limits.open_socket(scene.owner).await.unwrap();
    for app in [&scene.app, &other] {
        let Err(refused) = app.limits.open_socket(scene.owner).await else { panic!("a third socket") };
        assert_eq!(refused.code(), "too_many_sockets");
    }
    drop(scene.app.limits.open_socket(scene.stage.clock.id()).await.unwrap());
    drop(first);
    testkit::eventually(Duration::from_secs(20), || async { other.limits.open_socket(scene.owner).await.is_ok() })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_process_counts_sockets_alone() {
    let scene = Scene::set().await;
    let mut config = config(&scene.stage);
    config.limits = SMALL;
    config.base.redis.redis_url = secrecy::SecretString::from("redis://127.0.0.1:1");
    let companion = std::sync::Arc::new(OfflineCompanion::default());
    let app = App::new(config, scene.stage.clock.clone(), companion, chassis::socket::Patience::default()).unwrap();
    let _places =
        [app.limits.open_socket(scene.owner).await.unwrap(), app.limits.open_socket(scene.owner).await.unwrap()];
    assert!(app.limits.open_socket(scene.owner).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_writes_as_many_replies_as_it_may() {
    let scene = Scene::set().await;
    let place = scene.app.limits.begin_reply().unwrap();
    let refused = scene.app.limits.begin_reply().unwrap_err();
    assert_eq!((refused.code(), refused.status().as_u16()), ("overloaded", 503));
    drop(place);
    scene.app.limits.begin_reply().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_a_day_are_reserved_settled_once_and_new_the_next_day() {
    let scene = Scene::set().await;
    let now = scene.stage.clock.now();
    let first = scene.begin(600).await.unwrap();
    let Err(Reserved::Exhausted { retry_after }) = scene.begin(500).await else { panic!("more than a day has") };
    assert!((1..=86_400).contains(&retry_after));
    scene.end(first).await;
    scene.settle(first, 100).await;
    scene.settle(first, 0).await;
    let second = scene.begin(900).await.unwrap();
    scene.end(second).await;
    assert!(matches!(scene.reserve(1, now).await, Reserved::Exhausted { .. }));
    // What costs nothing is not refused, and a reply that cost more than was reserved is counted as it was.
    assert_eq!(scene.reserve(0, now).await, Reserved::Taken);
    scene.settle(second, 5_000).await;
    assert!(matches!(scene.reserve(1, now).await, Reserved::Exhausted { .. }));
    assert_eq!(scene.reserve(1_000, now + Duration::from_hours(24)).await, Reserved::Taken);
    assert!(matches!(scene.reserve(1_001, now + Duration::from_hours(48)).await, Reserved::Exhausted { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_messages_at_once_no_more_are_answered_than_may_be() {
    let scene = Scene::set().await;
    let begun = futures_util::future::join_all((0..8).map(|_| scene.begin(10))).await;
    let (taken, refused): (Vec<_>, Vec<_>) = begun.into_iter().partition(Result::is_ok);
    assert_eq!(taken.len(), 2);
    assert!(refused.iter().all(|refused| *refused == Err(Reserved::TooMany)), "{refused:?}");
    scene.end(*taken[0].as_ref().unwrap()).await;
    scene.begin(10).await.unwrap();
    // A reply whose process is gone takes nobody's place.
    let pass = "UPDATE emotion_steps SET lease_until = now() - interval '1 second'";
    scene.stage.pg().conn().await.unwrap().batch_execute(pass).await.unwrap();
    scene.begin(10).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_too_much_is_told_when_to_go_on_and_who_is_in_danger_is_answered_all_the_same() {
    let stage = Stage::new(Service::Emotion, emotion::app::MIGRATIONS).await;
    let mut config = config(&stage);
    config.limits = LimitConfig { replies_per_instance: 100, ..SMALL };
    let companion = std::sync::Arc::new(OfflineCompanion::new(Duration::ZERO));
    let patience = chassis::socket::Patience::default();
    let app = stage.serve(emotion::build_with(config, stage.clock.clone(), companion, patience).unwrap());
    let kim = app.as_user();
    let made = kim.post("/emotion/sessions", json!({})).await.assert_status(201);
    let say = async |text: &str| {
        kim.post("/emotion/steps/generate", json!({ "session_id": made.text("/session_id"), "user_input": text })).await
    };
    for _ in 0..3 {
        say("오늘은 바빴어").await.assert_status(200);
    }
    let refused = say("하나만 더").await.assert_problem(429, "too_many_messages");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    let heard = say("이제 그만 죽고 싶어요").await.assert_status(200);
    assert!(heard.text("/gpt_response").contains("109"), "{}", heard.json);
    assert_eq!(steps_of(&kim, made.text("/session_id")).await, 4);
}

async fn steps_of(client: &testkit::TestClient, session: &str) -> usize {
    client.get(&format!("/emotion/steps/{session}")).await.assert_status(200).json.as_array().unwrap().len()
}
