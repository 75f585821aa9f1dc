//! Minutes, completions and streaks by the days of a person's own calendar.

use serde_json::{Value, json};
use testkit::{Stage, TestClient};

use crate::{
    focus::{execute, go, let_pass, make_focus, start_without_loops},
    start,
};

/// Puts a session with these spans and tags into a person's past; completed at the end of the last.
async fn past(stage: &Stage, client: &TestClient, tags: &str, spans: &[(&str, &str)]) {
    let (id, owner) = (stage.clock.uuid(), client.user_id);
    let (begun, ended) = (spans[0].0, spans.last().unwrap().1);
    let session = format!(
        "INSERT INTO focus_sessions (id, user_id, subject, duration_minutes, break_minutes, tags, status, ended_at, \
         created_at, updated_at) VALUES ('{id}', '{owner}', 'p', 180, 5, '{tags}', 'completed', '{ended}', '{begun}', \
         '{ended}');"
    );
    let spans = spans.iter().map(|(from, until)| {
        format!(
            "INSERT INTO focus_intervals (session_id, started_at, ended_at, user_id) \
             VALUES ('{id}', '{from}', '{until}', '{owner}');"
        )
    });
    let sql: Vec<_> = std::iter::once(session).chain(spans).collect();
    execute(stage, &sql.concat()).await;
}

async fn stats(client: &TestClient, tz: &str, start: &str, end: &str) -> Value {
    client.get(&format!("/session/stats?tz={tz}&start_date={start}&end_date={end}")).await.assert_status(200).json
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn minutes_are_split_at_local_midnight() {
    let (stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    past(
        &stage,
        &kim,
        "{글,집중}",
        &[("2026-03-01T14:50Z", "2026-03-01T15:10Z"), ("2026-03-01T15:20Z", "2026-03-01T15:25Z")],
    )
    .await;
    past(&stage, &kim, "{글}", &[("2026-03-02T14:00Z", "2026-03-02T16:30Z")]).await;
    past(&stage, &lee, "{글}", &[("2026-03-01T14:00Z", "2026-03-01T16:00Z")]).await;
    let seoul = json!({
        "days": [
            { "date": "2026-03-01", "focus_minutes": 10, "completed": 0 },
            { "date": "2026-03-02", "focus_minutes": 75, "completed": 1 },
            { "date": "2026-03-03", "focus_minutes": 90, "completed": 1 },
        ],
        "total_minutes": 175, "streak_days": 0,
        "by_tag": [{ "tag": "글", "minutes": 175 }, { "tag": "집중", "minutes": 25 }],
    });
    assert_eq!(stats(&kim, "Asia/Seoul", "2026-03-01", "2026-03-03").await, seoul);
    let utc = stats(&kim, "UTC", "2026-03-01", "2026-03-02").await;
    assert_eq!((&utc["days"][0]["focus_minutes"], &utc["days"][1]["focus_minutes"]), (&json!(25), &json!(150)));
    // A span that began before the first day counts for its part inside.
    assert_eq!(stats(&kim, "Asia/Seoul", "2026-03-03", "2026-03-03").await["total_minutes"], 90);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_are_as_long_as_people_live_them() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    // Over the hour that New York leaves out, and over the half hour that Lord Howe lives twice.
    past(&stage, &kim, "{}", &[("2026-03-08T06:30Z", "2026-03-08T07:30Z"), ("2026-03-09T03:30Z", "2026-03-09T04:30Z")])
        .await;
    past(&stage, &kim, "{}", &[("2026-04-04T12:30Z", "2026-04-04T13:30Z"), ("2026-04-04T14:30Z", "2026-04-04T15:30Z")])
        .await;
    let minutes = |found: &Value| -> Vec<i64> {
        found["days"].as_array().unwrap().iter().map(|day| day["focus_minutes"].as_i64().unwrap()).collect()
    };
    let new_york = stats(&kim, "America/New_York", "2026-03-07", "2026-03-09").await;
    assert_eq!(minutes(&new_york), [0, 60 + 30, 30]);
    // Midnight is 13:00 UTC before the change and 13:30 UTC after it.
    let lord_howe = stats(&kim, "Australia/Lord_Howe", "2026-04-04", "2026-04-05").await;
    assert_eq!(minutes(&lord_howe), [30, 30 + 60]);
    let year = stats(&kim, "Asia/Seoul", "2026-01-01", "2026-12-31").await;
    assert_eq!((year["days"].as_array().unwrap().len(), &year["total_minutes"]), (365, &json!(240)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streak_is_of_days_up_to_today_or_yesterday() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let days_ago = |days: i64| {
        let at = stage.clock.now() - chrono::TimeDelta::days(days);
        let from = (at - chrono::TimeDelta::minutes(1)).to_rfc3339();
        (from, at.to_rfc3339())
    };
    let today = stage.clock.now().date_naive().to_string();
    let streak = || async { stats(&kim, "UTC", &today, &today).await["streak_days"].clone() };
    assert_eq!(streak().await, 0);
    for days in [1, 2, 3, 5] {
        let (from, until) = days_ago(days);
        past(&stage, &kim, "{}", &[(&from, &until)]).await;
    }
    assert_eq!(streak().await, 3);
    let path = make_focus(&kim).await;
    go(&kim, &path, "started").await.assert_status(200);
    assert_eq!(streak().await, 3);
    go(&kim, &path, "completed").await.assert_status(200);
    assert_eq!(streak().await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_counts_so_far_and_what_is_over_counts_as_completed() {
    let (stage, app) = start_without_loops().await;
    let kim = app.as_user();
    let path = make_focus(&kim).await;
    go(&kim, &path, "started").await.assert_status(200);
    let_pass(&stage, 605).await;
    let found = || async { stats(&kim, "UTC", "2026-01-01", "2026-12-31").await };
    let completed = |found: &Value| -> i64 {
        found["days"].as_array().unwrap().iter().map(|day| day["completed"].as_i64().unwrap()).sum()
    };
    let so_far = found().await;
    assert_eq!((&so_far["total_minutes"], completed(&so_far)), (&json!(10), 0));
    let_pass(&stage, 9_000).await;
    let over = found().await;
    assert_eq!((&over["total_minutes"], completed(&over)), (&json!(25), 1));
    assert_eq!(over["by_tag"], json!([{ "tag": "글", "minutes": 25 }, { "tag": "집중", "minutes": 25 }]));
    go(&kim, &path, "completed").await.assert_status(200);
    assert_eq!(found().await, over, "writing it changes nothing");
}
