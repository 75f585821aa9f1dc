//! What bodies may say: the fields that are documented, and no others. Numbers are those of the threat list in
//! docs/security.md.

use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, TestClient};

use crate::{
    PASSWORD,
    behind::{everything_in, number, refreshed, sql},
    register, start_with,
};

/// What somebody would like to set of an account, a login or a row.
const WISHES: [&str; 14] = [
    "id",
    "user_id",
    "role",
    "roles",
    "is_admin",
    "email_verified",
    "email_verified_at",
    "provider",
    "password_hash",
    "created_at",
    "refresh_counter",
    "login_id",
    "status",
    "__proto__",
];

async fn patch(client: &TestClient, body: Value) -> Answer {
    client.send(client.request(Method::PATCH, "/user/me").json(&body)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_25_no_body_sets_more_than_is_documented() {
    let (stage, app) = start_with(|config| config.password_hashes_at_once = 8).await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    let requests = [
        (Method::POST, "/register", json!({ "name": "이마루", "email": "lee@example.com", "password": PASSWORD })),
        (Method::POST, "/login", json!({ "email": "kim@example.com", "password": PASSWORD })),
        (Method::POST, "/auth/refresh", json!({ "refresh_token": made.text("/refresh_token") })),
        (Method::POST, "/change-password", json!({ "current_password": PASSWORD, "new_password": "마루 아래 8" })),
        (Method::POST, "/auth/verify-email", json!({ "email": "kim@example.com", "code": "AAAAAAAA" })),
        (Method::POST, "/auth/password-reset", json!({ "email": "kim@example.com" })),
        (
            Method::POST,
            "/auth/password-reset/confirm",
            json!({ "email": "kim@example.com", "code": "AAAAAAAA", "new_password": "마루 아래 8" }),
        ),
        (Method::POST, "/auth/google/callback", json!({ "code": "x" })),
        (Method::PATCH, "/user/me", json!({ "name": "이마루" })),
        (Method::DELETE, "/user/me", json!({ "password": PASSWORD })),
    ];
    let tables = ["users", "logins", "action_codes", "identities", "erasures"];
    let mut before = Vec::new();
    for table in tables {
        before.push(everything_in(&stage, table).await);
    }
    for (method, path, body) in &requests {
        for wish in WISHES {
            let mut body = body.clone();
            body[wish] = json!("admin");
            let answer = kim.send(kim.request(method.clone(), path).json(&body)).await;
            // Where Google is not set up, nothing is read at all.
            let is_closed = *path == "/auth/google/callback" && answer.status == 503;
            assert!(answer.status == 400 || is_closed, "{method} {path} {wish}: {}", answer.status);
        }
    }
    for (table, before) in tables.into_iter().zip(before) {
        assert_eq!(everything_in(&stage, table).await, before, "{table}");
    }
    refreshed(&app, made.text("/refresh_token")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_25_a_field_given_twice_is_no_way_around() {
    let (stage, app) = start_with(|_| {}).await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    for body in [r#"{"name":"a","name":"b"}"#, r#"{"name":"a","ro\u006ce":"admin"}"#, r#"[["role","admin"]]"#] {
        let request = kim.request(Method::PATCH, "/user/me").header("content-type", "application/json").body(body);
        kim.send(request).await.assert_problem(400, "malformed");
    }
    assert_eq!(kim.get("/user/me").await.text("/name"), "김마루");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_is_changed_field_by_field() {
    let (stage, app) = start_with(|_| {}).await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let all = json!({ "name": " 이 마루 ", "phone": "+82 10-1234-5678", "locale": "en", "timezone": "Europe/Berlin",
        "picture": "https://example.com/me.png" });
    let changed = patch(&kim, all).await.assert_status(200);
    let shown = ["/name", "/phone", "/locale", "/timezone", "/picture"].map(|pointer| changed.text(pointer));
    assert_eq!(shown, ["이 마루", "+82 10-1234-5678", "en", "Europe/Berlin", "https://example.com/me.png"]);
    assert_eq!(kim.get("/user/me").await.json, changed.json);

    let kept = patch(&kim, json!({ "name": "김마루" })).await.assert_status(200);
    assert_eq!((kept.text("/name"), kept.text("/phone")), ("김마루", "+82 10-1234-5678"));
    let taken_away = patch(&kim, json!({ "phone": null, "picture": "" })).await.assert_status(200);
    assert!(taken_away.json.get("phone").is_none() && taken_away.json.get("picture").is_none());
    assert_eq!(patch(&kim, json!({})).await.assert_status(200).json, taken_away.json);
    // Only what was said is different afterwards, and only this account.
    assert_eq!(taken_away.text("/email"), "kim@example.com");
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM users WHERE role = 'user'").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_names_every_invalid_field_at_once_and_changes_none() {
    let (stage, app) = start_with(|_| {}).await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let before = everything_in(&stage, "users").await;
    let body = json!({ "name": "\u{202e}", "phone": "call me", "locale": "fr", "timezone": "Mars/Olympus",
        "picture": "http://example.com/me.png" });
    let refused = patch(&kim, body).await.assert_problem(422, "invalid");
    let pointers: Vec<_> =
        refused.json["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/name", "/phone", "/locale", "/timezone", "/picture"]);
    for (field, value) in [
        ("name", json!("x".repeat(101))),
        ("name", json!("")),
        ("name", json!("a\u{0}b")),
        ("timezone", json!("")),
        ("phone", json!("0".repeat(25))),
        ("picture", json!("javascript:alert(1)")),
        ("picture", json!("https://a@b.kr/")),
        ("picture", json!(format!("https://example.com/{}", "x".repeat(2_048)))),
    ] {
        let answer = patch(&kim, json!({ field: value })).await.assert_problem(422, "invalid");
        assert_eq!(answer.text("/errors/0/pointer"), format!("/{field}"));
    }
    for body in [json!({ "name": 7 }), json!({ "phone": {} }), json!("name"), json!([])] {
        patch(&kim, body).await.assert_problem(400, "malformed");
    }
    assert_eq!(everything_in(&stage, "users").await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_changes_a_profile_after_their_login_has_ended_or_another_ones() {
    let (stage, app) = start_with(|_| {}).await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let (lee, _) = register(&stage, &app, "lee@example.com").await;
    // Kim's login under Lee's name: a token nobody signs, should one exist.
    let mixed = domain::principal::Principal {
        user_id: lee.user_id,
        login_id: kim.login_id,
        role: domain::principal::Role::User,
    };
    let mixed = app.as_principal(mixed);
    patch(&mixed, json!({ "name": "x" })).await.assert_problem(401, "invalid_token");
    sql(&stage, "UPDATE logins SET revoked_at = now()").await;
    patch(&kim, json!({ "name": "x" })).await.assert_problem(401, "invalid_token");
    patch(&app.anonymous(), json!({ "name": "x" })).await.assert_problem(401, "unauthenticated");
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM users WHERE name = 'x'").await, 0);
}
