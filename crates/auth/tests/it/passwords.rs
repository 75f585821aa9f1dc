//! Changing a password.

use futures_util::future::join_all;
use serde_json::json;
use testkit::{Answer, TestApp, TestClient};

use crate::{
    PASSWORD,
    behind::{audited, everything_in, refresh, refreshed, sql},
    principal, register, start, start_with, start_with_mail,
};

const NEW: &str = "마루 아래에서 잔다 8";

async fn change(client: &TestClient, current: &str, new: &str) -> Answer {
    client.post("/change-password", json!({ "current_password": current, "new_password": new })).await
}

async fn login(app: &TestApp, password: &str) -> Answer {
    app.anonymous().post("/login", json!({ "email": "kim@example.com", "password": password })).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_password_counts_and_every_other_login_ends() {
    let (stage, app, mail) = start_with_mail().await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    mail.wait_for("kim@example.com").await;
    let other = login(&app, PASSWORD).await.assert_status(200);
    let changed = change(&kim, PASSWORD, NEW).await.assert_status(200);
    assert_eq!(changed.text("/message"), "비밀번호가 변경되었습니다.");

    login(&app, PASSWORD).await.assert_problem(401, "wrong_credentials");
    login(&app, NEW).await.assert_status(200);
    kim.get("/user/me").await.assert_status(200);
    refreshed(&app, made.text("/refresh_token")).await;
    let others = app.as_principal(principal(&stage, &other));
    others.get("/user/me").await.assert_problem(401, "invalid_token");
    refresh(&app, other.text("/refresh_token")).await.assert_problem(401, "invalid_token");
    let list = app.as_peer().get("/internal/revocations").await;
    assert_eq!(list.text("/revoked/0/login_id"), others.login_id.to_string());
    assert_eq!(audited(&stage, "password_changed").await, 1);
    let letter = mail.wait_for("kim@example.com").await;
    assert!(letter.subject().contains("비밀번호가 변경되었습니다"), "{}", letter.subject());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_current_password_must_be_right() {
    let (stage, app) = start().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let before = everything_in(&stage, "users").await;
    for wrong in ["wrong one", "", &PASSWORD.replace(' ', ""), &format!("{PASSWORD} "), &"x".repeat(20_000)] {
        change(&kim, wrong, NEW).await.assert_problem(403, "wrong_password");
    }
    assert_eq!(everything_in(&stage, "users").await, before);
    app.anonymous().post("/change-password", json!({})).await.assert_problem(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_no_better_is_refused() {
    let (stage, app) = start().await;
    let (kim, _) = register(&stage, &app, "kim.minseo@example.com").await;
    let cases = [
        (PASSWORD, "unchanged"),
        ("short", "length"),
        ("Password1", "common"),
        ("kim.minseo", "personal"),
        ("Kim.Minseo@example.com", "personal"),
        ("마루\u{0}마루마루마루", "not_readable"),
    ];
    for (new, code) in cases {
        let refused = change(&kim, PASSWORD, new).await.assert_problem(422, "invalid");
        assert_eq!((refused.text("/errors/0/pointer"), refused.text("/errors/0/code")), ("/new_password", code));
    }
    change(&kim, PASSWORD, &"긴".repeat(129)).await.assert_problem(422, "invalid");
    // Every character counts: 128 of three bytes each.
    change(&kim, PASSWORD, &"긴".repeat(128)).await.assert_status(200);
    let body = json!({ "email": "kim.minseo@example.com", "password": "긴".repeat(127) });
    app.anonymous().post("/login", body).await.assert_problem(401, "wrong_credentials");
    let body = json!({ "email": "kim.minseo@example.com", "password": "긴".repeat(128) });
    app.anonymous().post("/login", body).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_without_a_password_is_told_so_and_entered_by_none() {
    let (stage, app) = start().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    sql(&stage, "UPDATE users SET password_hash = NULL, provider = 'google'").await;
    change(&kim, PASSWORD, NEW).await.assert_problem(409, "no_password");
    for guess in [PASSWORD, "", "a password nobody has"] {
        login(&app, guess).await.assert_problem(401, "wrong_credentials");
    }
    kim.get("/user/me").await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_been_logged_out_changes_nothing() {
    let (stage, app) = start().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    kim.post("/auth/logout", json!({})).await.assert_status(200);
    change(&kim, PASSWORD, NEW).await.assert_problem(401, "invalid_token");
    login(&app, PASSWORD).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_45_of_ten_changes_at_once_one_counts() {
    let (stage, app) = start_with(|config| config.password_hashes_at_once = 10).await;
    register(&stage, &app, "kim@example.com").await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(app.as_principal(principal(&stage, &login(&app, PASSWORD).await)));
    }
    let wanted: Vec<String> = (0..10).map(|n| format!("{NEW} {n}")).collect();
    let answers = join_all(clients.iter().zip(&wanted).map(|(client, new)| change(client, PASSWORD, new))).await;
    let mut winners = Vec::new();
    for ((client, new), answer) in clients.iter().zip(&wanted).zip(&answers) {
        match (answer.status, answer.text("/code")) {
            (200, _) => winners.push((client, new)),
            (409, "password_changed") | (403, "wrong_password") | (401, "invalid_token") => {}
            (status, code) => panic!("{status} {code}"),
        }
    }
    let [(client, new)] = winners[..] else { panic!("{} changes counted", winners.len()) };
    login(&app, new).await.assert_status(200);
    client.get("/user/me").await.assert_status(200);
    // The one who changed it, and the login just now.
    assert_eq!(client.get("/auth/sessions").await.header("x-total-count"), "2");
    assert_eq!(audited(&stage, "password_changed").await, 1);
}
