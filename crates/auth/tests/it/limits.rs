//! How often passwords, codes and mails may be tried. Numbers are those of the threat list in docs/security.md.

use std::time::Duration;

use auth::config::AuthConfig;
use chassis::limit::Profile;
use futures_util::future::join_all;
use secrecy::SecretString;
use serde_json::json;
use testkit::{Answer, Stage, TestApp, smtp::MailServer};

use crate::{
    PASSWORD,
    behind::{redis_keys, refresh, refreshed, written},
    register, start, start_with,
};

fn strictly(config: &mut AuthConfig) {
    config.rate_limits = Profile::Strict;
    config.password_hashes_at_once = 8;
}

async fn start_strict() -> (Stage, TestApp) {
    start_with(strictly).await
}

async fn try_from(app: &TestApp, email: &str, password: &str, ip: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    app.anonymous().post_with("/login", body, &[("x-client-ip", ip)]).await
}

#[track_caller]
fn assert_limited(answer: Answer, longest_seconds: u64) {
    let answer = answer.assert_problem(429, "too_many_requests");
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=longest_seconds).contains(&wait), "{wait} s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_20_the_sixth_wrong_password_waits_and_its_owner_elsewhere_does_not() {
    let (stage, app) = start_strict().await;
    register(&stage, &app, "kim@example.com").await;
    for _ in 0..5 {
        try_from(&app, "kim@example.com", "wrong one", "192.0.2.7").await.assert_problem(401, "wrong_credentials");
    }
    assert_limited(try_from(&app, "kim@example.com", "wrong one", "192.0.2.7").await, 30);
    // Not even the right one is told from a wrong one there, whatever the case it is written in.
    assert_limited(try_from(&app, "KIM@example.com", PASSWORD, "192.0.2.7").await, 30);
    try_from(&app, "kim@example.com", PASSWORD, "192.0.2.8").await.assert_status(200);
    try_from(&app, "lee@example.com", PASSWORD, "192.0.2.7").await.assert_problem(401, "wrong_credentials");
    assert_limited(try_from(&app, "kim@example.com", PASSWORD, "192.0.2.7").await, 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_20_many_at_once_and_many_processes_are_counted_together() {
    let (stage, app) = start_strict().await;
    register(&stage, &app, "kim@example.com").await;
    let mut config = crate::config(&stage);
    strictly(&mut config);
    let twin = stage.serve(auth::build(config, stage.clock.clone()).unwrap());
    let tries = (0..40).map(|n| {
        let app = if n % 2 == 0 { &app } else { &twin };
        // One household has one /64, and as many addresses in it as it likes.
        async move { try_from(app, "kim@example.com", "wrong one", &format!("2001:db8:1:2::{n:x}")).await.status }
    });
    let statuses = join_all(tries).await;
    let (wrong, limited): (Vec<_>, Vec<_>) = statuses.into_iter().partition(|status| *status == 401);
    assert_eq!(wrong.len(), 5);
    assert!(limited.iter().all(|status| *status == 429), "{limited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_password_clears_the_count() {
    let (stage, app) = start_strict().await;
    register(&stage, &app, "kim@example.com").await;
    for _ in 0..3 {
        for _ in 0..4 {
            try_from(&app, "kim@example.com", "wrong one", "192.0.2.7").await.assert_problem(401, "wrong_credentials");
        }
        try_from(&app, "kim@example.com", PASSWORD, "192.0.2.7").await.assert_status(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_20_a_thousand_places_do_not_keep_the_owner_out_of_a_known_one() {
    let (stage, app) = start_strict().await;
    register(&stage, &app, "kim@example.com").await;
    try_from(&app, "kim@example.com", PASSWORD, "198.51.100.1").await.assert_status(200);
    let mut limited = None;
    for n in 0..130_u8 {
        let answer = try_from(&app, "kim@example.com", "wrong one", &format!("203.0.113.{n}")).await;
        if answer.status == 429 {
            limited = Some((n, answer));
            break;
        }
        answer.assert_problem(401, "wrong_credentials");
    }
    let (tried, answer) = limited.expect("somewhere after a hundred places it is enough");
    assert!(tried >= 99, "{tried}");
    assert_limited(answer, 10);
    // A new place is one of theirs as far as anybody can tell; the owner's own is not.
    // A place more is earned each ten seconds.
    let mut answer = try_from(&app, "kim@example.com", PASSWORD, "203.0.113.250").await;
    for n in 251..=253_u8 {
        if answer.status != 429 {
            answer = try_from(&app, "kim@example.com", PASSWORD, &format!("203.0.113.{n}")).await;
        }
    }
    assert_limited(answer, 10);
    try_from(&app, "kim@example.com", PASSWORD, "198.51.100.1").await.assert_status(200);
    try_from(&app, "kim@example.com", "wrong one", "198.51.100.1").await.assert_problem(401, "wrong_credentials");
    // A place is known for ninety days.
    stage.clock.advance(Duration::from_hours(24 * 91));
    assert_limited(try_from(&app, "kim@example.com", PASSWORD, "198.51.100.1").await, 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_20_an_unknown_account_is_limited_like_any_other() {
    let (stage, app) = start_strict().await;
    register(&stage, &app, "kim@example.com").await;
    let mut answers = Vec::new();
    for email in ["kim@example.com", "nobody@example.com", "not an address"] {
        for _ in 0..5 {
            try_from(&app, email, "wrong one", "192.0.2.7").await.assert_problem(401, "wrong_credentials");
        }
        let mut limited =
            try_from(&app, email, "wrong one", "192.0.2.7").await.assert_problem(429, "too_many_requests");
        limited.json["request_id"] = json!(null);
        answers.push(limited.json);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_current_password_may_be_wrong_five_times_in_a_quarter_of_an_hour() {
    let (stage, app) = start_strict().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let change = |current: &str| {
        let body = json!({ "current_password": current, "new_password": "마루 아래에서 잔다 8" });
        kim.post("/change-password", body)
    };
    for _ in 0..5 {
        change("wrong one").await.assert_problem(403, "wrong_password");
    }
    assert_limited(change("wrong one").await, 180);
    assert_limited(change(PASSWORD).await, 180);
    // To erase the account instead is no way around.
    let erase = kim.request(reqwest::Method::DELETE, "/user/me").json(&json!({ "password": PASSWORD }));
    assert_limited(kim.send(erase).await, 180);
    // Nobody else is held up, and neither are the account's logins.
    try_from(&app, "kim@example.com", PASSWORD, "192.0.2.8").await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codes_may_be_tried_twenty_times_whoever_has_the_address() {
    let (stage, app) = start_strict().await;
    register(&stage, &app, "kim@example.com").await;
    for email in ["kim@example.com", "nobody@example.com"] {
        let verify = json!({ "email": email, "code": "AAAAAAAA" });
        let reset = json!({ "email": email, "code": "AAAAAAAA", "new_password": "마루 아래에서 잔다 8" });
        for _ in 0..10 {
            app.anonymous().post("/auth/verify-email", verify.clone()).await.assert_problem(422, "wrong_code");
            let tried = app.anonymous().post("/auth/password-reset/confirm", reset.clone()).await;
            tried.assert_problem(422, "wrong_code");
        }
        assert_limited(app.anonymous().post("/auth/verify-email", verify).await, 180);
        assert_limited(app.anonymous().post("/auth/password-reset/confirm", reset).await, 180);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_gets_three_mails_and_then_waits_whoever_has_it() {
    let mail = MailServer::start();
    let url = SecretString::from(mail.url());
    let (stage, app) = start_with(|config| {
        strictly(config);
        config.mail.mail_url = Some(url);
    })
    .await;
    register(&stage, &app, "kim@example.com").await;
    for email in ["kim@example.com", "nobody@example.com"] {
        let body = json!({ "email": email });
        for path in ["/auth/password-reset", "/auth/verify-email", "/auth/password-reset"] {
            app.anonymous().post(path, body.clone()).await.assert_status(202);
        }
        assert_limited(app.anonymous().post("/auth/verify-email", body.clone()).await, 1_200);
        assert_limited(app.anonymous().post("/auth/password-reset", body).await, 1_200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_login_is_refreshed_thirty_times_and_forgeries_are_not_counted_as_its_own() {
    let (stage, app) = start_strict().await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    let (_, lees) = register(&stage, &app, "lee@example.com").await;
    for _ in 0..40 {
        let forged = written(kim.login_id, 0, "another secret of thirty-two byte");
        refresh(&app, &forged).await.assert_problem(401, "invalid_token");
    }
    let mut token = made.text("/refresh_token").to_owned();
    for _ in 0..30 {
        token = refreshed(&app, &token).await;
    }
    assert_limited(refresh(&app, &token).await, 6);
    refreshed(&app, lees.text("/refresh_token")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn even_a_generous_house_stops_a_hundred_wrong_passwords_within_a_minute() {
    let (stage, app) = start().await;
    register(&stage, &app, "kim@example.com").await;
    let mut tried = 0;
    while tried < 100 && try_from(&app, "kim@example.com", "wrong one", "192.0.2.7").await.status == 401 {
        tried += 1;
    }
    assert!((30..100).contains(&tried), "{tried}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_each_process_counts_alone() {
    let nowhere = SecretString::from("redis://127.0.0.1:1");
    let (stage, app) = start_with(|config| {
        strictly(config);
        config.base.redis.redis_url = nowhere;
    })
    .await;
    register(&stage, &app, "kim@example.com").await;
    for _ in 0..5 {
        try_from(&app, "kim@example.com", "wrong one", "192.0.2.7").await.assert_problem(401, "wrong_credentials");
    }
    assert_limited(try_from(&app, "kim@example.com", "wrong one", "192.0.2.7").await, 30);
    try_from(&app, "kim@example.com", PASSWORD, "192.0.2.8").await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_address_stands_in_redis() {
    let (stage, app) = start_strict().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    try_from(&app, "kim@example.com", "wrong one", "192.0.2.7").await.assert_problem(401, "wrong_credentials");
    let body = json!({ "email": "kim@example.com", "code": "AAAAAAAA" });
    app.anonymous().post("/auth/verify-email", body).await.assert_problem(422, "wrong_code");
    let body = json!({ "current_password": "wrong one", "new_password": "마루 아래에서 잔다 8" });
    kim.post("/change-password", body).await.assert_problem(403, "wrong_password");
    let keys = redis_keys(&stage).await;
    for kind in ["limit:{password:", "limit:{code:", "limit:{own-password:"] {
        assert!(keys.iter().any(|key| key.contains(kind)), "{kind}: {keys:?}");
    }
    assert!(!keys.iter().any(|key| key.contains('@') || key.contains("kim") || key.contains("example")), "{keys:?}");
}
