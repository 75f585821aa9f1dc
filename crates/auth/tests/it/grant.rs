//! Roles: given on the command line, and by nothing else.
//!
//! Numbers in names are those of the threat list in docs/security.md.

use std::time::Duration;

use chassis::access::AccessTokens;
use domain::{contract::REVOCATIONS, principal::Role};
use futures_util::StreamExt;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::json;
use testkit::{Answer, Stage};

use crate::{
    PASSWORD, SECRET,
    outside::{count, run},
    register, start,
};

fn role_in(stage: &Stage, answer: &Answer) -> Role {
    let tokens = AccessTokens::new(&SecretString::from(SECRET));
    tokens.verify(answer.text("/access_token"), stage.clock.now()).unwrap().principal.role
}

async fn grant(stage: &Stage, email: &str, role: &str) -> (bool, String) {
    run(stage, "production", &["grant", "--email", email, "--role", role]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_gives_a_role_that_counts_from_the_next_token_on() {
    let (stage, app) = start().await;
    let (kim, made) = register(&stage, &app, "Kim@Example.com").await;
    let (well, said) = grant(&stage, "kim@example.COM", "organizer").await;
    assert!(well, "{said}");
    assert_eq!(kim.get("/user/me").await.assert_status(200).text("/role"), "organizer");
    let refreshed =
        app.anonymous().post("/auth/refresh", json!({ "refresh_token": made.text("/refresh_token") })).await;
    assert_eq!(role_in(&stage, &refreshed.assert_status(200)), Role::Organizer);
    let login = app.anonymous().post("/login", json!({ "email": "kim@example.com", "password": PASSWORD })).await;
    assert_eq!((login.text("/user/role"), role_in(&stage, &login)), ("organizer", Role::Organizer));
    let granted = "audit_pending WHERE action = 'role_granted'";
    let chained = "audit_log WHERE action = 'role_granted' AND meta = '{\"from\": \"user\", \"to\": \"organizer\"}'";
    assert_eq!(count(&stage, granted).await + count(&stage, chained).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_15_a_role_that_is_taken_away_ends_every_login_within_a_second() {
    let (stage, app) = start().await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    let (lee, _) = register(&stage, &app, "lee@example.com").await;
    assert!(grant(&stage, "kim@example.com", "admin").await.0);
    assert_eq!(kim.get("/user/me").await.assert_status(200).text("/role"), "admin");
    let mut heard = Box::pin(stage.redis().subscribe(REVOCATIONS).await.unwrap());
    assert!(grant(&stage, "kim@example.com", "user").await.0);
    // From the moment the command is done: it runs in another process, and this one finds what it wrote.
    let notice = tokio::time::timeout(Duration::from_secs(15), heard.next()).await.unwrap().unwrap();
    assert!(notice.contains(&kim.login_id.to_string()));
    kim.get("/user/me").await.assert_problem(401, "invalid_token");
    let refresh = json!({ "refresh_token": made.text("/refresh_token") });
    app.anonymous().post("/auth/refresh", refresh).await.assert_problem(401, "invalid_token");
    lee.get("/user/me").await.assert_status(200);
    // The same role again ends nothing.
    let login = app.anonymous().post("/login", json!({ "email": "kim@example.com", "password": PASSWORD })).await;
    let kim = app.as_principal(crate::principal(&stage, &login));
    assert!(grant(&stage, "kim@example.com", "user").await.0);
    kim.get("/user/me").await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_45_a_login_that_is_still_hashing_does_not_keep_a_role_that_was_taken() {
    let (stage, app) = start().await;
    register(&stage, &app, "kim@example.com").await;
    let login = json!({ "email": "kim@example.com", "password": PASSWORD });
    for round in 0..6_u64 {
        crate::outside::execute(&stage, "UPDATE users SET role = 'admin'").await;
        let nobody = app.anonymous();
        let taking = async {
            tokio::time::sleep(Duration::from_millis(4 * round)).await;
            // What the command does, in the same order.
            let sql = "BEGIN; UPDATE users SET role = 'user'; \
                       UPDATE logins SET revoked_at = now() WHERE revoked_at IS NULL; COMMIT";
            crate::outside::execute(&stage, sql).await;
        };
        let (entered, ()) = tokio::join!(nobody.post("/login", login.clone()), taking);
        let entered = entered.assert_status(200);
        let is_alive = count(&stage, "logins WHERE revoked_at IS NULL").await > 0;
        assert!(!is_alive || role_in(&stage, &entered) == Role::User, "round {round}: an administrator is left");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_there_gets_no_role() {
    let (stage, _app) = start().await;
    for email in ["nobody@example.com", "no address", ""] {
        let (well, said) = grant(&stage, email, "admin").await;
        assert!(!well && said.contains("no account has this address"), "{said}");
    }
    let (well, said) = grant(&stage, "nobody@example.com", "emperor").await;
    assert!(!well && said.contains("organizer"), "{said}");
    assert_eq!(count(&stage, "audit_pending").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_for_development_refuses_to_run_elsewhere() {
    let (stage, _app) = start().await;
    for arguments in [&["seed"][..], &["tokens", "--count", "1"]] {
        let (well, said) = run(&stage, "production", arguments).await;
        assert!(!well && said.contains("development"), "{said}");
    }
    assert_eq!(count(&stage, "users").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_25_no_request_gives_a_role_or_anything_else_that_is_not_ones_own() {
    let (stage, app) = start().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let stolen = [
        ("role", json!("admin")),
        ("id", json!(stage.clock.uuid())),
        ("user_id", json!(stage.clock.uuid())),
        ("email", json!("lee@example.com")),
        ("email_verified", json!(true)),
        ("email_verified_at", json!("2026-01-01T00:00:00.000Z")),
        ("provider", json!("google")),
        ("password", json!("whatever it is")),
        ("password_hash", json!("$argon2id$")),
        ("created_at", json!("2020-01-01T00:00:00.000Z")),
    ];
    let before = crate::outside::dump(&stage, "users").await;
    for (field, value) in stolen {
        let mut body = json!({});
        body[field] = value;
        kim.send(kim.request(Method::PATCH, "/user/me").json(&body)).await.assert_problem(400, "malformed");
        body["refresh_token"] = json!("x");
        app.anonymous().post("/auth/refresh", body.clone()).await.assert_problem(400, "malformed");
        body.as_object_mut().unwrap().remove("refresh_token");
        if field != "password" {
            kim.send(kim.request(Method::DELETE, "/user/me").json(&body)).await.assert_problem(400, "malformed");
        }
    }
    assert_eq!(crate::outside::dump(&stage, "users").await, before);
}
