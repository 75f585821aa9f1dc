//! What a speaker was told, and what it amounts to.

use chassis::pg::Pg;
use diesel::{QueryableByName, sql_query, sql_types::BigInt};
use diesel_async::RunQueryDsl;
use domain::{
    contract::{UserErasure, UserExport},
    ids::{SessionId, UserId},
    principal::Service,
};
use serde_json::{Value, json};
use testkit::{Stage, TestApp, TestClient};

use crate::{
    feedback::{sample, tell},
    make, start,
};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

/// Sends as many bad samples as there are to be cues.
async fn cues(stage: &Stage, client: &TestClient, session: &str, seconds: std::ops::Range<i64>) {
    let every_second = json!({ "min_interval_seconds": 1 });
    client.put(&format!("{session}/feedback/settings"), every_second).await.assert_status(200);
    let seconds: Vec<_> = seconds.collect();
    for batch in seconds.chunks(100) {
        let samples: Vec<_> =
            batch.iter().map(|second| sample(stage, *second, &json!({ "wpm": 200 + second % 100 }))).collect();
        assert_eq!(tell(client, session, json!({ "samples": samples })).await.len(), batch.len());
    }
}

async fn number(pg: &Pg, sql: &str) -> i64 {
    sql_query(sql).get_result::<Number>(&mut pg.conn().await.unwrap()).await.unwrap().number
}

fn ids(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|cue| cue["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_is_a_bare_array_newest_first_and_its_links_visit_every_cue_once() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    assert_eq!(kim.get(&format!("{session}/feedback")).await.assert_status(200).json, json!([]));
    cues(&stage, &kim, &session, 0..7).await;
    cues(&stage, &kim, &make(&kim).await, 0..2).await;
    let whole = kim.get(&format!("{session}/feedback")).await.assert_status(200);
    assert_eq!((whole.header("x-total-count"), whole.header("link")), ("7", ""));
    let timestamps: Vec<_> =
        whole.json.as_array().unwrap().iter().map(|cue| cue["timestamp"].as_str().unwrap()).collect();
    assert!(timestamps.is_sorted_by(|later, earlier| later > earlier), "{timestamps:?}");

    let (mut seen, mut path) = (Vec::new(), format!("{session}/feedback?limit=3"));
    loop {
        let page = kim.get(&path).await.assert_status(200);
        seen.extend(ids(&page.json));
        let Some((next, _rel)) = page.header("link").split_once(">; rel=\"next\"") else { break };
        next.trim_start_matches('<').clone_into(&mut path);
        if seen.len() == 3 {
            // What is added meanwhile shifts nothing.
            cues(&stage, &kim, &session, 7..9).await;
        }
    }
    assert_eq!(seen, ids(&whole.json));
    let skipped = kim.get(&format!("{session}/feedback?offset=8")).await.assert_status(200);
    assert_eq!(ids(&skipped.json), ids(&whole.json)[6..]);
    for (query, pointer) in [("limit=0", "?limit"), ("limit=101", "?limit"), ("offset=-1", "?offset")] {
        let refused = kim.get(&format!("{session}/feedback?{query}")).await.assert_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), pointer);
    }
    let refused = kim.get(&format!("{session}/feedback?cursor={}", i64::MAX)).await;
    assert_eq!(refused.assert_problem(422, "invalid").text("/errors/0/pointer"), "?cursor");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_history_the_newest_thousand_are_kept_and_all_are_counted() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    cues(&stage, &kim, &session, 0..1_150).await;
    let newest = kim.get(&format!("{session}/feedback?limit=1")).await.assert_status(200);
    assert_eq!(newest.header("x-total-count"), "1000");
    let last = stage.clock.now() + chrono::TimeDelta::seconds(1_149);
    assert_eq!(newest.text("/0/timestamp"), domain::time::rfc3339(last));
    let totals = session::feedback::store::totals(&mut stage.pg().conn().await.unwrap(), id(&session)).await.unwrap();
    assert_eq!(totals.unwrap()["cue_count"], 1_150);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_tell_what_was_heard_over_all_requests() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    let mut conn = stage.pg().conn().await.unwrap();
    assert_eq!(session::feedback::store::totals(&mut conn, id(&session)).await.unwrap(), None);
    for (second, features) in [
        (0, json!({ "wpm": 140, "confidence": 0.8, "filler_count": 1 })),
        (10, json!({ "wpm": 250, "confidence": 0.9 })),
        (40, json!({ "wpm": 120, "confidence": 30, "silence_ms": 1_500 })),
    ] {
        tell(&kim, &session, sample(&stage, second, &features)).await;
    }
    let totals = session::feedback::store::totals(&mut conn, id(&session)).await.unwrap().unwrap();
    assert_eq!((&totals["sample_count"], &totals["cue_count"]), (&json!(3), &json!(2)));
    assert_eq!(totals["cues"], json!({ "speaking_rate": 1, "filler_words": 0, "silence": 0, "confidence": 1 }));
    assert_eq!(totals["wpm"], json!({ "average": 170.0, "min": 120.0, "max": 250.0 }));
    assert_eq!(totals["confidence"], json!({ "average": 66.67, "first": 80.0, "last": 30.0 }));
    assert_eq!((&totals["filler_count"], &totals["silence_ms"]), (&json!(1), &json!(1_500)));
    let mood = chassis::document::Document::new(&json!({ "mood": "good" })).unwrap();
    let summary = session::feedback::summary::merge(Some(mood), Some(totals.clone())).unwrap().unwrap();
    assert_eq!(summary.value().unwrap(), json!({ "mood": "good", "feedback": totals }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_shows_settings_totals_and_cues() {
    let (stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let session = make(&kim).await;
    make(&kim).await;
    cues(&stage, &kim, &session, 0..3).await;
    cues(&stage, &lee, &make(&lee).await, 0..2).await;
    let data = export(&app, kim.user_id).await;
    let sessions = data["sessions"].as_array().unwrap();
    let told = sessions.iter().find(|one| session.ends_with(one["id"].as_str().unwrap())).unwrap();
    let feedback = &told["feedback"];
    assert_eq!(feedback["settings"]["min_interval_seconds"], 1);
    assert_eq!(feedback["totals"]["cue_count"], 3);
    let listed = kim.get(&format!("{session}/feedback")).await.json;
    assert_eq!(feedback["cues"], listed);
    let untold = sessions.iter().find(|one| one["id"] != told["id"]).unwrap();
    assert_eq!(untold["feedback"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_takes_all_feedback_and_that_of_others_stays() {
    let (stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    for person in [&kim, &lee] {
        cues(&stage, person, &make(person).await, 0..3).await;
        make(person).await;
    }
    let erasure = erase(&app, kim.user_id).await;
    let expected = json!({ "sessions": 2, "feedback_cues": 3, "feedback_settings": 1, "feedback_states": 1 });
    assert_eq!((erasure.is_finished, json!(erasure.erased)), (true, expected));
    for table in ["feedback_cues", "feedback_settings", "feedback_states"] {
        let of = |person: UserId| format!("SELECT count(*) AS number FROM {table} WHERE user_id = '{person}'");
        assert_eq!(number(&stage.pg(), &of(kim.user_id)).await, 0, "{table}");
        assert!(number(&stage.pg(), &of(lee.user_id)).await > 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_history_takes_several_erasures_before_its_session_goes() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let session = make(&kim).await;
    let many = format!(
        "INSERT INTO feedback_cues (id, session_id, user_id, rule, pattern, intensity, at, created_at) \
         SELECT gen_random_uuid(), '{}', '{}', 'silence', 'long_pulse', 5, now() + n * interval '1 s', now() \
         FROM generate_series(1, 10500) n",
        id(&session),
        kim.user_id
    );
    sql_query(many).execute(&mut stage.pg().conn().await.unwrap()).await.unwrap();
    let first = erase(&app, kim.user_id).await;
    assert_eq!((first.is_finished, json!(first.erased)), (false, json!({ "feedback_cues": 10_000 })));
    let second = erase(&app, kim.user_id).await;
    assert_eq!((second.is_finished, json!(second.erased)), (true, json!({ "sessions": 1, "feedback_cues": 500 })));
}

fn id(session: &str) -> SessionId {
    session.rsplit('/').next().unwrap().parse().unwrap()
}

async fn export(app: &TestApp, person: UserId) -> Value {
    let path = format!("/internal/users/{person}/export");
    let answer = app.as_service(Service::Auth).get(&path).await.assert_status(200);
    serde_json::from_value::<UserExport>(answer.json).unwrap().data
}

async fn erase(app: &TestApp, person: UserId) -> UserErasure {
    let path = format!("/internal/users/{person}");
    serde_json::from_value(app.as_service(Service::Auth).delete(&path).await.assert_status(200).json).unwrap()
}
