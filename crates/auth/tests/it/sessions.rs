//! The list of one's logins, and ending them.

use std::time::Duration;

use domain::{contract::REVOCATIONS, time::rfc3339};
use futures_util::StreamExt;
use serde_json::{Value, json};
use testkit::{Answer, TestApp};

use crate::{
    PASSWORD,
    behind::{audited, number, refresh, refreshed, seen, sql},
    principal, register, start,
};

async fn login(app: &TestApp, device: &str, ip: &str) -> Answer {
    let body = json!({ "email": "kim@example.com", "password": PASSWORD });
    let headers = [("user-agent", device), ("x-client-ip", ip)];
    app.anonymous().post_with("/login", body, &headers).await.assert_status(200)
}

fn entries(list: &Answer) -> &Vec<Value> {
    list.json.as_array().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_says_where_each_login_began_newest_first() {
    let (stage, app) = start().await;
    register(&stage, &app, "kim@example.com").await;
    register(&stage, &app, "lee@example.com").await;
    let mut begun = Vec::new();
    for (device, ip) in [("Maru/1.0 (Android 15)", "192.0.2.7"), ("Mozilla/5.0", "2001:db8:1:2::9")] {
        stage.clock.advance(Duration::from_secs(1));
        begun.push((login(&app, device, ip).await, stage.clock.now()));
    }
    let (phone, at) = &begun[0];
    let client = app.as_principal(principal(&stage, phone));
    let list = client.get("/auth/sessions").await.assert_status(200);
    assert_eq!(list.header("x-total-count"), "3");
    assert_eq!((list.text("/0/device"), list.text("/0/ip")), ("Mozilla/5.0", "2001:db8:1:2::9"));
    assert_eq!((list.text("/1/device"), list.text("/1/ip")), ("Maru/1.0 (Android 15)", "192.0.2.7"));
    assert_eq!((list.text("/1/id"), list.text("/1/method")), (client.login_id.to_string().as_str(), "password"));
    assert_eq!((list.text("/1/created_at"), list.text("/1/last_seen_at")), (&*rfc3339(*at), &*rfc3339(*at)));
    assert_eq!(list.text("/1/expires_at"), rfc3339(*at + chrono::Duration::days(30)));
    let current: Vec<_> = entries(&list).iter().map(|entry| entry["is_current"] == true).collect();
    assert_eq!(current, [false, true, false]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_device_says_of_itself_is_kept_short_and_an_address_must_be_one() {
    let (stage, app) = start().await;
    register(&stage, &app, "kim@example.com").await;
    let kim = app.as_principal(principal(&stage, &login(&app, &"x".repeat(4_000), "not an address").await));
    let list = kim.get("/auth/sessions").await.assert_status(200);
    let entry = entries(&list).iter().find(|entry| entry["is_current"] == true).unwrap();
    assert_eq!(entry["device"].as_str().unwrap().len(), 200);
    assert_eq!(entry["ip"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_follows_what_the_gateways_see_and_never_into_the_future() {
    let (stage, app) = start().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    stage.clock.advance(Duration::from_mins(5));
    seen(&stage, &app, kim.login_id, 0).await;
    let now = rfc3339(stage.clock.now());
    assert_eq!(kim.get("/auth/sessions").await.text("/0/last_seen_at"), now);

    let tomorrow = rfc3339(stage.clock.now() + chrono::Duration::days(1));
    let body = json!({ "seen": [{ "login_id": kim.login_id, "refresh_counter": 0, "at": tomorrow }] });
    app.as_peer().post("/internal/logins/seen", body).await.assert_status(200);
    assert_eq!(kim.get("/auth/sessions").await.text("/0/last_seen_at"), now);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_gateways_say_what_they_have_seen_and_not_too_much_at_once() {
    let (stage, app) = start().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let at = rfc3339(stage.clock.now());
    let one = json!({ "login_id": kim.login_id, "refresh_counter": 0, "at": at });
    for client in [app.as_user(), app.anonymous(), app.as_service(domain::principal::Service::Memo)] {
        let body = json!({ "seen": [one] });
        client.post("/internal/logins/seen", body).await.assert_problem(404, "not_found");
    }
    let nobody = json!({ "login_id": stage.clock.uuid(), "refresh_counter": u32::MAX, "at": at });
    let body = json!({ "seen": [one, nobody, one] });
    let noted = app.as_peer().post("/internal/logins/seen", body).await.assert_status(200);
    assert_eq!(noted.json["noted"], 1);
    let none = app.as_peer().post("/internal/logins/seen", json!({ "seen": [] })).await.assert_status(200);
    assert_eq!(none.json["noted"], 0);
    let crowd = json!({ "seen": vec![&one; 1_001] });
    let status = app.as_peer().post("/internal/logins/seen", crowd).await.status;
    assert_eq!(status, 413);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_login_can_be_ended_from_another_and_every_gateway_hears_of_it() {
    let (stage, app) = start().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let phone = login(&app, "phone", "192.0.2.7").await;
    let phones = app.as_principal(principal(&stage, &phone));
    let mut heard = Box::pin(stage.redis().subscribe(REVOCATIONS).await.unwrap());

    let path = format!("/auth/sessions/{}", phones.login_id);
    let ended = kim.delete(&path).await.assert_status(200);
    assert_eq!((ended.text("/message"), &ended.json["revoked"]), ("로그인을 종료했습니다.", &json!(1)));
    let notice = tokio::time::timeout(Duration::from_secs(15), heard.next()).await.unwrap().unwrap();
    assert!(notice.contains(&phones.login_id.to_string()), "{notice}");
    phones.get("/user/me").await.assert_problem(401, "invalid_token");
    refresh(&app, phone.text("/refresh_token")).await.assert_problem(401, "invalid_token");
    kim.get("/user/me").await.assert_status(200);
    assert_eq!(kim.get("/auth/sessions").await.header("x-total-count"), "1");
    assert_eq!(audited(&stage, "logins_revoked").await, 1);
    // Once is enough.
    kim.delete(&path).await.assert_problem(404, "not_found");
    assert_eq!(audited(&stage, "logins_revoked").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_ends_the_login_of_somebody_else() {
    let (stage, app) = start().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let (lee, lees) = register(&stage, &app, "lee@example.com").await;
    for id in [lee.login_id.to_string(), stage.clock.uuid().to_string(), "1".to_owned(), "%00".to_owned()] {
        kim.delete(&format!("/auth/sessions/{id}")).await.assert_problem(404, "not_found");
    }
    app.anonymous().delete("/auth/sessions").await.assert_problem(401, "unauthenticated");
    kim.delete("/auth/sessions").await.assert_status(200);
    lee.get("/user/me").await.assert_status(200);
    refreshed(&app, lees.text("/refresh_token")).await;
    assert_eq!(lee.get("/auth/sessions").await.header("x-total-count"), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_others_end_together_and_the_own_login_stays() {
    let (stage, app) = start().await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    let others = [login(&app, "phone", "192.0.2.7").await, login(&app, "laptop", "192.0.2.8").await];
    let ended = kim.delete("/auth/sessions").await.assert_status(200);
    assert_eq!((ended.text("/message"), &ended.json["revoked"]), ("다른 모든 로그인을 종료했습니다.", &json!(2)));
    for other in &others {
        app.as_principal(principal(&stage, other)).get("/user/me").await.assert_problem(401, "invalid_token");
        refresh(&app, other.text("/refresh_token")).await.assert_problem(401, "invalid_token");
    }
    kim.get("/user/me").await.assert_status(200);
    refreshed(&app, made.text("/refresh_token")).await;
    assert_eq!(kim.delete("/auth/sessions").await.assert_status(200).json["revoked"], 0);
    assert_eq!(app.as_peer().get("/internal/revocations").await.json["revoked"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_login_too_many_ends_the_one_that_was_not_used_for_longest() {
    let (stage, app) = start().await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    sql(
        &stage,
        "INSERT INTO logins (id, user_id, created_at, last_seen_at, expires_at, idle_expires_at, absolute_expires_at) \
         SELECT gen_random_uuid(), (SELECT id FROM users), now() - interval '2 days', now() - interval '1 day', \
         now() + interval '1 day', now() + interval '9 days', now() + interval '9 days' FROM generate_series(1, 199)",
    )
    .await;
    // The oldest of all, and in use; and one that began later and was put away at once.
    sql(
        &stage,
        "UPDATE logins SET created_at = now() - interval '3 days' WHERE last_seen_at > now() - interval '1 hour'",
    )
    .await;
    let put_away = "UPDATE logins SET last_seen_at = now() - interval '36 hours' WHERE id = (SELECT id FROM logins \
                    WHERE last_seen_at < now() - interval '1 hour' LIMIT 1)";
    sql(&stage, put_away).await;

    login(&app, "phone", "192.0.2.7").await;
    let live = "SELECT count(*) AS number FROM logins WHERE revoked_at IS NULL";
    assert_eq!(number(&stage, live).await, 200);
    let ended = "SELECT count(*) AS number FROM logins WHERE revoke_reason = 'surplus' \
                 AND last_seen_at < now() - interval '30 hours'";
    assert_eq!(number(&stage, ended).await, 1);
    assert_eq!(app.as_peer().get("/internal/revocations").await.json["revoked"].as_array().unwrap().len(), 1);
    assert_eq!(kim.get("/auth/sessions").await.header("x-total-count"), "200");
    refreshed(&app, made.text("/refresh_token")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_comes_back_asks_for_what_it_missed() {
    let (stage, app) = start().await;
    register(&stage, &app, "kim@example.com").await;
    let early = app.as_principal(principal(&stage, &login(&app, "phone", "192.0.2.7").await));
    let late = app.as_principal(principal(&stage, &login(&app, "laptop", "192.0.2.8").await));
    early.post("/auth/logout", json!({})).await.assert_status(200);
    stage.clock.advance(Duration::from_mins(1));
    let first = app.as_peer().get("/internal/revocations").await.assert_status(200);
    assert_eq!(first.text("/revoked/0/login_id"), early.login_id.to_string());
    late.post("/auth/logout", json!({})).await.assert_status(200);
    let since = format!("/internal/revocations?since={}", first.text("/as_of"));
    let missed = app.as_peer().get(&since).await.assert_status(200);
    assert_eq!(missed.json["revoked"].as_array().unwrap().len(), 1);
    assert_eq!(missed.text("/revoked/0/login_id"), late.login_id.to_string());
    app.as_peer().get("/internal/revocations?since=yesterday").await.assert_problem(400, "malformed");

    // Once its last access token has run out there is nothing to refuse any more.
    stage.clock.advance(Duration::from_hours(24));
    assert_eq!(app.as_peer().get("/internal/revocations").await.json["revoked"], json!([]));
}
