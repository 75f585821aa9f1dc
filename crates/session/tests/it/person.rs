//! What the auth service asks about a person.

use diesel::{QueryableByName, sql_query, sql_types::BigInt};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use domain::{
    contract::{UserErasure, UserExport},
    ids::UserId,
    principal::{Role, Service},
};
use serde_json::json;
use testkit::{Stage, TestApp, TestClient};

use crate::{SESSIONS, join, make, open, start, talk};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

fn path(person: UserId) -> String {
    format!("/internal/users/{person}")
}

async fn export(app: &TestApp, person: UserId) -> UserExport {
    let answer = app.as_service(Service::Auth).get(&format!("{}/export", path(person))).await.assert_status(200);
    serde_json::from_value(answer.json).unwrap()
}

async fn erase(app: &TestApp, person: UserId) -> UserErasure {
    let answer = app.as_service(Service::Auth).delete(&path(person)).await.assert_status(200);
    serde_json::from_value(answer.json).unwrap()
}

/// Counts everything that is kept of a person.
async fn left_of(stage: &Stage, person: UserId) -> i64 {
    let mut conn = stage.pg().conn().await.unwrap();
    let count = format!(
        "SELECT (SELECT count(*) FROM sessions WHERE user_id = '{person}') \
         + (SELECT count(*) FROM timers JOIN sessions ON id = session_id WHERE user_id = '{person}') \
         + (SELECT count(*) FROM idempotency_keys WHERE user_id = '{person}') AS number"
    );
    sql_query(count).get_result::<Number>(&mut conn).await.unwrap().number
}

/// Makes two sessions, one with a timer and one under a key.
async fn two_talks(client: &TestClient) -> String {
    let session = make(client).await;
    client.post(&format!("{session}/timer/setup"), json!({ "duration_seconds": 90 })).await.assert_status(200);
    client.post_with(SESSIONS, talk("두 번째"), &[("idempotency-key", "k-1")]).await.assert_status(201);
    session.rsplit('/').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_auth_service_may_ask_about_a_person() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    two_talks(&kim).await;
    let (own, shown) = (path(kim.user_id), format!("{}/export", path(kim.user_id)));
    let others = [Service::Gateway, Service::Session, Service::Ticketing, Service::Emotion, Service::Memo];
    let callers = others.map(|service| app.as_service(service)).into_iter();
    for caller in callers.chain([kim.clone(), app.as_role(Role::Admin), app.anonymous()]) {
        caller.get(&shown).await.assert_problem(404, "not_found");
        caller.delete(&own).await.assert_problem(404, "not_found");
    }
    app.without_token().delete(&own).await.assert_problem(401, "unauthenticated");
    assert_eq!(left_of(&stage, kim.user_id).await, 4);
    app.as_service(Service::Auth).delete("/internal/users/kim").await.assert_problem(404, "not_found");
    let document = app.without_token().get("/openapi.json").await.assert_status(200);
    assert!(!String::from_utf8(document.body).unwrap().contains("/internal/"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_shows_what_was_made_and_nothing_of_others() {
    let (_stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let session = two_talks(&kim).await;
    make(&lee).await;
    let UserExport { service, data } = export(&app, kim.user_id).await;
    assert_eq!((service, &data["truncated"]), (Service::Session, &json!(false)));
    let sessions = data["sessions"].as_array().unwrap();
    let titles: Vec<_> = sessions.iter().map(|session| session["title"].as_str().unwrap()).collect();
    assert_eq!((titles.len(), titles.contains(&"마루 발표"), titles.contains(&"두 번째")), (2, true, true));
    let with_timer = sessions.iter().find(|one| one["id"] == json!(session)).unwrap();
    assert_eq!(
        (&with_timer["timer"]["status"], &with_timer["timer"]["duration_seconds"]),
        (&json!("ready"), &json!(90))
    );
    assert!(with_timer["created_at"].as_str().unwrap().ends_with('Z'), "{with_timer}");
    assert!(with_timer["settings"].is_object(), "{with_timer}");

    let nobody = export(&app, UserId(uuid::Uuid::nil())).await.data;
    let nothing = json!({ "sessions": [], "focus_sessions": [], "participants": [], "joined": [], "truncated": false });
    assert_eq!(nobody, nothing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_leaves_nothing_of_the_person_and_everything_of_others() {
    let (stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    two_talks(&kim).await;
    two_talks(&lee).await;
    let before = export(&app, lee.user_id).await.data;
    let first = erase(&app, kim.user_id).await;
    assert_eq!((first.service, first.is_finished), (Service::Session, true));
    assert_eq!(json!(first.erased), json!({ "sessions": 2, "timers": 1, "idempotency_keys": 1 }));
    assert_eq!(left_of(&stage, kim.user_id).await, 0);
    assert_eq!((left_of(&stage, lee.user_id).await, export(&app, lee.user_id).await.data), (4, before));

    let again = erase(&app, kim.user_id).await;
    assert_eq!((again.is_finished, again.erased.len()), (true, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_account_takes_several_calls_and_is_shown_whole() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let person = kim.user_id;
    let many = format!(
        "INSERT INTO sessions (id, user_id, title, kind, session_code, settings, metadata, created_at, updated_at) \
         SELECT gen_random_uuid(), '{person}', 'n' || n, 'business', translate(lpad(n::text, 6, 'A'), '01', 'XY'), \
         '{{}}', '{{}}', now(), now() FROM generate_series(1, 1234) n; \
         INSERT INTO timers (session_id, duration_seconds, alerts) \
         SELECT id, 60, '{{\"halfway\":true,\"five_minutes\":true,\"two_minutes\":true,\"thirty_seconds\":true,\
         \"custom\":[]}}' FROM sessions"
    );
    stage.pg().conn().await.unwrap().batch_execute(&many).await.unwrap();
    // All of one instant, so that only their ids tell them apart.
    let sessions = export(&app, person).await.data["sessions"].as_array().unwrap().clone();
    let ids: std::collections::BTreeSet<_> = sessions.iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!((sessions.len(), ids.len()), (1234, 1234));

    let mut calls = Vec::new();
    loop {
        let erasure = erase(&app, person).await;
        calls.push(erasure.erased.get("sessions").copied().unwrap_or_default());
        if erasure.is_finished {
            break;
        }
    }
    assert_eq!(calls, [500, 500, 234]);
    assert_eq!(left_of(&stage, person).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasures_and_requests_at_the_same_time_leave_nothing_in_the_end() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    for _ in 0..5 {
        let (a, b, c, made) = tokio::join!(
            erase(&app, kim.user_id),
            erase(&app, kim.user_id),
            erase(&app, kim.user_id),
            two_talks_that_may_fail(&kim)
        );
        assert!([a, b, c].iter().all(|erasure| erasure.service == Service::Session));
        assert!(made.iter().all(|status| [200, 201, 404, 409].contains(status)), "{made:?}");
    }
    while !erase(&app, kim.user_id).await.is_finished {}
    assert_eq!(left_of(&stage, kim.user_id).await, 0);
}

async fn two_talks_that_may_fail(client: &TestClient) -> [u16; 2] {
    let session = make(client).await;
    let setup = client.post(&format!("{session}/timer/setup"), json!({ "duration_seconds": 90 })).await;
    let other = client.post_with(SESSIONS, talk("두 번째"), &[("idempotency-key", "k-1")]).await;
    [setup.status, other.status]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_shows_where_they_were_and_who_came_to_them() {
    let (_stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let (path, code) = open(&kim).await;
    join(&lee, &code, "이주최").await.assert_status(201);
    let guest = join(&app.anonymous(), &code, "손님").await.assert_status(201);
    kim.delete(&format!("{path}/participants/{}", guest.text("/participant/id"))).await.assert_status(204);
    let names = |data: &serde_json::Value, part: &str| -> Vec<String> {
        let rows = data[part].as_array().unwrap().iter();
        rows.map(|row| row["display_name"].as_str().unwrap().to_owned()).collect()
    };
    let of_kim = export(&app, kim.user_id).await.data;
    let mut came = names(&of_kim, "participants");
    came.sort();
    assert_eq!((came, names(&of_kim, "joined")), (vec!["손님".to_owned(), "이주최".to_owned()], vec![]));
    assert!(!of_kim.to_string().contains(&lee.user_id.to_string()), "{of_kim}");
    let of_lee = export(&app, lee.user_id).await.data;
    assert_eq!((names(&of_lee, "participants"), names(&of_lee, "joined")), (vec![], vec!["이주최".to_owned()]));
    assert_eq!((of_lee["sessions"].as_array().unwrap().len(), &of_lee["joined"][0]["left_at"]), (0, &json!(null)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_person_is_in_nobodys_session_and_the_counts_are_right() {
    let (stage, app) = start().await;
    let (kim, lee) = (app.as_user(), app.as_user());
    let mut rooms = Vec::new();
    for _ in 0..3 {
        rooms.push(open(&kim).await);
    }
    for (path, code) in &rooms {
        join(&app.anonymous(), code, "손님").await.assert_status(201);
        join(&lee, code, "이주최").await.assert_status(201);
        assert_eq!(kim.get(path).await.json["participant_count"], 2);
    }
    // Out of one of them already, and in again in another.
    for room in [0, 1] {
        let joined = join(&lee, &rooms[room].1, "이주최").await;
        let place = format!("{}/participants/{}", rooms[room].0, joined.text("/participant/id"));
        lee.delete(&place).await.assert_status(204);
    }
    join(&lee, &rooms[1].1, "이주최").await.assert_status(201);
    let erased = erase(&app, lee.user_id).await;
    assert_eq!((erased.is_finished, json!(erased.erased)), (true, json!({ "participants": 4 })));
    for (path, _code) in &rooms {
        assert_eq!(kim.get(path).await.json["participant_count"], 1, "{path}");
        assert_eq!(kim.get(&format!("{path}/participants")).await.header("x-total-count"), "1");
    }
    let left = format!("SELECT count(*) AS number FROM participants WHERE user_id = '{}'", lee.user_id);
    let mut conn = stage.pg().conn().await.unwrap();
    assert_eq!(sql_query(left).get_result::<Number>(&mut conn).await.unwrap().number, 0);

    assert!(erase(&app, kim.user_id).await.is_finished);
    let left = "SELECT count(*) AS number FROM participants";
    assert_eq!(sql_query(left).get_result::<Number>(&mut conn).await.unwrap().number, 0);
}
