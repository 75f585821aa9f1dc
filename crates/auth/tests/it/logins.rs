//! Logging in and out.

use std::time::Duration;

use chassis::outbox::Message;
use domain::contract::REVOCATIONS;
use futures_util::StreamExt;
use serde_json::json;
use testkit::eventually;

use crate::{PASSWORD, principal, registration, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_answers_under_every_name_clients_read_and_sets_a_cookie() {
    let (stage, app) = start().await;
    app.anonymous().post("/register", registration("kim@example.com")).await.assert_status(201);
    let body = json!({ "email": " KIM@example.com ", "password": PASSWORD });
    let answer = app.anonymous().post("/api/auth/login", body).await.assert_status(200);
    let user = &answer.json["user"];
    assert_eq!((&user["id"], &user["id"]), (&user["user_id"], &user["userId"]));
    assert_eq!(answer.json["expires_in"], 86_400);
    assert_eq!(answer.text("/message"), "로그인되었습니다.");
    let cookie = answer.header("set-cookie");
    assert!(cookie.starts_with("maru_at=ey") && cookie.contains("HttpOnly"), "{cookie}");
    app.as_principal(principal(&stage, &answer)).get("/user/me").await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_and_an_unknown_address_get_the_same_answer() {
    let (_stage, app) = start().await;
    app.anonymous().post("/register", registration("kim@example.com")).await.assert_status(201);
    let wrong = app.anonymous().post("/login", json!({ "email": "kim@example.com", "password": "wrong one" })).await;
    let unknown = app.anonymous().post("/login", json!({ "email": "lee@example.com", "password": "wrong one" })).await;
    let mut wrong = wrong.assert_problem(401, "wrong_credentials").json;
    let mut unknown = unknown.assert_problem(401, "wrong_credentials").json;
    wrong["request_id"] = json!(null);
    unknown["request_id"] = json!(null);
    assert_eq!(wrong, unknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_ends_one_login_and_every_gateway_hears_of_it_within_a_second() {
    let (stage, app) = start().await;
    let body = json!({ "email": "kim@example.com", "password": PASSWORD });
    app.anonymous().post("/register", registration("kim@example.com")).await.assert_status(201);
    let phone = principal(&stage, &app.anonymous().post("/login", body.clone()).await);
    let laptop = principal(&stage, &app.anonymous().post("/login", body).await);
    let mut heard = Box::pin(stage.redis().subscribe(REVOCATIONS).await.unwrap());

    let bye = app.as_principal(phone).post("/auth/logout", json!({})).await.assert_status(200);
    assert_eq!(bye.text("/message"), "로그아웃되었습니다.");
    assert!(bye.header("set-cookie").contains("Max-Age=0"), "{}", bye.header("set-cookie"));

    let notice = tokio::time::timeout(Duration::from_secs(15), heard.next()).await.unwrap().unwrap();
    assert!(notice.contains(&phone.login_id.to_string()), "{notice}");
    app.as_principal(phone).get("/user/me").await.assert_problem(401, "invalid_token");
    app.as_principal(laptop).get("/user/me").await.assert_status(200);
    let list = app.as_peer().get("/internal/revocations").await.assert_status(200);
    assert_eq!(list.json["revoked"].as_array().unwrap().len(), 1);
    assert_eq!(list.text("/revoked/0/login_id"), phone.login_id.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn internal_routes_open_for_our_own_calls_only() {
    let (_stage, app) = start().await;
    app.as_peer().get("/internal/revocations").await.assert_status(200);
    for client in [app.anonymous(), app.as_user()] {
        client.get("/internal/revocations").await.assert_problem(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_an_address_is_a_wrong_login_and_no_error() {
    let (_stage, app) = start().await;
    for email in ["a\0@b.kr", "", "nobody", &"x".repeat(5_000)] {
        let body = json!({ "email": email, "password": "whatever" });
        app.anonymous().post("/login", body).await.assert_problem(401, "wrong_credentials");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logging_out_twice_is_once_and_without_a_login_is_fine() {
    let (stage, app) = start().await;
    let made = app.anonymous().post("/register", registration("kim@example.com")).await;
    let kim = app.as_principal(principal(&stage, &made));
    for _ in 0..2 {
        kim.post("/auth/logout", json!({})).await.assert_status(200);
    }
    app.anonymous().post("/auth/logout", json!({})).await.assert_status(200);
    let list = app.as_peer().get("/internal/revocations").await;
    assert_eq!(list.json["revoked"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_outbox_is_empty_once_its_messages_were_delivered() {
    use diesel_async::RunQueryDsl;

    let (stage, app) = start().await;
    let made = app.anonymous().post("/register", registration("kim@example.com")).await;
    app.as_principal(principal(&stage, &made)).post("/auth/logout", json!({})).await.assert_status(200);
    let pg = stage.pg();
    eventually(Duration::from_secs(5), || async {
        let mut conn = pg.conn().await.unwrap();
        let left: Vec<Message> =
            diesel::sql_query("SELECT id, topic, payload, attempts FROM outbox").load(&mut conn).await.unwrap();
        left.is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_keys_are_published_and_the_private_ones_are_not() {
    let (_stage, app) = start().await;
    let keys = app.anonymous().get("/.well-known/jwks.json").await.assert_status(200);
    assert_eq!(keys.json["keys"][0]["kid"], "gateway.1");
    assert!(keys.json["keys"][0].get("d").is_none());
}
