//! The presentation timer over HTTP, by the database's clock.

use std::time::Duration;

use diesel::{sql_query, sql_types::Text};
use diesel_async::RunQueryDsl;
use serde_json::json;
use testkit::{Answer, Stage, TestClient, eventually};

use crate::{make, start};

/// Makes a session with a timer of `seconds` and returns the timer's path.
async fn set_up(client: &TestClient, seconds: u32) -> String {
    let path = format!("{}/timer", make(client).await);
    client.post(&format!("{path}/setup"), json!({ "duration_seconds": seconds })).await.assert_status(200);
    path
}

/// Makes it as if the running timer's span had begun earlier.
async fn let_run(stage: &Stage, seconds: u32) {
    let mut conn = stage.pg().conn().await.unwrap();
    sql_query("UPDATE timers SET anchor_at = anchor_at - $1::interval WHERE anchor_at IS NOT NULL")
        .bind::<Text, _>(format!("{seconds} seconds"))
        .execute(&mut conn)
        .await
        .unwrap();
}

fn number(answer: &Answer, name: &str) -> i64 {
    answer.json[name].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_is_set_up_and_shows_every_field_of_the_contract() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    let path = format!("{session}/timer");
    kim.get(&path).await.assert_problem(404, "timer_not_found");
    for control in ["start", "pause", "resume", "reset"] {
        kim.post(&format!("{path}/{control}"), json!({})).await.assert_problem(409, "timer_not_set_up");
    }
    let body = json!({ "duration_minutes": 5, "alerts": { "two_minutes": false, "custom": [10, 200] } });
    let made = kim.post(&format!("{path}/setup"), body).await.assert_status(200);
    assert!(session.ends_with(made.text("/session_id")));
    let expected = json!({
        "session_id": made.json["session_id"],
        "status": "ready",
        "duration_seconds": 300, "elapsed_seconds": 0, "remaining_seconds": 300, "overtime_seconds": 0,
        "elapsed_ms": 0, "remaining_ms": 300_000, "overtime_ms": 0, "progress_percent": 0,
        "start_time": null, "end_time": null, "paused_at": null,
        "alerts": {
            "halfway": true, "five_minutes": true, "two_minutes": false, "thirty_seconds": true, "custom": [10, 200],
        },
        "alerts_triggered": {
            "halfway": false, "five_minutes": false, "two_minutes": false, "thirty_seconds": false, "ended": false,
            "custom": [],
        },
        "version": 1,
    });
    assert_eq!(made.json, expected);
    assert_eq!(made.header("etag"), "\"1\"");
    assert_eq!(kim.get(&path).await.json, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_timer_counts_what_the_database_clock_says() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let path = set_up(&kim, 600).await;
    let started = kim.post(&format!("{path}/start"), json!({})).await.assert_status(200);
    assert_eq!((started.text("/status"), number(&started, "elapsed_ms")), ("running", 0));
    assert!(started.text("/start_time").ends_with('Z') && started.text("/end_time").ends_with('Z'));
    // The service's own clock has no say.
    stage.clock.advance(Duration::from_mins(1));
    assert!(number(&kim.get(&path).await, "elapsed_ms") < 30_000);
    let first = number(&kim.get(&path).await, "elapsed_ms");
    eventually(Duration::from_secs(5), || async { number(&kim.get(&path).await, "elapsed_ms") > first }).await;

    let_run(&stage, 310).await;
    let later = kim.get(&path).await.assert_status(200);
    assert!((310..340).contains(&number(&later, "elapsed_seconds")), "{}", later.json);
    assert_eq!(number(&later, "elapsed_ms") + number(&later, "remaining_ms"), 600_000);
    assert_eq!(number(&later, "elapsed_seconds") + number(&later, "remaining_seconds"), 600);
    let triggered = &later.json["alerts_triggered"];
    assert_eq!((&triggered["halfway"], &triggered["five_minutes"]), (&json!(true), &json!(true)));
    assert_eq!(number(&later, "version"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_its_end_it_reads_ended_and_overtime_counts_until_a_reset() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let path = set_up(&kim, 60).await;
    kim.post(&format!("{path}/start"), json!({})).await.assert_status(200);
    let_run(&stage, 75).await;
    let ended = kim.get(&path).await.assert_status(200);
    assert_eq!((ended.text("/status"), number(&ended, "remaining_ms")), ("ended", 0));
    assert!((15..45).contains(&number(&ended, "overtime_seconds")), "{}", ended.json);
    assert_eq!((number(&ended, "progress_percent"), &ended.json["alerts_triggered"]["ended"]), (100, &json!(true)));
    kim.post(&format!("{path}/start"), json!({})).await.assert_problem(409, "timer_not_ready");
    kim.post(&format!("{path}/pause"), json!({})).await.assert_problem(409, "timer_not_running");
    kim.post(&format!("{path}/resume"), json!({})).await.assert_problem(409, "timer_not_paused");
    let reset = kim.post(&format!("{path}/reset"), json!({})).await.assert_status(200);
    assert_eq!((reset.text("/status"), number(&reset, "elapsed_ms")), ("ready", 0));
    assert_eq!(number(&reset, "duration_seconds"), 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_stands_still_and_a_resume_goes_on_from_there() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let path = set_up(&kim, 600).await;
    let began = kim.post(&format!("{path}/start"), json!({})).await.json["start_time"].clone();
    let_run(&stage, 100).await;
    let paused = kim.post(&format!("{path}/pause"), json!({})).await.assert_status(200);
    let kept = number(&paused, "elapsed_ms");
    assert!(kept >= 100_000 && paused.text("/paused_at").ends_with('Z'), "{}", paused.json);
    kim.post(&format!("{path}/pause"), json!({})).await.assert_problem(409, "timer_not_running");
    kim.post(&format!("{path}/start"), json!({})).await.assert_problem(409, "timer_not_ready");
    assert_eq!(number(&kim.get(&path).await, "elapsed_ms"), kept);
    let resumed = kim.post(&format!("{path}/resume"), json!({})).await.assert_status(200);
    assert_eq!((resumed.text("/status"), number(&resumed, "elapsed_ms")), ("running", kept));
    assert_eq!((&resumed.json["paused_at"], &resumed.json["start_time"]), (&json!(null), &began));
    kim.post(&format!("{path}/resume"), json!({})).await.assert_problem(409, "timer_not_paused");
    assert_eq!(number(&resumed, "version"), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starting_twice_is_once() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = set_up(&kim, 600).await;
    let first = kim.post(&format!("{path}/start"), json!({})).await.assert_status(200);
    let second = kim.post(&format!("{path}/start"), json!({})).await.assert_status(200);
    assert_eq!(first.json["start_time"], second.json["start_time"]);
    assert_eq!((number(&first, "version"), number(&second, "version")), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_at_once_bump_the_version_once() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = format!("{}/start", set_up(&kim, 600).await);
    let press = || kim.post(&path, json!({}));
    let (a, b, c, d) = tokio::join!(press(), press(), press(), press());
    for answer in [a, b, c, d] {
        assert_eq!(number(&answer.assert_status(200), "version"), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_controllers_with_the_same_version_one_wins() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = set_up(&kim, 600).await;
    kim.post(&format!("{path}/start"), json!({})).await.assert_status(200);
    let press = |control: &str| {
        let path = format!("{path}/{control}");
        let kim = kim.clone();
        async move { kim.post_with(&path, json!({}), &[("if-match", "\"2\"")]).await.status }
    };
    let (a, b, c, d) = tokio::join!(press("pause"), press("reset"), press("pause"), press("reset"));
    let mut statuses = [a, b, c, d];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412]);
    assert_eq!(number(&kim.get(&path).await, "version"), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pauses_at_once_without_a_version_take_effect_once() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = set_up(&kim, 600).await;
    kim.post(&format!("{path}/start"), json!({})).await.assert_status(200);
    let pause = format!("{path}/pause");
    let press = || async { kim.post(&pause, json!({})).await.status };
    let (a, b, c, d) = tokio::join!(press(), press(), press(), press());
    let mut statuses = [a, b, c, d];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_if_match_is_412() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = set_up(&kim, 600).await;
    let start = format!("{path}/start");
    for stale in ["\"0\"", "\"2\"", "7"] {
        kim.post_with(&start, json!({}), &[("if-match", stale)]).await.assert_problem(412, "timer_changed");
    }
    kim.post(&start, json!({ "version": 2 })).await.assert_problem(412, "timer_changed");
    kim.post_with(&start, json!({}), &[("if-match", "W/\"1\"")]).await.assert_problem(400, "malformed");
    kim.post_with(&start, json!({ "version": 1 }), &[("if-match", "\"1\"")]).await.assert_status(200);
    // Even what would change nothing says that the caller's picture is old.
    kim.post_with(&start, json!({}), &[("if-match", "\"1\"")]).await.assert_problem(412, "timer_changed");
    let setup = json!({ "version": 1 });
    kim.post(&format!("{path}/setup"), setup).await.assert_problem(412, "timer_changed");
    kim.post_with(&format!("{path}/pause"), json!({}), &[("if-match", "*")]).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_timer_is_not_set_up_anew_and_a_paused_one_is() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = set_up(&kim, 600).await;
    kim.post(&format!("{path}/start"), json!({})).await.assert_status(200);
    let setup_path = format!("{path}/setup");
    let setup = || kim.post(&setup_path, json!({ "duration_minutes": 3 }));
    setup().await.assert_problem(409, "timer_running");
    kim.post(&format!("{path}/pause"), json!({})).await.assert_status(200);
    let again = setup().await.assert_status(200);
    assert_eq!(
        (again.text("/status"), number(&again, "duration_seconds"), number(&again, "version")),
        ("ready", 180, 4)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_that_cannot_be_is_refused_with_the_field() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = format!("{}/timer/setup", make(&kim).await);
    for (body, pointer) in [
        (json!({ "duration_minutes": 0 }), "/duration_minutes"),
        (json!({ "duration_minutes": 181 }), "/duration_minutes"),
        (json!({ "duration_seconds": 0 }), "/duration_seconds"),
        (json!({ "duration_seconds": 60, "duration_minutes": 1 }), "/duration_seconds"),
        (json!({ "duration_seconds": 60, "alerts": { "custom": [60] } }), "/alerts/custom/0"),
    ] {
        let refused = kim.post(&path, body).await.assert_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), pointer);
    }
    kim.post(&path, json!({ "duration_minutes": 1.5 })).await.assert_problem(400, "malformed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pausing_and_resuming_many_times_neither_gives_time_nor_takes_it() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let path = set_up(&kim, 600).await;
    let mut last = kim.post(&format!("{path}/start"), json!({})).await.assert_status(200);
    for _ in 0..20 {
        let paused = kim.post(&format!("{path}/pause"), json!({})).await.assert_status(200);
        assert!(number(&paused, "elapsed_ms") >= number(&last, "elapsed_ms"));
        let resumed = kim.post(&format!("{path}/resume"), json!({})).await.assert_status(200);
        assert_eq!(number(&resumed, "elapsed_ms"), number(&paused, "elapsed_ms"));
        last = resumed;
    }
    assert_eq!(number(&last, "version"), 42);
}
