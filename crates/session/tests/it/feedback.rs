//! What a speaker is told.

use std::time::Duration;

use diesel::{QueryableByName, sql_query, sql_types::BigInt};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};
use testkit::{Answer, Stage, TestClient};

use crate::{SESSIONS, config, make, start};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// A sample `seconds` after the test's beginning.
pub(crate) fn sample(stage: &Stage, seconds: i64, features: &Value) -> Value {
    json!({ "timestamp": stage.clock.now().timestamp_millis() + seconds * 1_000, "features": features })
}

/// Sends samples to a session and returns the cues.
pub(crate) async fn tell(client: &TestClient, session: &str, body: Value) -> Vec<Value> {
    let answer = client.post(&format!("{session}/feedback"), body).await.assert_status(200);
    answer.json["cues"].as_array().unwrap().clone()
}

/// Ends a session behind the service's back.
pub(crate) async fn end(stage: &Stage, session: &str) {
    let id = session.rsplit('/').next().unwrap();
    let ended = format!("UPDATE sessions SET status = 'ended', ended_at = now() WHERE id = '{id}'");
    sql_query(ended).execute(&mut stage.pg().conn().await.unwrap()).await.unwrap();
}

/// Reads one's settings for a session.
pub(crate) async fn settings(client: &TestClient, session: &str) -> Value {
    client.get(&format!("{session}/feedback/settings")).await.assert_status(200).json
}

/// Lays a part of settings over those of a session.
pub(crate) async fn put(client: &TestClient, session: &str, patch: Value) -> Answer {
    client.put(&format!("{session}/feedback/settings"), patch).await
}

/// Returns the fields that were refused.
pub(crate) fn pointers(refused: &Answer) -> Vec<&str> {
    refused.json["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_rule_has_a_cue_of_its_own() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    for (features, rule, pattern, intensity) in [
        (json!({ "wpm": 200 }), "speaking_rate", "rapid_pulses", 3),
        (json!({ "wpm": 50 }), "speaking_rate", "slow_wave", 7),
        (json!({ "filler_count": 6 }), "filler_words", "double_tap", 5),
        (json!({ "silence_ms": 5_000 }), "silence", "long_pulse", 3),
        (json!({ "confidence": 0.2 }), "confidence", "rising_wave", 7),
    ] {
        let session = make(&kim).await;
        let sample = sample(&stage, 0, &features);
        let cues = tell(&kim, &session, sample.clone()).await;
        assert_eq!(cues.len(), 1, "{features}");
        let cue = &cues[0];
        assert_eq!((&cue["rule"], &cue["pattern"]), (&json!(rule), &json!(pattern)));
        assert_eq!(cue["intensity"], json!(intensity), "{cue}");
        let timestamp = cue["timestamp"].as_str().unwrap();
        assert_eq!(timestamp, domain::time::rfc3339(stage.clock.now()));
        assert!(cue["id"].is_string() && !cue["message"].as_str().unwrap().is_empty(), "{cue}");
    }
    let session = make(&kim).await;
    assert_eq!(tell(&kim, &session, sample(&stage, 0, &json!({ "confidence": 90 }))).await.len(), 0);
    let fell = tell(&kim, &session, sample(&stage, 1, &json!({ "confidence": 0.6 }))).await;
    assert_eq!(fell[0]["pattern"], "falling_pulses");
    let said = json!({ "timestamp": stage.clock.now(), "text": "음... 그, 어 저는 발표를" });
    let session = make(&kim).await;
    assert_eq!(tell(&kim, &session, said).await[0]["rule"], "filler_words");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_korean_and_english_for_who_asks_for_it() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    let path = format!("{session}/feedback");
    let body = |seconds| sample(&stage, seconds, &json!({ "wpm": 250 }));
    let korean = kim.post(&path, body(0)).await.assert_status(200);
    assert_eq!(korean.text("/cues/0/message"), "조금 천천히 말해 보세요.");
    let english = kim.post_with(&path, body(10), &[("accept-language", "en-GB")]).await.assert_status(200);
    assert_eq!(english.text("/cues/0/message"), "Try speaking a little slower.");
    let listed = kim.get(&path).await.assert_status(200);
    assert_eq!(listed.text("/0/message"), "조금 천천히 말해 보세요.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cues_keep_the_interval_from_request_to_request() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    put(&kim, &session, json!({ "min_interval_seconds": 3 })).await.assert_status(200);
    let fast = json!({ "wpm": 250 });
    let batch: Vec<_> = (0..7).map(|second| sample(&stage, second, &fast)).collect();
    assert_eq!(tell(&kim, &session, json!({ "samples": batch })).await.len(), 3);
    assert_eq!(tell(&kim, &session, sample(&stage, 8, &fast)).await.len(), 0);
    assert_eq!(tell(&kim, &session, sample(&stage, 9, &fast)).await.len(), 1);
    put(&kim, &session, json!({ "enabled": false })).await.assert_status(200);
    assert_eq!(tell(&kim, &session, sample(&stage, 30, &fast)).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_requests_at_once_one_gets_the_cue() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    for _ in 0..5 {
        let session = make(&kim).await;
        let body = |second| sample(&stage, second, &json!({ "wpm": 250 }));
        let (a, b, c, d) = tokio::join!(
            tell(&kim, &session, body(0)),
            tell(&kim, &session, body(1)),
            tell(&kim, &session, body(2)),
            tell(&kim, &session, body(2)),
        );
        assert_eq!(a.len() + b.len() + c.len() + d.len(), 1);
        let listed = kim.get(&format!("{session}/feedback")).await.assert_status(200);
        assert_eq!(listed.header("x-total-count"), "1");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_watches_the_session_as_its_owner_is_told_each_cue_once() {
    let (stage, app) = start().await;
    let other = stage.serve(session::build(config(&stage), stage.clock.clone()).unwrap());
    let kim = app.as_user();
    let session = make(&kim).await;
    let there = other.as_principal(kim.principal().unwrap());
    let path = format!("/ws/sessions/{}", session.rsplit('/').next().unwrap());
    let mut screens = [kim.socket(&path).await, there.socket(&path).await];
    for screen in &mut screens {
        assert_eq!(screen.next_json().await["type"], "snapshot");
    }
    let body = |second| sample(&stage, second, &json!({ "wpm": 250 }));
    let first = tell(&kim, &session, body(0)).await;
    // Neither a repetition nor what leads to no cue is news.
    assert_eq!(tell(&kim, &session, body(0)).await.len() + tell(&kim, &session, body(1)).await.len(), 0);
    let second = tell(&kim, &session, body(10)).await;
    for screen in &mut screens {
        for (seq, cues) in [(1, &first), (2, &second)] {
            let frame = screen.next_json().await;
            assert_eq!(frame, json!({ "type": "feedback", "seq": seq, "cues": cues }));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_is_sent_again_changes_nothing() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    let batch: Vec<_> = (0..30).map(|second| sample(&stage, second, &json!({ "filler_count": 1 }))).collect();
    let body = json!({ "samples": batch });
    assert_eq!(tell(&kim, &session, body.clone()).await.len(), 3);
    let kept = || async {
        let md5 = "SELECT ('x' || left(md5(state::text || totals::text), 15))::bit(60)::bigint AS number \
                   FROM feedback_states";
        let mut conn = stage.pg().conn().await.unwrap();
        sql_query(md5).get_result::<Number>(&mut conn).await.unwrap().number
    };
    let before = kept().await;
    assert_eq!(tell(&kim, &session, body).await.len(), 0);
    assert_eq!(kept().await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_sent_again_gets_the_first_answer_and_belongs_to_its_session() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let (session, other) = (make(&kim).await, make(&kim).await);
    let body = sample(&stage, 0, &json!({ "wpm": 250 }));
    let send = |session: &str, body: Value| {
        let (kim, path) = (kim.clone(), format!("{session}/feedback"));
        async move { kim.post_with(&path, body, &[("idempotency-key", "k-1")]).await }
    };
    let first = send(&session, body.clone()).await.assert_status(200);
    assert_eq!(first.json["cues"].as_array().unwrap().len(), 1);
    end(&stage, &session).await;
    assert_eq!(send(&session, body.clone()).await.assert_status(200).json, first.json);
    send(&other, body).await.assert_problem(422, "idempotency_key_reused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_that_cannot_be_are_refused_with_every_field() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let path = format!("{}/feedback", make(&kim).await);
    let good = sample(&stage, 0, &json!({ "wpm": 140 }));
    let beyond = sample(&stage, 100_000, &json!({}));
    for (body, expected) in [
        (json!({}), vec!["/timestamp", "/features"]),
        (json!({ "samples": vec![good.clone(); 101] }), vec!["/samples"]),
        (json!({ "samples": [good.clone(), { "timestamp": "soon", "features": {} }] }), vec!["/samples/1/timestamp"]),
        (json!({ "samples": [good.clone()], "sample": good }), vec!["/sample"]),
        (sample(&stage, 0, &json!({ "wpm": "fast", "confidence": -1 })), vec!["/features/wpm", "/features/confidence"]),
        (beyond, vec!["/timestamp"]),
    ] {
        let refused = kim.post(&path, body).await.assert_problem(422, "invalid");
        assert_eq!(pointers(&refused), expected);
    }
    kim.post(&path, json!("x")).await.assert_problem(400, "malformed");
    let long = json!({ "samples": vec![json!({ "timestamp": 0, "text": "가".repeat(2_000) }); 50] });
    kim.post(&path, long).await.assert_problem(413, "too_large");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_batch_with_what_was_said_is_read() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    let said = |second: i64| {
        let mut sample = sample(&stage, second, &json!({ "wpm": 140 }));
        sample["text"] = json!("발표를 ".repeat(200));
        sample
    };
    // More than an ordinary body may have.
    let batch: Vec<_> = (0..100).map(said).collect();
    assert_eq!(tell(&kim, &session, json!({ "samples": batch })).await.len(), 0);
    // Nothing of it is kept.
    let kept = "SELECT count(*) AS number FROM feedback_states WHERE state::text || totals::text LIKE '%발표%'";
    let mut conn = stage.pg().conn().await.unwrap();
    assert_eq!(sql_query(kept).get_result::<Number>(&mut conn).await.unwrap().number, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feedback_of_others_does_not_exist_and_an_ended_session_takes_none() {
    let (stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let session = make(&kim).await;
    let path = format!("{session}/feedback");
    let body = sample(&stage, 0, &json!({ "wpm": 250 }));
    assert_eq!(tell(&kim, &session, body.clone()).await.len(), 1);
    lee.post(&path, body.clone()).await.assert_problem(404, "session_not_found");
    lee.get(&path).await.assert_problem(404, "session_not_found");
    lee.get(&format!("{path}/settings")).await.assert_problem(404, "session_not_found");
    put(&lee, &session, json!({ "enabled": false })).await.assert_problem(404, "session_not_found");
    app.anonymous().post(&path, body.clone()).await.assert_problem(401, "unauthenticated");
    kim.get(&format!("{SESSIONS}/nowhere/feedback")).await.assert_problem(404, "not_found");

    end(&stage, &session).await;
    stage.clock.advance(Duration::from_mins(1));
    kim.post(&path, body).await.assert_problem(409, "session_ended");
    put(&kim, &session, json!({ "enabled": false })).await.assert_problem(409, "session_ended");
    assert_eq!(kim.get(&path).await.assert_status(200).json.as_array().unwrap().len(), 1);
    assert_eq!(settings(&kim, &session).await["enabled"], true);
}
