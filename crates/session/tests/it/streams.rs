//! Watching a session over WebSockets and server-sent events, on several replicas.

use std::time::Duration;

use diesel::{
    QueryableByName, sql_query,
    sql_types::{BigInt, Text},
};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};
use session::app::App;
use testkit::{Socket, Stage, TestApp, TestClient, eventually};

use crate::{config, make, start};

fn socket_path(session: &str) -> String {
    format!("/ws/sessions/{}", session.rsplit('/').next().unwrap())
}

/// Opens a socket and returns it with its snapshot.
async fn watch(client: &TestClient, session: &str) -> (Socket, Value) {
    let mut socket = client.socket(&socket_path(session)).await;
    let snapshot = socket.next_json().await;
    assert_eq!(snapshot["type"], "snapshot");
    (socket, snapshot)
}

/// Waits for the next frame that is no tick of the second.
async fn next_of(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let frame = socket.next_json().await;
        if frame["type"] == kind {
            return frame;
        }
        assert_eq!(frame["type"], "timer", "{frame}");
    }
}

async fn set_up(client: &TestClient, session: &str, body: Value) {
    client.post(&format!("{session}/timer/setup"), body).await.assert_status(200);
}

async fn control(client: &TestClient, session: &str, what: &str) {
    client.post(&format!("{session}/timer/{what}"), json!({})).await.assert_status(200);
}

/// Serves another replica on the same stage.
fn replica(stage: &Stage) -> TestApp {
    stage.serve(session::build(config(stage), stage.clock.clone()).unwrap())
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

async fn count(stage: &Stage, query: &str) -> i64 {
    let mut conn = stage.pg().conn().await.unwrap();
    let counted: Counted = sql_query(query).get_result(&mut conn).await.unwrap();
    counted.count
}

/// Makes it as if everything the running timers wait for were nearer.
async fn hurry(stage: &Stage, seconds: u32) {
    let mut conn = stage.pg().conn().await.unwrap();
    for statement in [
        "UPDATE timers SET anchor_at = anchor_at - $1::interval WHERE anchor_at IS NOT NULL",
        "UPDATE timer_deadlines SET due_at = due_at - $1::interval",
    ] {
        sql_query(statement).bind::<Text, _>(format!("{seconds} seconds")).execute(&mut conn).await.unwrap();
    }
}

/// Waits until so many alerts have been told.
async fn alerts_told(stage: &Stage, times: i64) {
    let told = "SELECT count(*) FROM session_events WHERE kind = 'alert'";
    eventually(Duration::from_secs(5), || async { count(stage, told).await == times }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_gets_a_snapshot_and_then_every_change_with_its_number() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    let (mut socket, snapshot) = watch(&kim, &session).await;
    assert_eq!(snapshot["session"], kim.get(&session).await.json);
    assert_eq!(
        (&snapshot["timer"], &snapshot["seq"], &snapshot["participant_count"]),
        (&Value::Null, &json!(0), &json!(0))
    );

    set_up(&kim, &session, json!({ "duration_seconds": 60 })).await;
    let frame = next_of(&mut socket, "timer").await;
    assert_eq!((&frame["seq"], &frame["timer"]["status"]), (&json!(1), &json!("ready")));
    assert_eq!(frame["timer"], kim.get(&format!("{session}/timer")).await.json);
    control(&kim, &session, "start").await;
    let frame = next_of(&mut socket, "timer").await;
    assert_eq!((&frame["seq"], &frame["timer"]["status"]), (&json!(2), &json!("running")));
    // The seconds bear the number of what they come after. A busy machine may skip one.
    let mut last = 0;
    for _ in 1..3 {
        let tick = next_of(&mut socket, "timer").await;
        let second = tick["timer"]["elapsed_seconds"].as_i64().unwrap();
        assert!(tick["seq"] == 2 && second > last, "after {last}: {tick}");
        last = second;
    }
    control(&kim, &session, "pause").await;
    let paused = loop {
        let frame = next_of(&mut socket, "timer").await;
        if frame["seq"] == 3 {
            break frame;
        }
    };
    assert_eq!(paused["timer"]["status"], "paused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_watch_is_told_by_a_close_code_or_a_problem() {
    let (_stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let session = make(&kim).await;
    assert_eq!(lee.socket(&socket_path(&session)).await.closed().await, Some(4404));
    let unknown = "/ws/sessions/01900000-0000-7000-8000-00000000ffff";
    assert_eq!(kim.socket(unknown).await.closed().await, Some(4404));
    assert_eq!(app.anonymous().socket(&socket_path(&session)).await.closed().await, Some(4401));
    kim.get(&socket_path(&session)).await.assert_problem(400, "websocket_needed");
    lee.get(&format!("{session}/stream")).await.assert_problem(404, "session_not_found");
    app.anonymous().get(&format!("{session}/stream")).await.assert_problem(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_says_is_answered_or_refused_and_the_socket_stays_open() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    let (mut socket, _snapshot) = watch(&kim, &session).await;
    for (said, code) in [
        (json!({ "type": "dance" }), "unknown_type"),
        (json!({ "type": "resume" }), "malformed"),
        (json!({ "type": "resume", "after": "1" }), "malformed"),
        (json!(["ping"]), "malformed"),
    ] {
        socket.send_json(&said).await;
        let refused = socket.next_json().await;
        assert_eq!((&refused["type"], &refused["error"]["code"]), (&json!("error"), &json!(code)), "{said}");
    }
    socket.send_json(&json!({ "type": "ping" })).await;
    let pong = socket.next_json().await;
    assert_eq!(pong["type"], "pong");
    assert!(pong["server_time"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_come_once_in_their_order_with_nobody_polling_and_on_every_replica() {
    let (stage, app) = start().await;
    let other = replica(&stage);
    let kim = app.as_user();
    let session = make(&kim).await;
    let there = other.as_principal(kim.principal().unwrap());
    let (mut here, _) = watch(&kim, &session).await;
    let (mut there, _) = watch(&there, &session).await;
    let alerts = json!({ "custom": [100, 50] });
    set_up(&kim, &session, json!({ "duration_seconds": 240, "alerts": alerts })).await;
    control(&kim, &session, "start").await;
    hurry(&stage, 195).await;
    let mut told = Vec::new();
    for _ in 0..4 {
        let (one, two) = (next_of(&mut here, "alert").await, next_of(&mut there, "alert").await);
        assert_eq!(one, two);
        told.push((
            one["alert"]["name"].as_str().unwrap().to_owned(),
            one["alert"]["remaining_seconds"].as_i64().unwrap(),
        ));
    }
    let expected = [("halfway", 120), ("two_minutes", 120), ("custom", 100), ("custom", 50)];
    assert_eq!(told, expected.map(|(name, seconds)| (name.to_owned(), seconds)));
    // Paused and resumed, what has come does not come again, and what is left comes later.
    control(&kim, &session, "pause").await;
    control(&kim, &session, "resume").await;
    hurry(&stage, 60).await;
    for name in ["thirty_seconds", "ended"] {
        assert_eq!(next_of(&mut here, "alert").await["alert"]["name"], name);
        assert_eq!(next_of(&mut there, "alert").await["alert"]["name"], name);
    }
    assert_eq!(count(&stage, "SELECT count(*) FROM session_events WHERE kind = 'alert'").await, 6);
    assert_eq!(count(&stage, "SELECT count(*) FROM timer_deadlines").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_that_comes_while_nobody_runs_is_told_after_the_start() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    set_up(&kim, &session, json!({ "duration_seconds": 60, "alerts": { "halfway": false } })).await;
    control(&kim, &session, "start").await;
    app.stop().await;
    hurry(&stage, 40).await;
    let again = replica(&stage);
    let kim = again.as_principal(kim.principal().unwrap());
    let (mut socket, snapshot) = watch(&kim, &session).await;
    socket.send_json(&json!({ "type": "resume", "after": 2 })).await;
    if snapshot["seq"] == 2 {
        assert_eq!(next_of(&mut socket, "alert").await["alert"]["name"], "thirty_seconds");
    } else {
        assert_eq!(next_of(&mut socket, "alert").await["seq"], 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_forgets_what_was_planned_and_a_new_run_announces_it_anew() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    set_up(&kim, &session, json!({ "duration_seconds": 60, "alerts": { "halfway": false } })).await;
    control(&kim, &session, "start").await;
    hurry(&stage, 35).await;
    alerts_told(&stage, 1).await;
    control(&kim, &session, "reset").await;
    assert_eq!(count(&stage, "SELECT count(*) FROM timer_deadlines").await, 0);
    control(&kim, &session, "start").await;
    hurry(&stage, 35).await;
    alerts_told(&stage, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_gets_what_came_after_over_either_connection() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    set_up(&kim, &session, json!({ "duration_seconds": 240 })).await;
    control(&kim, &session, "start").await;
    hurry(&stage, 215).await;
    // setup 1, start 2, then halfway and two_minutes, thirty_seconds.
    alerts_told(&stage, 3).await;
    let (mut socket, snapshot) = watch(&kim, &session).await;
    assert_eq!(snapshot["seq"], 5);
    socket.send_json(&json!({ "type": "resume", "after": 3 })).await;
    for (seq, name) in [(4, "two_minutes"), (5, "thirty_seconds")] {
        let alert = next_of(&mut socket, "alert").await;
        assert_eq!((&alert["seq"], &alert["alert"]["name"]), (&json!(seq), &json!(name)));
    }
    // Of a state that changed twice the newest is told.
    socket.send_json(&json!({ "type": "resume", "after": 0 })).await;
    let frame = next_of(&mut socket, "alert").await;
    assert_eq!((&frame["seq"], &frame["alert"]["name"]), (&json!(3), &json!("halfway")));

    let mut events = kim.events(&format!("{session}/stream"), &[("last-event-id", "3")]).await;
    let first = events.next().await;
    assert_eq!((first.id, &first.data["type"]), (None, &json!("snapshot")));
    for seq in ["4", "5"] {
        let event = events.next().await;
        assert_eq!((event.id.as_deref(), &event.data["type"]), (Some(seq), &json!("alert")));
    }
    let fresh = kim.events(&format!("{session}/stream"), &[]).await.next().await;
    assert_eq!((fresh.id.as_deref(), &fresh.data["type"]), (Some("5"), &json!("snapshot")));
    let refused = kim.get_with(&format!("{session}/stream"), &[("last-event-id", "five")]).await;
    refused.assert_problem(400, "malformed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_minutes_with_two_hundred_viewers_cost_one_update_per_control() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    let mut sockets = Vec::new();
    for _ in 0..200 {
        sockets.push(watch(&kim, &session).await.0);
    }
    set_up(&kim, &session, json!({ "duration_minutes": 10 })).await;
    control(&kim, &session, "start").await;
    // Three real seconds of ticks for everybody, then the rest of the ten minutes at once.
    for socket in &mut sockets {
        while next_of(socket, "timer").await["timer"]["elapsed_seconds"].as_i64().unwrap() < 2 {}
    }
    hurry(&stage, 598).await;
    for socket in &mut sockets {
        let mut names = Vec::new();
        while names.last() != Some(&json!("ended")) {
            names.push(next_of(socket, "alert").await["alert"]["name"].clone());
        }
        assert_eq!(json!(names), json!(["five_minutes", "halfway", "two_minutes", "thirty_seconds", "ended"]));
    }
    control(&kim, &session, "reset").await;
    assert_eq!(count(&stage, "SELECT version AS count FROM timers").await, 3);
    // One for each of start and reset, and the one that this test wrote to make time pass.
    // The server's counters follow within ten seconds.
    eventually(Duration::from_secs(30), || async {
        count(&stage, "SELECT n_tup_upd AS count FROM pg_stat_user_tables WHERE relname = 'timers'").await == 3
    })
    .await;
    assert_eq!(count(&stage, "SELECT n_tup_upd AS count FROM pg_stat_user_tables WHERE relname = 'sessions'").await, 0);
    assert_eq!(
        count(&stage, "SELECT n_tup_upd AS count FROM pg_stat_user_tables WHERE relname = 'session_events'").await,
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_another_replicas_changes_are_found_within_seconds() {
    let (stage, app) = start().await;
    let mut deaf = config(&stage);
    deaf.base.redis.redis_url = "redis://127.0.0.1:1/".to_owned().into();
    let other = stage.serve(App::new(deaf, stage.clock.clone()).unwrap().listen().unwrap());
    let kim = app.as_user();
    let session = make(&kim).await;
    let (mut socket, _) = watch(&other.as_principal(kim.principal().unwrap()), &session).await;
    set_up(&kim, &session, json!({ "duration_seconds": 60 })).await;
    assert_eq!(next_of(&mut socket, "timer").await["seq"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_stops_tells_its_viewers() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    let (socket, _) = watch(&kim, &session).await;
    app.lifecycle().close_sockets();
    assert_eq!(socket.closed().await, Some(1001));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_session_stops_its_timer_and_sums_up_its_feedback() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    set_up(&kim, &session, json!({ "duration_seconds": 60, "alerts": { "halfway": false } })).await;
    control(&kim, &session, "start").await;
    let sample = json!({ "timestamp": "2026-11-28T09:00:00Z", "features": { "wpm": 240 } });
    kim.post(&format!("{session}/feedback"), sample).await.assert_status(200);
    let (mut socket, _) = watch(&kim, &session).await;
    let ended = kim.post(&format!("{session}/end"), json!({ "summary": { "grade": "A" } })).await.assert_status(200);
    assert_eq!(ended.json["summary"]["grade"], "A");
    assert_eq!(ended.json["summary"]["feedback"]["sample_count"], 1, "{}", ended.json["summary"]);
    let paused = loop {
        let frame = next_of(&mut socket, "timer").await;
        if frame["timer"]["status"] == "paused" {
            break frame;
        }
    };
    assert_eq!(next_of(&mut socket, "session").await["session"]["status"], "ended");
    let shown = kim.get(&format!("{session}/timer")).await.assert_status(200);
    assert_eq!(shown.json["elapsed_ms"], paused["timer"]["elapsed_ms"]);
    assert_eq!(count(&stage, "SELECT count(*) FROM timer_deadlines").await, 0);
    for what in ["setup", "start", "pause", "resume", "reset"] {
        kim.post(&format!("{session}/timer/{what}"), json!({})).await.assert_problem(409, "session_ended");
    }
    // To end it again changes nothing, the summary included.
    let again = kim.post(&format!("{session}/end"), json!({ "summary": { "grade": "B" } })).await.assert_status(200);
    assert_eq!(again.json, ended.json);
}
