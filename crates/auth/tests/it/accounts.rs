//! Making accounts and looking at one's own.

use serde_json::json;

use crate::{PASSWORD, principal, registration, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_account_is_logged_in_and_sees_itself() {
    let (stage, app) = start().await;
    let made = app.anonymous().post("/register", registration("Kim@Example.com")).await.assert_status(201);
    assert_eq!(made.text("/id"), made.text("/user_id"));
    assert_eq!(made.text("/token"), made.text("/access_token"));
    assert_eq!((made.text("/token_type"), made.text("/role")), ("bearer", "user"));

    let kim = app.as_principal(principal(&stage, &made));
    let me = kim.get("/user/me").await.assert_status(200);
    assert_eq!(me.text("/email"), "Kim@Example.com");
    assert_eq!((me.text("/name"), me.text("/provider"), me.text("/locale")), ("김마루", "password", "ko"));
    assert_eq!(me.text("/created_at"), domain::time::rfc3339(stage.clock.now()));
    assert_eq!(kim.get("/auth/me").await.json, me.json);
    assert_eq!(kim.get("/api/v1/auth/me").await.json, me.json);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_one_account_whatever_its_case_and_however_many_ask_at_once() {
    let (_stage, app) = start().await;
    let asked = ["kim@example.com", "KIM@example.com", "Kim@Example.Com", "kim@EXAMPLE.com"].map(|email| {
        let nobody = app.anonymous();
        async move { nobody.post("/register", registration(email)).await.status }
    });
    let [a, b, c, d] = asked;
    let (a, b, c, d) = tokio::join!(a, b, c, d);
    let mut statuses = [a, b, c, d];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409]);
    app.anonymous().post("/register", registration("kim@example.com")).await.assert_problem(409, "email_taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_invalid_field_is_named_at_once_in_the_language_asked_for() {
    let (_stage, app) = start().await;
    let body = json!({ "name": " ", "email": "nobody", "password": "short", "phone": "call me" });
    let korean = app.anonymous().post("/register", body.clone()).await.assert_problem(422, "invalid");
    let pointers: Vec<_> =
        korean.json["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/name", "/email", "/password", "/phone"]);
    assert_eq!(korean.header("content-language"), "ko");

    let english = app.anonymous().post_with("/register", body, &[("accept-language", "en-US,en")]).await;
    assert_eq!(english.text("/errors/2/detail"), "A password has 8-128 characters.");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_guessed_first_is_refused() {
    let (_stage, app) = start().await;
    for (password, code) in [("Password1", "common"), ("kim.minseo", "personal")] {
        let mut body = registration("kim.minseo@example.com");
        body["password"] = json!(password);
        let refused = app.anonymous().post("/register", body).await.assert_problem(422, "invalid");
        assert_eq!((refused.text("/errors/0/pointer"), refused.text("/errors/0/code")), ("/password", code));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gives_themselves_a_role() {
    let (_stage, app) = start().await;
    for field in ["role", "id", "is_admin", "email_verified"] {
        let mut body = registration("kim@example.com");
        body[field] = json!("admin");
        app.anonymous().post("/register", body).await.assert_problem(400, "malformed");
    }
    app.anonymous().post("/register", registration("kim@example.com")).await.assert_status(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_cannot_be_read_is_refused_without_repeating_it() {
    let (_stage, app) = start().await;
    let nobody = app.anonymous();
    let send = |content_type: &'static str, body: String| {
        let request =
            nobody.request(reqwest::Method::POST, "/register").header("content-type", content_type).body(body);
        nobody.send(request)
    };
    send("application/json", "{".to_owned()).await.assert_problem(400, "malformed");
    send("text/plain", registration("a@b.kr").to_string()).await.assert_problem(415, "unsupported_media_type");
    send("application/json", "x".repeat(70_000)).await.assert_problem(413, "too_large");
    let wrong_type = json!({ "name": "kim", "email": "a@b.kr", "password": 12_345_678 }).to_string();
    let answer = send("application/json", wrong_type).await.assert_problem(400, "malformed");
    assert!(!String::from_utf8_lossy(&answer.body).contains("12345678"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_around_the_gateway_is_refused_everywhere() {
    let (_stage, app) = start().await;
    let stranger = app.without_token();
    stranger.get("/user/me").await.assert_problem(401, "unauthenticated");
    stranger.post("/register", registration("kim@example.com")).await.assert_problem(401, "unauthenticated");
    stranger.get("/internal/revocations").await.assert_problem(401, "unauthenticated");
    app.anonymous().get("/user/me").await.assert_problem(401, "unauthenticated");
    assert_eq!(stranger.get("/livez").await.status, 200);
    assert_eq!(stranger.get("/readyz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_paths_and_methods_are_problems_too() {
    let (_stage, app) = start().await;
    app.anonymous().get("/nowhere").await.assert_problem(404, "not_found");
    app.anonymous().get("/register").await.assert_problem(405, "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_never_stored() {
    let (stage, app) = start().await;
    app.anonymous().post("/register", registration("kim@example.com")).await.assert_status(201);
    let conn = stage.pg().conn().await.unwrap();
    let user = auth::account::store::find_by_email(&conn, "kim@example.com").await.unwrap().unwrap();
    let hash = user.password_hash.unwrap();
    assert!(hash.starts_with("$argon2id$") && !hash.contains(PASSWORD));
}
