//! The end of an account, here and in every service.
//!
//! Numbers in names are those of the threat list in docs/security.md.

use std::time::Duration;

use domain::principal::Service;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, Stage, TestApp, TestClient, eventually};

use crate::{
    PASSWORD,
    outside::{count, dump, hurry, run},
    principal, register,
    rooms::{Call, Reply, Rooms},
    start_with,
};

async fn leave(person: &TestClient, body: Value) -> Answer {
    person.send(person.request(Method::DELETE, "/user/me").json(&body)).await
}

async fn receipt(app: &TestApp, id: &str) -> Answer {
    app.anonymous().get(&format!("/auth/erasures/{id}")).await
}

/// Waits until every service has said that nothing is left, without the pauses in between.
async fn finished(stage: &Stage, app: &TestApp, id: &str) -> Answer {
    eventually(Duration::from_secs(10), || async {
        hurry(stage, "erasure").await;
        !receipt(app, id).await.text("/finished_at").is_empty()
    })
    .await;
    receipt(app, id).await.assert_status(200)
}

/// Returns what a receipt says of a service.
fn part(receipt: &Answer, service: &str) -> Value {
    let parts = receipt.json.get("services").and_then(Value::as_array).unwrap();
    parts.iter().find(|part| part.get("service").is_some_and(|name| name == service)).unwrap().clone()
}

async fn scene() -> (Rooms, Stage, TestApp) {
    let rooms = Rooms::open();
    let (stage, app) = start_with(|config| rooms.point(config)).await;
    (rooms, stage, app)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_ends_at_once_and_every_service_is_told() {
    let (rooms, stage, app) = scene().await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    let login = json!({ "email": "kim@example.com", "password": PASSWORD });
    let second = app.as_principal(principal(&stage, &app.anonymous().post("/login", login.clone()).await));
    for (service, count) in [(Service::Session, 2), (Service::Memo, 7)] {
        rooms.of(service).will([Reply::Done(count)]);
    }
    let answer = leave(&kim, json!({ "password": PASSWORD })).await.assert_status(202);
    let cleared: Vec<_> = answer.headers.get_all("set-cookie").iter().map(|c| c.to_str().unwrap()).collect();
    assert!(cleared.len() == 2 && cleared.iter().all(|cookie| cookie.contains("Max-Age=0")), "{cleared:?}");
    assert_eq!(part(&answer, "auth")["status"], "finished");
    assert_eq!(part(&answer, "auth")["erased"], json!({ "accounts": 1, "logins": 2 }));
    assert_eq!(part(&answer, "memo")["status"], "pending");
    assert_eq!(answer.json["services"].as_array().unwrap().len(), 5);

    // Its tokens are dead, and every gateway hears of it although no row is left.
    for ended in [&kim, &second] {
        ended.get("/user/me").await.assert_problem(401, "invalid_token");
    }
    let refresh = json!({ "refresh_token": made.text("/refresh_token") });
    app.anonymous().post("/auth/refresh", refresh).await.assert_problem(401, "invalid_token");
    app.anonymous().post("/login", login).await.assert_problem(401, "wrong_credentials");
    let revoked = app.as_peer().get("/internal/revocations").await.assert_status(200);
    for login_id in [kim.login_id, second.login_id] {
        assert!(String::from_utf8_lossy(&revoked.body).contains(&login_id.to_string()));
    }
    assert_eq!((count(&stage, "users").await, count(&stage, "logins").await), (0, 0));

    let done = finished(&stage, &app, answer.text("/receipt_id")).await;
    assert_eq!(part(&done, "session")["erased"], json!({ "things": 2 }));
    assert_eq!(part(&done, "memo")["erased"], json!({ "things": 7 }));
    assert_eq!(part(&done, "emotion")["erased"], json!({}));
    let call = Call { method: "DELETE".to_owned(), path: format!("/internal/users/{}", kim.user_id), has_token: true };
    for room in &rooms.all {
        assert_eq!(room.calls(), std::slice::from_ref(&call), "{}", room.service);
    }
    // The address is free, for an account that has nothing to do with the one before.
    let (_, new) = register(&stage, &app, "kim@example.com").await;
    assert_ne!(new.text("/id"), made.text("/id"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_erases_as_the_owner_would_and_once() {
    let (rooms, stage, app) = scene().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let (lee, _) = register(&stage, &app, "lee@example.com").await;
    let id = kim.user_id.to_string();
    let (well, said) = run(&stage, "production", &["erase", "--user", &id]).await;
    assert!(well, "{said}");
    kim.get("/user/me").await.assert_problem(401, "invalid_token");
    lee.get("/user/me").await.assert_status(200);
    let receipt = said.lines().find_map(|line| line.strip_prefix(&id)).unwrap().trim();
    finished(&stage, &app, receipt).await;
    let path = format!("/internal/users/{id}");
    assert!(rooms.all.iter().all(|room| room.calls().iter().map(|call| &call.path).eq([&path])));
    let (well, said) = run(&stage, "production", &["erase", "--user", &id]).await;
    assert!(!well && said.contains("there is no account of this id"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_are_not_asked_before_the_last_request_has_been_answered() {
    let (rooms, stage, app) = scene().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    leave(&kim, json!({ "password": PASSWORD })).await.assert_status(202);
    let later = "outbox WHERE topic = 'erasure' AND due_at > clock_timestamp() + interval '1 second'";
    assert_eq!(count(&stage, later).await, 4);
    assert!(rooms.all.iter().all(|room| room.calls().is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leaves_proves_once_more_who_they_are() {
    let (rooms, stage, app) = scene().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    leave(&kim, json!({ "password": "some other password" })).await.assert_problem(403, "wrong_password");
    leave(&kim, json!({})).await.assert_problem(403, "proof_needed");
    kim.delete("/user/me").await.assert_problem(403, "proof_needed");
    leave(&kim, json!({ "password": PASSWORD, "user_id": "x" })).await.assert_problem(400, "malformed");
    app.anonymous().delete("/user/me").await.assert_problem(401, "unauthenticated");
    leave(&app.as_user(), json!({ "password": PASSWORD })).await.assert_problem(401, "invalid_token");
    kim.get("/user/me").await.assert_status(200);
    assert_eq!((count(&stage, "erasures").await, count(&stage, "outbox").await), (0, 0));
    assert!(rooms.all.iter().all(|room| room.calls().is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_is_read_by_whoever_has_it() {
    let (_rooms, stage, app) = scene().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let answer = leave(&kim, json!({ "password": PASSWORD })).await.assert_status(202);
    let id = answer.text("/receipt_id");
    assert_eq!(receipt(&app, id).await.assert_status(200).json["services"], answer.json["services"]);
    // It says when, and nothing from which another one could be guessed.
    let uuid: uuid::Uuid = id.parse().unwrap();
    assert_eq!(uuid.get_version_num(), 4);
    for odd in [stage.clock.uuid().to_string(), kim.user_id.to_string(), "x".to_owned(), "0".to_owned()] {
        receipt(&app, &odd).await.assert_problem(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_away_or_slow_is_asked_until_nothing_is_left() {
    let (rooms, stage, app) = scene().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    rooms.of(Service::Memo).will([Reply::Away, Reply::More(500), Reply::Away, Reply::More(500), Reply::Done(20)]);
    rooms.of(Service::Emotion).will((0..45).map(|_| Reply::More(1)));
    let answer = leave(&kim, json!({ "password": PASSWORD })).await.assert_status(202);
    let done = finished(&stage, &app, answer.text("/receipt_id")).await;
    assert_eq!(part(&done, "memo")["erased"], json!({ "things": 1_020 }));
    assert_eq!(part(&done, "emotion")["erased"], json!({ "things": 45 }));
    assert_eq!(rooms.of(Service::Memo).calls().len(), 5);
    assert_eq!(rooms.of(Service::Emotion).calls().len(), 46);
    assert_eq!(rooms.of(Service::Session).calls().len(), 1, "who was done is not asked again");
    eventually(Duration::from_secs(20), || async { count(&stage, "outbox").await == 0 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_never_comes_back_keeps_its_part_open_and_no_other() {
    let (rooms, stage, app) = scene().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    rooms.of(Service::Ticketing).will((0..1_000).map(|_| Reply::Away));
    let answer = leave(&kim, json!({ "password": PASSWORD })).await.assert_status(202);
    let id = answer.text("/receipt_id");
    eventually(Duration::from_secs(40), || async {
        hurry(&stage, "erasure").await;
        let receipt = receipt(&app, id).await;
        let finished = ["auth", "session", "emotion", "memo"];
        finished.iter().all(|service| part(&receipt, service)["status"] == "finished")
    })
    .await;
    let still = receipt(&app, id).await.assert_status(200);
    assert_eq!((&part(&still, "ticketing")["status"], &still.json["finished_at"]), (&json!("pending"), &Value::Null));
    rooms.of(Service::Ticketing).behave();
    finished(&stage, &app, id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_of_an_erasure_names_nobody() {
    let (_rooms, stage, app) = scene().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let answer = leave(&kim, json!({ "password": PASSWORD })).await.assert_status(202);
    finished(&stage, &app, answer.text("/receipt_id")).await;
    eventually(Duration::from_secs(20), || async {
        count(&stage, "outbox").await + count(&stage, "audit_pending").await == 0
    })
    .await;
    for table in ["erasures", "erasure_services", "users", "logins", "identities", "action_codes", "revoked_logins"] {
        for row in dump(&stage, table).await {
            assert!(!row.contains(&kim.user_id.to_string()) && !row.contains("kim@"), "{table}: {row}");
        }
    }
    assert!(!dump(&stage, "audit_log").await.concat().contains("kim@"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_45_two_deletions_at_once_are_one() {
    let (rooms, stage, app) = scene().await;
    for round in 0..4 {
        let (kim, _) = register(&stage, &app, &format!("kim{round}@example.com")).await;
        let body = json!({ "password": PASSWORD });
        let (a, b) = tokio::join!(leave(&kim, body.clone()), leave(&kim, body));
        let mut statuses = [a.status, b.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [202, 401], "{} {}", a.json, b.json);
    }
    assert_eq!(count(&stage, "erasures").await, 4);
    drop(rooms);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_45_whatever_happens_during_a_deletion_no_login_is_left_that_nobody_hears_of() {
    let (rooms, stage, app) = scene().await;
    for round in 0..8_u64 {
        let email = format!("kim{round}@example.com");
        let (kim, made) = register(&stage, &app, &email).await;
        let nobody = app.anonymous();
        let login = json!({ "email": email, "password": PASSWORD });
        let refresh = json!({ "refresh_token": made.text("/refresh_token") });
        let profile = kim.request(Method::PATCH, "/user/me").json(&json!({ "name": "x" }));
        let leaving = async {
            tokio::time::sleep(Duration::from_millis(round)).await;
            leave(&kim, json!({ "password": PASSWORD })).await
        };
        let (left, a, b, refreshed, changed) = tokio::join!(
            leaving,
            nobody.post("/login", login.clone()),
            nobody.post("/login", login),
            nobody.post("/auth/refresh", refresh),
            kim.send(profile)
        );
        left.assert_status(202);
        for answer in [&a, &b, &refreshed, &changed] {
            assert!([200, 401].contains(&answer.status), "{}", answer.json);
        }
        let revoked = app.as_peer().get("/internal/revocations").await.assert_status(200);
        let revoked = String::from_utf8(revoked.body).unwrap();
        for answer in [a, b, refreshed].iter().filter(|answer| answer.status == 200) {
            let login_id = principal(&stage, answer).login_id.to_string();
            assert!(revoked.contains(&login_id), "round {round}: a login outlives its account");
        }
    }
    drop(rooms);
}
