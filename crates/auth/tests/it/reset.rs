//! A forgotten password.
//!
//! Numbers in names are those of the threat list in docs/security.md.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::{Answer, TestApp, eventually};

use crate::{
    PASSWORD,
    mail::{code_in, wrong},
    outside::{count, execute},
    principal, register, start_with, start_with_mail,
};

const RESET: &str = "/auth/password-reset";
const CONFIRM: &str = "/auth/password-reset/confirm";
const NEW: &str = "한밤의 마루 밑 고양이";

async fn ask(app: &TestApp, email: &str) -> Answer {
    app.anonymous().post(RESET, json!({ "email": email })).await
}

async fn confirm(app: &TestApp, email: &str, code: &str) -> Answer {
    app.anonymous().post(CONFIRM, json!({ "email": email, "code": code, "new_password": NEW })).await
}

async fn log_in(app: &TestApp, email: &str, password: &str) -> Answer {
    app.anonymous().post("/login", json!({ "email": email, "password": password })).await
}

/// What of an answer could tell one case from another: all but the moment and the request.
fn visible(answer: &Answer) -> (u16, Value, Vec<(String, String)>) {
    let mut json = answer.json.clone();
    if let Some(id) = json.get_mut("request_id") {
        *id = Value::Null;
    }
    let headers = answer.headers.iter().filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()));
    let mut headers: Vec<_> =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    headers.sort();
    (answer.status, json, headers)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_sets_the_password_ends_every_login_and_proves_the_address() {
    let (stage, app, mail) = start_with_mail().await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    let second = app.as_principal(principal(&stage, &log_in(&app, "kim@example.com", PASSWORD).await));
    mail.wait_for("kim@example.com").await;
    ask(&app, "KIM@example.com").await.assert_status(202);
    let letter = mail.wait_for("kim@example.com").await;
    assert_eq!(letter.subject(), "[Maru] 비밀번호 재설정 코드");

    let done = confirm(&app, "kim@example.com", &code_in(&letter).to_lowercase()).await.assert_status(200);
    assert_eq!(done.text("/message"), "비밀번호가 변경되었습니다. 다시 로그인해 주세요.");
    assert_eq!(done.json.get("access_token"), None);
    for ended in [&kim, &second] {
        ended.get("/user/me").await.assert_problem(401, "invalid_token");
    }
    let refresh = json!({ "refresh_token": made.text("/refresh_token") });
    app.anonymous().post("/auth/refresh", refresh).await.assert_problem(401, "invalid_token");
    let revoked = app.as_peer().get("/internal/revocations").await.assert_status(200);
    assert_eq!(revoked.json["revoked"].as_array().unwrap().len(), 2);

    log_in(&app, "kim@example.com", PASSWORD).await.assert_problem(401, "wrong_credentials");
    let back = log_in(&app, "kim@example.com", NEW).await.assert_status(200);
    let me = app.as_principal(principal(&stage, &back)).get("/user/me").await.assert_status(200);
    assert_eq!(me.json["email_verified"], true, "whoever has the code has the mailbox");
    let notice = mail.wait_for("kim@example.com").await;
    assert_eq!(notice.subject(), "[Maru] 비밀번호가 변경되었습니다");
    assert!(!notice.text().contains(NEW));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_may_not_be_one_costs_no_try() {
    let (stage, app, mail) = start_with_mail().await;
    register(&stage, &app, "kim@example.com").await;
    mail.wait_for("kim@example.com").await;
    ask(&app, "kim@example.com").await.assert_status(202);
    let code = code_in(&mail.wait_for("kim@example.com").await);
    for password in ["short", "Password1", "kim@example.com", &"x".repeat(129)] {
        let body = json!({ "email": "kim@example.com", "code": code, "new_password": password });
        let refused = app.anonymous().post(CONFIRM, body).await.assert_problem(422, "invalid");
        assert_eq!(refused.text("/errors/0/pointer"), "/new_password");
    }
    assert_eq!(count(&stage, "action_codes WHERE purpose = 'reset_password' AND attempts = 0").await, 1);
    confirm(&app, "kim@example.com", &code).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_confirmations_at_once_one_counts() {
    let (stage, app, mail) = start_with_mail().await;
    register(&stage, &app, "kim@example.com").await;
    mail.wait_for("kim@example.com").await;
    for _ in 0..3 {
        ask(&app, "kim@example.com").await.assert_status(202);
        let letter = loop {
            let letter = mail.wait_for("kim@example.com").await;
            if letter.subject().contains("재설정") {
                break letter;
            }
        };
        let code = code_in(&letter);
        let (a, b) = tokio::join!(confirm(&app, "kim@example.com", &code), confirm(&app, "kim@example.com", &code));
        let mut statuses = [a.status, b.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 422]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_19_nobody_learns_who_has_an_account() {
    let (stage, app, mail) = start_with_mail().await;
    register(&stage, &app, "kim@example.com").await;
    mail.wait_for("kim@example.com").await;
    for path in [RESET, "/auth/verify-email"] {
        let known = app.anonymous().post(path, json!({ "email": "kim@example.com" })).await.assert_status(202);
        let unknown = app.anonymous().post(path, json!({ "email": "lee@example.com" })).await.assert_status(202);
        assert_eq!(visible(&known), visible(&unknown), "{path}");
    }
    let known = confirm(&app, "kim@example.com", "ABCDEFGH").await.assert_problem(422, "wrong_code");
    let unknown = confirm(&app, "lee@example.com", "ABCDEFGH").await.assert_problem(422, "wrong_code");
    assert_eq!(visible(&known), visible(&unknown));
    // Letters to one lane leave in their order: when both of kim's are here, any of lee's would be.
    for _ in 0..2 {
        mail.wait_for("kim@example.com").await;
    }
    // A message is taken out of the outbox a moment after its letter has arrived.
    eventually(Duration::from_secs(5), || async { count(&stage, "outbox WHERE topic = 'mail'").await == 0 }).await;
    assert_eq!(mail.offered(), 3);
}

/// Welch's t of two samples.
fn welch(a: &[f64], b: &[f64]) -> (f64, f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "a few dozen samples")]
    let moments = |samples: &[f64]| {
        let n = samples.len() as f64;
        let mean = samples.iter().sum::<f64>() / n;
        (mean, samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0) / n)
    };
    let ((mean_a, error_a), (mean_b, error_b)) = (moments(a), moments(b));
    (mean_a, mean_b, (mean_a - mean_b) / (error_a + error_b).sqrt())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_19_the_time_an_answer_takes_is_told() {
    const SAMPLES: usize = 60;
    let (stage, app, _mail) = start_with_mail().await;
    execute(
        &stage,
        "INSERT INTO users (id, name, email, email_key) SELECT gen_random_uuid(), 'kim', e, e \
         FROM (SELECT 'known' || i || '@example.com' AS e FROM generate_series(0, 199) i) t",
    )
    .await;
    // One connection for all: making one takes longer than the answer.
    let nobody = app.anonymous();
    for path in [RESET, "/auth/verify-email"] {
        let mut took: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
        // Interleaved, so that whatever else the machine does is done to both.
        for index in 0..SAMPLES {
            for (who, samples) in ["known", "unknown"].iter().zip(&mut took) {
                let email = format!("{who}{index}@example.com");
                let started = Instant::now();
                nobody.post(path, json!({ "email": email })).await.assert_status(202);
                samples.push(started.elapsed().as_secs_f64() * 1e3);
            }
        }
        let (known, unknown, t) = welch(&took[0], &took[1]);
        println!("{path:22} known {known:.3} ms, unknown {unknown:.3} ms, {SAMPLES} each, Welch t {t:+.2}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_29_five_wrong_tries_end_a_reset_code_too() {
    let (stage, app, mail) = start_with_mail().await;
    register(&stage, &app, "kim@example.com").await;
    let verification = code_in(&mail.wait_for("kim@example.com").await);
    ask(&app, "kim@example.com").await.assert_status(202);
    let code = code_in(&mail.wait_for("kim@example.com").await);
    // Cross-purpose both ways.
    confirm(&app, "kim@example.com", &verification).await.assert_problem(422, "wrong_code");
    let typed = json!({ "email": "kim@example.com", "code": code });
    app.anonymous().post("/auth/verify-email", typed).await.assert_problem(422, "wrong_code");
    for _ in 0..4 {
        confirm(&app, "kim@example.com", &wrong(&code)).await.assert_problem(422, "wrong_code");
    }
    confirm(&app, "kim@example.com", &code).await.assert_problem(422, "wrong_code");
    log_in(&app, "kim@example.com", PASSWORD).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_45_a_login_that_is_still_hashing_does_not_outlive_the_password() {
    let mail = testkit::smtp::MailServer::start();
    let url = secrecy::SecretString::from(mail.url());
    let (stage, app) = start_with(|config| {
        config.mail.mail_url = Some(url);
        // One after the other: the login's hash is computed while the reset is being written down.
        config.password_hashes_at_once = 1;
    })
    .await;
    for round in 0..6 {
        let email = format!("kim{round}@example.com");
        register(&stage, &app, &email).await;
        mail.wait_for(&email).await;
        ask(&app, &email).await.assert_status(202);
        let code = code_in(&mail.wait_for(&email).await);
        let attacker = async {
            tokio::time::sleep(Duration::from_millis(3 * round)).await;
            log_in(&app, &email, PASSWORD).await
        };
        let (reset, login) = tokio::join!(confirm(&app, &email, &code), attacker);
        reset.assert_status(200);
        assert!([200, 401].contains(&login.status), "{}", login.status);
        let live = format!("logins JOIN users u ON u.id = user_id WHERE revoked_at IS NULL AND u.email = '{email}'");
        assert_eq!(count(&stage, &live).await, 0, "round {round}: a login with the old password is alive");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_45_a_reset_and_a_deletion_at_once_both_end() {
    let (stage, app, mail) = start_with_mail().await;
    for round in 0..5 {
        let email = format!("kim{round}@example.com");
        let (kim, _) = register(&stage, &app, &email).await;
        mail.wait_for(&email).await;
        ask(&app, &email).await.assert_status(202);
        let code = code_in(&mail.wait_for(&email).await);
        let deletion =
            kim.send(kim.request(reqwest::Method::DELETE, "/user/me").json(&json!({ "password": PASSWORD })));
        let (reset, deleted) = tokio::join!(confirm(&app, &email, &code), deletion);
        assert!([200, 422].contains(&reset.status), "{}: {}", reset.status, reset.json);
        assert!([202, 401].contains(&deleted.status), "{}: {}", deleted.status, deleted.json);
        assert_ne!((reset.status, deleted.status), (422, 401));
    }
}
