//! Sessions whose time is over: completed once, at their due time, by whoever is there, and never early.

use std::time::Duration;

use deadpool_redis::redis::cmd;
use domain::contract::FOCUS_COMPLETED;
use serde_json::json;
use session::focus::{agenda::Agenda, complete};
use testkit::{Stage, TestApp, eventually};

use crate::{
    config,
    focus::{execute, go, instant, let_pass, make_focus, number, start_without_loops},
    focus_current::flush_redis,
    start,
};

/// Has every running session be over in so many milliseconds, by both clocks that count.
async fn due_in(stage: &Stage, ms: i64) {
    let sql = format!(
        "UPDATE focus_sessions SET due_at = date_trunc('milliseconds', now()) + {ms} * interval '1 millisecond', \
         anchor_at = date_trunc('milliseconds', now()) + ({ms} - duration_minutes * 60000 + accumulated_ms) \
         * interval '1 millisecond' WHERE status = 'started'"
    );
    execute(stage, &sql).await;
    // The agenda is built again from what is there now.
    let redis = stage.redis();
    redis.run::<()>(cmd("DEL").arg(redis.key("{focus}:due")).arg(redis.key("{focus}:whole"))).await.unwrap();
}

fn in_status(status: &str) -> String {
    format!("SELECT count(*) AS number FROM focus_sessions WHERE status = '{status}'")
}

fn replica(stage: &Stage) -> TestApp {
    stage.serve(session::build(config(stage), stage.clock.clone()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_completed_at_its_due_time_and_everybody_hears_of_it() {
    let (stage, app) = start().await;
    let others = [replica(&stage), replica(&stage)];
    let kim = app.as_user();
    let path = make_focus(&kim).await;
    let started = go(&kim, &path, "started").await.assert_status(200);
    // Counts what is written, whatever is delivered and deleted later.
    execute(
        &stage,
        "CREATE TABLE written (payload jsonb); \
         CREATE FUNCTION log_news() RETURNS trigger LANGUAGE plpgsql AS \
         'BEGIN INSERT INTO written VALUES (NEW.payload); RETURN NEW; END'; \
         CREATE TRIGGER log_news BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION log_news()",
    )
    .await;
    let mut heard = Box::pin(stage.redis().subscribe(FOCUS_COMPLETED).await.unwrap());
    due_in(&stage, 4_000).await;
    let before = kim.get(&path).await;
    assert_eq!(before.text("/status"), "started");
    eventually(Duration::from_secs(20), || async { number(&stage, &in_status("completed")).await == 1 }).await;

    let due_at = instant(&before, "/ends_at");
    let news = tokio::time::timeout(
        Duration::from_secs(20),
        std::future::poll_fn(|context| futures_util::Stream::poll_next(heard.as_mut(), context)),
    )
    .await
    .unwrap()
    .unwrap();
    let news: serde_json::Value = serde_json::from_str(&news).unwrap();
    let expected = json!({
        "session_id": started.json["id"], "user_id": kim.user_id, "completed_at": before.json["ends_at"],
        "ordinal": 1, "version": 3,
    });
    assert_eq!(news, expected);
    let done = kim.get(&path).await;
    assert_eq!((done.text("/status"), instant(&done, "/ends_at")), ("completed", due_at));
    assert_eq!((instant(&done, "/updated_at"), &done.json["remaining_seconds"]), (due_at, &json!(0)));
    for app in &others {
        let kim = app.as_principal(domain::principal::Principal {
            user_id: kim.user_id,
            login_id: kim.login_id,
            role: domain::principal::Role::User,
        });
        kim.get("/session/current").await.assert_problem(404, "no_current_session");
    }
    assert_eq!(number(&stage, "SELECT version AS number FROM focus_sessions").await, 3);
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM written").await, 1);
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM focus_intervals").await, 1);
    eventually(Duration::from_secs(20), || async {
        number(&stage, "SELECT count(*) AS number FROM outbox").await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_paused_reset_cancelled_or_deleted_is_never_completed() {
    let (stage, app) = start().await;
    let mut paths = Vec::new();
    for status in ["paused", "pending", "cancelled", "started"] {
        let client = app.as_user();
        let path = make_focus(&client).await;
        go(&client, &path, "started").await.assert_status(200);
        paths.push((client, path, status));
    }
    let gone = app.as_user();
    let path = make_focus(&gone).await;
    go(&gone, &path, "started").await.assert_status(200);
    due_in(&stage, 6_000).await;
    // The agenda has all of them by now, and keeps them if a replica's word never reaches it.
    let redis = stage.redis();
    let due = redis.key("{focus}:due");
    eventually(Duration::from_secs(20), || async { redis.run::<i64>(cmd("ZCARD").arg(&due)).await.unwrap() == 5 })
        .await;
    for (client, path, status) in &paths {
        go(client, path, status).await.assert_status(200);
    }
    gone.delete(&path).await.assert_status(200);
    let ids: Vec<_> = paths.iter().map(|(_, path, _)| path.rsplit('/').next().unwrap()).collect();
    let mut add = cmd("ZADD");
    add.arg(&due);
    for id in &ids {
        add.arg(1).arg(*id);
    }
    redis.run::<()>(&add).await.unwrap();
    eventually(Duration::from_secs(20), || async { number(&stage, &in_status("completed")).await == 1 }).await;
    eventually(Duration::from_secs(20), || async { redis.run::<i64>(cmd("ZCARD").arg(&due)).await.unwrap() == 0 })
        .await;
    for (client, path, status) in &paths {
        let expected = if *status == "started" { "completed" } else { *status };
        assert_eq!(client.get(path).await.text("/status"), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_comes_early_is_refused_and_put_back() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let path = make_focus(&kim).await;
    go(&kim, &path, "started").await.assert_status(200);
    let id = path.rsplit('/').next().unwrap();
    let redis = stage.redis();
    let due = redis.key("{focus}:due");
    let score = || async { redis.run::<Option<f64>>(cmd("ZSCORE").arg(&due).arg(id)).await.unwrap() };
    let before = score().await.unwrap();
    // A clock far ahead, or an index that is wrong.
    redis.run::<()>(cmd("ZADD").arg(&due).arg(1).arg(id)).await.unwrap();
    eventually(Duration::from_secs(15), || async { score().await == Some(before) }).await;
    assert_eq!(kim.get(&path).await.text("/status"), "started");
    assert_eq!(number(&stage, "SELECT version AS number FROM focus_sessions").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_replica_had_claimed_is_claimed_again() {
    let (stage, app) = start_without_loops().await;
    let kim = app.as_user();
    let path = make_focus(&kim).await;
    go(&kim, &path, "started").await.assert_status(200);
    let agenda = Agenda::new(stage.redis());
    let id = path.rsplit('/').next().unwrap().parse::<uuid::Uuid>().unwrap();
    agenda.add(&[(id, chrono::DateTime::UNIX_EPOCH)]).await.unwrap();
    let claim = agenda.claim().await.unwrap();
    assert_eq!((claim.ids, claim.next_in), (vec![id], None));
    assert!(agenda.claim().await.unwrap().ids.is_empty(), "one replica at a time");
    let redis = stage.redis();
    redis.run::<()>(cmd("ZADD").arg(redis.key("{focus}:inflight")).arg(1).arg(id.to_string())).await.unwrap();
    assert_eq!(agenda.claim().await.unwrap().ids, [id], "the lease ran out");
    agenda.settle(&[id], &[]).await.unwrap();
    assert_eq!(redis.run::<i64>(cmd("ZCARD").arg(redis.key("{focus}:inflight"))).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_redis_was_emptied_the_agenda_is_built_again() {
    let (stage, app) = start().await;
    let redis = stage.redis();
    let (due, whole) = (redis.key("{focus}:due"), redis.key("{focus}:whole"));
    let is_whole = || async { redis.run::<bool>(cmd("EXISTS").arg(&whole)).await.unwrap() };
    eventually(Duration::from_secs(15), is_whole).await;
    for _ in 0..3 {
        let client = app.as_user();
        go(&client, &make_focus(&client).await, "started").await.assert_status(200);
    }
    flush_redis(&stage).await;
    eventually(Duration::from_secs(15), is_whole).await;
    assert_eq!(redis.run::<i64>(cmd("ZCARD").arg(&due)).await.unwrap(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_every_watcher_dead_it_reads_as_completed_all_the_same() {
    let (stage, app) = start_without_loops().await;
    let kim = app.as_user();
    let path = make_focus(&kim).await;
    let started = go(&kim, &path, "started").await.assert_status(200);
    let_pass(&stage, 1_501).await;
    let shown = kim.get(&path).await;
    assert_eq!((shown.text("/status"), &shown.json["remaining_seconds"]), ("completed", &json!(0)));
    let due_at = instant(&shown, "/ends_at");
    assert!((instant(&started, "/ends_at") - due_at).num_seconds() == 1_501, "{}", shown.json);
    // What Redis remembers of it is from before the time was moved.
    flush_redis(&stage).await;
    kim.get("/session/current").await.assert_problem(404, "no_current_session");
    assert_eq!(kim.get(crate::focus::ALL).await.json, json!([shown.json]));
    assert_eq!(number(&stage, &in_status("started")).await, 1, "reading writes nothing");

    // Whatever is done to it comes after its completion, which is written once.
    for status in ["started", "paused", "pending", "cancelled"] {
        go(&kim, &path, status).await.assert_problem(409, "invalid_transition");
    }
    assert_eq!(go(&kim, &path, "completed").await.assert_status(200).json["ends_at"], shown.json["ends_at"]);
    let reviewed = kim.put(&path, json!({ "reflection": "끝" })).await.assert_status(200);
    assert_eq!((reviewed.text("/status"), instant(&reviewed, "/ends_at")), ("reviewed", due_at));
    assert_eq!(number(&stage, "SELECT version AS number FROM focus_sessions").await, 4);
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM outbox").await, 1);
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM focus_intervals").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_that_notice_at_once_one_completes() {
    let (stage, app) = start_without_loops().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let client = app.as_user();
        let path = make_focus(&client).await;
        go(&client, &path, "started").await.assert_status(200);
        ids.push(path.rsplit('/').next().unwrap().parse::<uuid::Uuid>().unwrap());
    }
    let pg = stage.pg();
    let notice = || async { complete::named(&mut pg.conn().await.unwrap(), &ids).await.unwrap().len() };
    assert_eq!(notice().await, 0, "nothing is over");
    let_pass(&stage, 1_500).await;
    let overdue = || async {
        let grace = chrono::TimeDelta::zero();
        complete::overdue(&mut pg.conn().await.unwrap(), grace, 100).await.unwrap().len()
    };
    let (named, found) = tokio::join!(async { tokio::join!(notice(), notice(), notice()) }, async {
        tokio::join!(overdue(), overdue())
    });
    assert_eq!(named.0 + named.1 + named.2 + found.0 + found.1, 3);
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM outbox").await, 3);
    assert_eq!(number(&stage, "SELECT max(version) AS number FROM focus_sessions").await, 3);
}
