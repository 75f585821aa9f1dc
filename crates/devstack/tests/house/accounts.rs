//! An account from its first day to its last, through the gateway, and what the logs know of it.

use std::time::Duration;

use reqwest::{Method, header::HeaderMap};
use serde_json::{Value, json};
use testkit::{Socket, eventually, smtp::Mail};

use crate::{
    person::{Answer, PASSWORD, Person},
    stack::{SEVERAL_OF_EACH, Stack},
};

/// What no log may hold.
const CHANGED: &str = "dugout-Canary-77aa 마루";
const RESET: &str = "dugout-Canary-93bb 마루";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_lets_somebody_in_is_ever_in_a_log() {
    let stack = Stack::up_with(SEVERAL_OF_EACH, &[("LOG_LEVEL", "debug")]);
    let mut secrets = vec![PASSWORD.to_owned(), CHANGED.to_owned(), RESET.to_owned()];
    let email = "canary-address@example.com";
    secrets.push(email.to_owned());
    let mut kim = Person::register(stack.gateway(), email).await;
    secrets.extend(kim.token.clone());

    prove_the_address(&stack, &kim, email, &mut secrets).await;
    refresh_as_a_program_and_as_a_browser(&stack, email, &mut secrets).await;
    open_a_socket_with_a_ticket(&stack, &kim, &mut secrets).await;
    let change = json!({ "current_password": PASSWORD, "new_password": CHANGED });
    kim.post("/change-password", change).await.ok(200);
    forget_the_password(&stack, &kim, email, &mut secrets).await;
    kim = Person::login(stack.gateway(), email, RESET).await;
    secrets.extend(kim.token.clone());
    kim.post("/login", json!({ "email": email, "password": "dugout-Canary-wrong" }))
        .await
        .problem(401, "wrong_credentials");
    secrets.push("dugout-Canary-wrong".to_owned());
    kim.post("/auth/logout", json!({})).await.ok(200);

    let logs = stack.logs();
    assert!(logs.contains("answered"), "the logs are those of debug level");
    for secret in secrets {
        assert!(!logs.contains(&secret), "a log holds {secret:?}");
    }
    assert!(!logs.contains("eyJ"), "a log holds the beginning of a token");
    assert!(!logs.contains("rt1."), "a log holds the beginning of a refresh token");
    assert!(!logs.contains("maru_at=") && !logs.contains("maru_rt="), "a log holds a cookie");
}

/// Reads the code out of a letter.
fn code_in(mail: &Mail) -> String {
    let text = mail.text();
    let code =
        text.lines().map(str::trim).find(|line| line.len() == 8 && line.chars().all(|c| c.is_ascii_alphanumeric()));
    code.unwrap_or_else(|| panic!("no code in {text}")).to_owned()
}

async fn prove_the_address(stack: &Stack, kim: &Person, email: &str, secrets: &mut Vec<String>) {
    let code = code_in(&stack.letter(email, |mail| mail.subject().contains("이메일 확인")).await);
    kim.post("/auth/verify-email", json!({ "code": code })).await.ok(200);
    assert_eq!(kim.get("/user/me").await.ok(200).json["email_verified"], true);
    secrets.push(code);
}

async fn forget_the_password(stack: &Stack, kim: &Person, email: &str, secrets: &mut Vec<String>) {
    kim.post("/auth/password-reset", json!({ "email": email })).await.ok(202);
    let code = code_in(&stack.letter(email, |mail| mail.subject().contains("재설정 코드")).await);
    let body = json!({ "email": email, "code": code, "new_password": RESET });
    kim.post("/auth/password-reset/confirm", body).await.ok(200);
    secrets.push(code);
    eventually(Duration::from_secs(10), || async { kim.get("/memo/tags").await.status == 401 }).await;
}

async fn refresh_as_a_program_and_as_a_browser(stack: &Stack, email: &str, secrets: &mut Vec<String>) {
    let stranger = Person::stranger(stack.gateway());
    let login = stranger.post("/login", json!({ "email": email, "password": PASSWORD })).await.ok(200);
    let cookies = cookies(&login.headers);
    let refreshed =
        stranger.post("/auth/refresh", json!({ "refresh_token": login.text("/refresh_token") })).await.ok(200);
    assert_ne!(refreshed.text("/refresh_token"), login.text("/refresh_token"));
    secrets.extend([&login, &refreshed].into_iter().flat_map(|a| [a.text("/access_token"), a.text("/refresh_token")]));

    // The browser's copy is the older one; its page asks at the same moment, and gets what the program got.
    let from_page = [("cookie", cookies.as_str()), ("origin", stack.gateway())];
    let by_cookie = stranger.send_with(Method::POST, "/auth/refresh", &from_page).await.ok(200);
    assert_eq!(by_cookie.text("/refresh_token"), refreshed.text("/refresh_token"));
    assert!(by_cookie.headers.get_all("set-cookie").iter().count() == 2);
    secrets.push(by_cookie.text("/access_token"));
    for origin in ["https://evil.example.com", "null"] {
        let from_elsewhere = [("cookie", cookies.as_str()), ("origin", origin)];
        stranger.send_with(Method::POST, "/auth/refresh", &from_elsewhere).await.problem(403, "origin_not_allowed");
    }
    let without_origin = [("cookie", cookies.as_str())];
    stranger.send_with(Method::POST, "/auth/refresh", &without_origin).await.problem(403, "origin_not_allowed");
}

/// Writes the cookies of an answer as a browser sends them.
fn cookies(headers: &HeaderMap) -> String {
    let pairs = headers.get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
    pairs.collect::<Vec<_>>().join("; ")
}

async fn open_a_socket_with_a_ticket(stack: &Stack, kim: &Person, secrets: &mut Vec<String>) {
    let given = kim.post("/auth/ws-ticket", json!({})).await.ok(200);
    assert_eq!(given.json["expires_in"], 30);
    let ticket = given.text("/ticket");
    let addr = stack.gateway().trim_start_matches("http://").parse().unwrap();
    let protocol = format!("ticket.{ticket}");
    let offered = [("sec-websocket-protocol", protocol.as_str())];
    let path = format!("/ws/emotion?user_id={}", kim.id);
    let mut socket = Socket::open(addr, &path, None, &offered).await;
    assert!(socket.next_json().await["session_id"].is_string());
    // A ticket is for one socket.
    let again = [("sec-websocket-protocol", protocol.as_str()), ("connection", "upgrade"), ("upgrade", "websocket")];
    let stranger = Person::stranger(stack.gateway());
    stranger.send_with(Method::GET, &path, &again).await.problem(401, "invalid_ticket");
    secrets.push(ticket);
    drop(socket);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_takes_everything_along_and_leaves_nothing() {
    let stack = Stack::up(SEVERAL_OF_EACH);
    let (email, gateway) = ("kim@example.com", stack.gateway());
    let kim = Person::register(gateway, email).await;
    let lee = Person::register(gateway, "lee@example.com").await;
    for person in [&kim, &lee] {
        person.post("/memo", json!({ "content": "적어 둔 것" })).await.ok(201);
        person.post("/api/v1/sessions", json!({ "title": "발표" })).await.ok(201);
        let talk = person.post("/emotion/sessions", json!({ "topic": "하루" })).await;
        assert!(matches!(talk.status, 200 | 201), "{}", talk.json);
    }

    let export = kim.get("/user/me/export").await.ok(200);
    assert_eq!(export.json["services"]["auth"]["account"]["email"], email);
    assert_eq!(export.json["services"]["memo"]["memos"][0]["content"], "적어 둔 것");
    for service in ["auth", "session", "ticketing", "emotion", "memo"] {
        assert!(export.json["services"][service].is_object(), "{service}: {}", export.json);
    }

    kim.try_send(Method::DELETE, "/user/me", Some(json!({ "password": "another one" })))
        .await
        .unwrap()
        .problem(403, "wrong_password");
    let gone = kim.try_send(Method::DELETE, "/user/me", Some(json!({ "password": PASSWORD }))).await.unwrap().ok(202);
    eventually(Duration::from_secs(10), || async { kim.get("/memo/tags").await.status == 401 }).await;
    let receipt = format!("/auth/erasures/{}", gone.text("/receipt_id"));
    let stranger = Person::stranger(gateway);
    eventually(Duration::from_secs(30), || async { is_finished(&stranger.get(&receipt).await.ok(200)) }).await;
    let done = stranger.get(&receipt).await.ok(200);
    let part =
        |name: &str| done.json["services"].as_array().unwrap().iter().find(|p| p["service"] == name).cloned().unwrap();
    assert_eq!(part("memo")["erased"]["memos"], 1, "{}", done.json);
    assert_eq!(part("session")["erased"]["sessions"], 1, "{}", done.json);

    // The address is free, the new account is empty, and the other person has lost nothing.
    let again = Person::register(gateway, email).await;
    assert_ne!(again.id, kim.id);
    let list = "/memo/list?tz=UTC&start_date=2026-01-01&end_date=2026-12-31";
    assert_eq!(again.get(list).await.ok(200).json, json!([]));
    assert_eq!(lee.get(list).await.ok(200).json.as_array().unwrap().len(), 1);
    stack.must(&["auth", "audit", "verify"]);
}

fn is_finished(receipt: &Answer) -> bool {
    receipt.json["services"].as_array().unwrap().iter().all(|part: &Value| part["status"] == "finished")
}
