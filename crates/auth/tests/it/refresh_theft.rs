//! Refresh tokens in the wrong hands: a copy ends the login, a forgery ends nothing. Numbers are those of the threat list
//! in docs/security.md.

use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use domain::contract::REVOCATIONS;
use futures_util::{StreamExt, future::join_all};
use reqwest::Method;
use serde_json::json;

use crate::{
    PASSWORD, SECRET,
    behind::{audited, everything_in, number, refresh, refreshed, seen, somebody_waits, written},
    register, start, start_with_mail,
};

const GRACE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_16_a_token_whose_successor_is_at_work_ends_the_login_for_everybody() {
    let (stage, app, mail) = start_with_mail().await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    // The first letter proves the address.
    mail.wait_for("kim@example.com").await;
    let current = refreshed(&app, made.text("/refresh_token")).await;
    seen(&stage, &app, kim.login_id, 1).await;
    stage.clock.advance(GRACE);
    let mut heard = Box::pin(stage.redis().subscribe(REVOCATIONS).await.unwrap());

    let refused = refresh(&app, made.text("/refresh_token")).await.assert_problem(401, "refresh_reused");
    assert!(refused.header("www-authenticate").starts_with("Bearer"));
    let notice = tokio::time::timeout(Duration::from_secs(15), heard.next()).await.unwrap().unwrap();
    assert!(notice.contains(&kim.login_id.to_string()), "{notice}");
    let list = app.as_peer().get("/internal/revocations").await.assert_status(200);
    assert_eq!(list.text("/revoked/0/login_id"), kim.login_id.to_string());
    kim.get("/user/me").await.assert_problem(401, "invalid_token");

    // Thief or owner: whoever shows either token now has none.
    refresh(&app, &current).await.assert_problem(401, "invalid_token");
    refresh(&app, made.text("/refresh_token")).await.assert_problem(401, "invalid_token");
    assert_eq!(audited(&stage, "refresh_reused").await, 1);
    let letter = mail.wait_for("kim@example.com").await;
    assert!(letter.subject().contains("로그인을 안전하게 종료했습니다"), "{}", letter.subject());
    assert_eq!(mail.offered(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_16_a_thief_who_is_first_is_found_out_by_the_owner() {
    let (stage, app) = start().await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    // The thief exchanges the copy and uses what it gave; the owner comes back the next morning.
    let stolen = refreshed(&app, made.text("/refresh_token")).await;
    seen(&stage, &app, kim.login_id, 1).await;
    stage.clock.advance(Duration::from_hours(8));
    refresh(&app, made.text("/refresh_token")).await.assert_problem(401, "refresh_reused");
    refresh(&app, &stolen).await.assert_problem(401, "invalid_token");
    kim.get("/user/me").await.assert_problem(401, "invalid_token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_16_a_token_two_exchanges_old_ends_the_login() {
    let (stage, app) = start().await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    let first = refreshed(&app, made.text("/refresh_token")).await;
    stage.clock.advance(GRACE);
    let second = refreshed(&app, &first).await;
    refresh(&app, made.text("/refresh_token")).await.assert_problem(401, "refresh_reused");
    refresh(&app, &second).await.assert_problem(401, "invalid_token");
    kim.get("/user/me").await.assert_problem(401, "invalid_token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_16_reuse_ends_that_login_and_no_other() {
    let (stage, app) = start().await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    let login = json!({ "email": "kim@example.com", "password": PASSWORD });
    let laptop = app.anonymous().post("/login", login).await.assert_status(200);
    refreshed(&app, made.text("/refresh_token")).await;
    seen(&stage, &app, kim.login_id, 1).await;
    stage.clock.advance(GRACE);
    let stolen = made.text("/refresh_token");
    let answers = join_all((0..10).map(|_| refresh(&app, stolen))).await;
    assert!(answers.iter().all(|answer| answer.status == 401));
    assert!(answers.iter().any(|answer| answer.text("/code") == "refresh_reused"));
    assert_eq!(audited(&stage, "refresh_reused").await, 1);
    refreshed(&app, laptop.text("/refresh_token")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_16_forging_gives_nothing_and_ends_nothing() {
    let (stage, app) = start().await;
    let (kim, kims) = register(&stage, &app, "kim@example.com").await;
    let (lee, lees) = register(&stage, &app, "lee@example.com").await;
    let token = kims.text("/refresh_token");
    let mac = token.rsplit('.').next().unwrap();
    let of_lee = lees.text("/refresh_token");
    let forged = [
        format!("rt1.{}.1.{mac}", kim.login_id.0.simple()),
        format!("rt1.{}.0.{mac}", lee.login_id.0.simple()),
        format!("rt1.{}.0.{mac}", kim.login_id),
        format!("rt1.{}.00.{mac}", kim.login_id.0.simple()),
        format!("rt1.{}.-1.{mac}", kim.login_id.0.simple()),
        token[..token.len() - 1].to_owned(),
        format!("{}{}", &token[..token.len() - 4], &of_lee[of_lee.len() - 4..]),
        format!("rt1.{}.0.", kim.login_id.0.simple()),
        format!("{token}="),
        format!(" {token}"),
        format!("{token}.{token}"),
        token.to_uppercase(),
        // Another's key, and a number that was never given out, even with ours.
        written(kim.login_id, 0, "another secret of thirty-two byte"),
        written(kim.login_id, 1, SECRET),
        written(kim.login_id, u32::MAX, SECRET),
        written(kim.login_id, 1 << 31, SECRET),
        // A login that never was.
        written(stage.clock.id(), 0, SECRET),
        kims.text("/access_token").to_owned(),
        "rt1...".to_owned(),
        "x".repeat(60_000),
        "\u{0}마루".to_owned(),
        String::new(),
    ];
    let before = everything_in(&stage, "logins").await;
    for token in &forged {
        let answer = refresh(&app, token).await;
        assert_eq!((answer.status, answer.text("/code")), (401, "invalid_token"), "{token:.80}");
    }
    assert_eq!(everything_in(&stage, "logins").await, before);
    assert_eq!(number(&stage, "SELECT count(*) AS number FROM revoked_logins").await, 0);
    for token in [token, of_lee] {
        refreshed(&app, token).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_15_no_token_outlives_its_login() {
    let (stage, app) = start().await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    let nobody = app.anonymous();
    let again = || nobody.post("/login", json!({ "email": "kim@example.com", "password": PASSWORD }));
    let (logged_out, revoked, changed) = (again().await, again().await, again().await);
    app.as_principal(crate::principal(&stage, &logged_out)).post("/auth/logout", json!({})).await.assert_status(200);
    let revoked_id = crate::principal(&stage, &revoked).login_id;
    kim.delete(&format!("/auth/sessions/{revoked_id}")).await.assert_status(200);
    let body = json!({ "current_password": PASSWORD, "new_password": "마루 아래에서 잔다 8" });
    kim.post("/change-password", body).await.assert_status(200);

    let before = everything_in(&stage, "logins").await;
    for ended in [&logged_out, &revoked, &changed] {
        refresh(&app, ended.text("/refresh_token")).await.assert_problem(401, "invalid_token");
        let client = app.as_principal(crate::principal(&stage, ended));
        client.get("/user/me").await.assert_problem(401, "invalid_token");
    }
    assert_eq!(everything_in(&stage, "logins").await, before);

    let current = refreshed(&app, made.text("/refresh_token")).await;
    let goodbye = kim.request(Method::DELETE, "/user/me").json(&json!({ "password": "마루 아래에서 잔다 8" }));
    kim.send(goodbye).await.assert_status(202);
    for token in [current.as_str(), made.text("/refresh_token")] {
        refresh(&app, token).await.assert_problem(401, "invalid_token");
    }
    kim.get("/user/me").await.assert_problem(401, "invalid_token");
    assert_eq!(everything_in(&stage, "logins").await, "");
    let list = app.as_peer().get("/internal/revocations").await;
    assert_eq!(list.json["revoked"].as_array().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_15_an_exchange_that_meets_the_end_of_its_login_gives_nothing() {
    let (stage, app) = start().await;
    for is_repeat in [false, true] {
        let (kim, made) = register(&stage, &app, if is_repeat { "kim@example.com" } else { "lee@example.com" }).await;
        let token = made.text("/refresh_token");
        if is_repeat {
            refreshed(&app, token).await;
        }
        // The end has been written and is about to be committed when the token is shown.
        let mut ending = stage.pg().conn().await.unwrap();
        let end = format!("BEGIN; UPDATE logins SET revoked_at = now() WHERE id = '{}'", kim.login_id);
        ending.batch_execute(&end).await.unwrap();
        let commits = async {
            somebody_waits(&stage, "UPDATE").await;
            ending.batch_execute("COMMIT").await.unwrap();
        };
        let (answer, ()) = tokio::join!(refresh(&app, token), commits);
        answer.assert_problem(401, "invalid_token");
    }
}
