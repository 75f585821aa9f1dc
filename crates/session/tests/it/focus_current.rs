//! The current session out of Redis: without a query, never an old one, and never needed.

use std::time::Duration;

use deadpool_redis::redis::cmd;
use domain::principal::Service;
use secrecy::SecretString;
use serde_json::json;
use session::focus::cache::Cache;
use testkit::{Stage, database::TestDatabase, eventually, fault_proxy::FaultProxy};

use crate::{
    config,
    focus::{execute, go, let_pass, make_focus, start_without_loops},
    start,
};

/// Takes everything out of this test's Redis, as a restart without a disk does.
pub(crate) async fn flush_redis(stage: &Stage) {
    let redis = stage.redis();
    let keys: Vec<String> = redis.run(cmd("KEYS").arg(redis.key('*'))).await.unwrap();
    if !keys.is_empty() {
        redis.run::<()>(cmd("DEL").arg(keys)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_needs_no_database() {
    let stage = Stage::new(Service::Session, session::app::MIGRATIONS).await;
    let proxy = FaultProxy::start(TestDatabase::server_addr()).unwrap();
    let mut config = config(&stage);
    config.base.pg.database_url = stage.database().url_through(proxy.addr());
    let app = stage.serve(session::build(config, stage.clock.clone()).unwrap());
    let (kim, lee) = (app.as_user(), app.as_user());
    let path = make_focus(&kim).await;
    let started = go(&kim, &path, "started").await.assert_status(200);
    make_focus(&lee).await;

    proxy.reset();
    let current = kim.get("/session/current").await.assert_status(200);
    assert_eq!((&current.json["id"], current.text("/status")), (&started.json["id"], "started"));
    assert_eq!(current.json["ends_at"], started.json["ends_at"]);
    assert_eq!(lee.get("/session/current").await.assert_status(200).text("/status"), "pending");
    // Whatever is not a hit does need it, and says so.
    kim.get(&path).await.assert_problem(503, "unavailable");
    app.as_user().get("/session/current").await.assert_problem(503, "unavailable");
    proxy.heal();
    eventually(Duration::from_secs(10), || async { kim.get(&path).await.status == 200 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_write_never_replaces_a_newer_one() {
    let (stage, app) = start_without_loops().await;
    let kim = app.as_user();
    let cache = Cache::new(stage.redis());
    let path = make_focus(&kim).await;
    let (pending, _) = cache.get(kim.user_id).await.unwrap();
    go(&kim, &path, "started").await.assert_status(200);
    let (started, _) = cache.get(kim.user_id).await.unwrap();
    assert_eq!((started.version, started.status.as_str()), (pending.version + 1, "started"));
    // A reader that was slow, a writer that comes late.
    assert!(!cache.put(&pending).await.unwrap());
    assert_eq!(kim.get("/session/current").await.text("/status"), "started");
    assert!(cache.put(&started).await.unwrap(), "the same again is no harm");

    let second = make_focus(&kim).await;
    assert!(!cache.put(&started).await.unwrap(), "a later session of the same person is newer, whatever its version");
    assert!(second.ends_with(kim.get("/session/current").await.text("/id")));
    let (current, _) = cache.get(kim.user_id).await.unwrap();
    go(&kim, &second, "cancelled").await.assert_status(200);
    assert!(!cache.put(&current).await.unwrap(), "an end is not undone");
    kim.get("/session/current").await.assert_problem(404, "no_current_session");

    let third = make_focus(&kim).await;
    let (current, _) = cache.get(kim.user_id).await.unwrap();
    kim.delete(&third).await.assert_status(200);
    assert!(!cache.put(&current).await.unwrap());
    kim.get("/session/current").await.assert_problem(404, "no_current_session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_whose_time_is_over_is_no_hit() {
    let (stage, app) = start_without_loops().await;
    let kim = app.as_user();
    let path = make_focus(&kim).await;
    go(&kim, &path, "started").await.assert_status(200);
    let cache = Cache::new(stage.redis());
    let (mut over, now) = cache.get(kim.user_id).await.unwrap();
    over.due_at = Some(now);
    over.version += 1;
    assert!(cache.put(&over).await.unwrap());
    assert!(cache.get(kim.user_id).await.is_none());
    // The database knows better, here: it still runs.
    assert_eq!(kim.get("/session/current").await.text("/status"), "started");
    let_pass(&stage, 1_500).await;
    kim.get("/session/current").await.assert_problem(404, "no_current_session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_redis_lost_or_cannot_read_comes_from_the_database() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let path = make_focus(&kim).await;
    flush_redis(&stage).await;
    assert!(path.ends_with(kim.get("/session/current").await.assert_status(200).text("/id")));
    let cache = Cache::new(stage.redis());
    let (row, _) = cache.get(kim.user_id).await.unwrap();
    assert_eq!(row.subject, "글쓰기");
    let redis = stage.redis();
    let key = redis.key(format_args!("focus:current:{{{}}}", kim.user_id));
    redis.run::<()>(cmd("HSET").arg(&key).arg("body").arg("{\"of\": \"tomorrow\"}")).await.unwrap();
    assert!(path.ends_with(kim.get("/session/current").await.assert_status(200).text("/id")));
    let life: i64 = redis.run(cmd("PTTL").arg(&key)).await.unwrap();
    assert!((1..=60_000).contains(&life), "{life}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_everything_works_and_is_completed_within_a_second() {
    let stage = Stage::new(Service::Session, session::app::MIGRATIONS).await;
    let mut config = config(&stage);
    // A port of loopback where nothing listens.
    config.base.redis.redis_url = SecretString::from("redis://127.0.0.1:1");
    let app = stage.serve(session::build(config, stage.clock.clone()).unwrap());
    let kim = app.as_user();
    let path = make_focus(&kim).await;
    for status in ["started", "paused", "started"] {
        go(&kim, &path, status).await.assert_status(200);
        assert_eq!(kim.get("/session/current").await.text("/status"), status);
    }
    kim.put(&path, json!({ "subject": "다시" })).await.assert_status(200);
    execute(
        &stage,
        "UPDATE focus_sessions SET due_at = date_trunc('milliseconds', now()), anchor_at = \
         date_trunc('milliseconds', now()) - (1500000 - accumulated_ms) * interval '1 millisecond'",
    )
    .await;
    let status = "SELECT count(*) AS number FROM focus_sessions WHERE status = 'completed'";
    eventually(Duration::from_secs(5), || async { crate::focus::number(&stage, status).await == 1 }).await;
    kim.get("/session/current").await.assert_problem(404, "no_current_session");
    assert_eq!(kim.get(&path).await.text("/status"), "completed");
    kim.delete(&path).await.assert_status(200);
}
