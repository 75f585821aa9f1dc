//! Letters, and codes that prove an address.
//!
//! Numbers in names are those of the threat list in docs/security.md.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use testkit::{Answer, TestApp, TestClient, eventually, smtp::Mail};

use crate::{outside::count, register, registration, start_with_mail};

/// Where codes are asked for and taken in.
pub(crate) const VERIFY: &str = "/auth/verify-email";

/// Returns the code that a letter shows.
pub(crate) fn code_in(mail: &Mail) -> String {
    let text = mail.text();
    text.lines().find_map(|line| line.strip_prefix("    ")).unwrap().to_owned()
}

/// Makes a wrong code out of a right one.
pub(crate) fn wrong(code: &str) -> String {
    code.chars().map(|c| if c == 'A' { 'B' } else { 'A' }).collect()
}

/// Shows a code.
pub(crate) async fn prove(app: &TestApp, email: &str, code: &str) -> Answer {
    app.anonymous().post(VERIFY, json!({ "email": email, "code": code })).await
}

async fn is_verified(person: &TestClient) -> bool {
    let me = person.get("/user/me").await.assert_status(200);
    me.json.get("email_verified") == Some(&json!(true))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_account_is_mailed_a_code_that_proves_its_address() {
    let (stage, app, mail) = start_with_mail().await;
    let (kim, made) = register(&stage, &app, "Kim@Example.com").await;
    let letter = mail.wait_for("Kim@Example.com").await;
    assert_eq!(letter.subject(), "[Maru] 이메일 확인 코드");
    assert!(letter.text().contains("10분 동안 유효합니다"), "{}", letter.text());
    assert!(letter.header("From").contains("maru@example.com"), "{}", letter.header("From"));
    assert!(!is_verified(&kim).await);

    // As people type: small, in groups, with blanks around.
    let code = code_in(&letter);
    let (left, right) = code.split_at(4);
    let typed = format!(" {}-{} ", left.to_lowercase(), right.to_lowercase());
    let proved = kim.post(VERIFY, json!({ "code": typed })).await.assert_status(200);
    assert_eq!(proved.text("/message"), "이메일이 확인되었습니다.");
    assert!(is_verified(&kim).await);
    assert_eq!(made.json.get("email_verified"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_speaks_the_language_of_its_account() {
    let (stage, app, mail) = start_with_mail().await;
    let english = [("accept-language", "en-GB,en;q=0.9")];
    let made = app.anonymous().post_with("/register", registration("lee@example.com"), &english).await;
    let letter = mail.wait_for("lee@example.com").await;
    assert_eq!(letter.subject(), "[Maru] Your e-mail code");
    assert!(letter.text().is_ascii() && letter.text().contains("ten minutes"), "{}", letter.text());

    // The account's language counts, and not that of whoever asks.
    app.anonymous().post(VERIFY, json!({ "email": "lee@example.com" })).await.assert_status(202);
    assert_eq!(mail.wait_for("lee@example.com").await.subject(), "[Maru] Your e-mail code");
    let lee = app.as_principal(crate::principal(&stage, &made.assert_status(201)));
    let korean = lee.request(Method::PATCH, "/user/me").json(&json!({ "locale": "ko" }));
    lee.send(korean).await.assert_status(200);
    lee.post(VERIFY, json!({})).await.assert_status(202);
    assert_eq!(mail.wait_for("lee@example.com").await.subject(), "[Maru] 이메일 확인 코드");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_of_any_script_gets_its_letter() {
    let (stage, app, mail) = start_with_mail().await;
    let (kim, _) = register(&stage, &app, "한글@예시.한국").await;
    let letter = {
        eventually(Duration::from_secs(5), || async { !mail.mails().is_empty() }).await;
        mail.mails().remove(0)
    };
    kim.post(VERIFY, json!({ "code": code_in(&letter) })).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_29_five_wrong_tries_end_a_code() {
    let (stage, app, mail) = start_with_mail().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let code = code_in(&mail.wait_for("kim@example.com").await);
    for _ in 0..4 {
        prove(&app, "kim@example.com", &wrong(&code)).await.assert_problem(422, "wrong_code");
    }
    // What is no code at all is a try as well.
    prove(&app, "kim@example.com", "").await.assert_problem(422, "wrong_code");
    prove(&app, "kim@example.com", &code).await.assert_problem(422, "wrong_code");
    assert!(!is_verified(&kim).await);

    kim.post(VERIFY, json!({})).await.assert_status(202);
    let next = code_in(&mail.wait_for("kim@example.com").await);
    assert_ne!(next, code);
    for _ in 0..4 {
        prove(&app, "kim@example.com", &code).await.assert_problem(422, "wrong_code");
    }
    prove(&app, "kim@example.com", &next).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_29_many_tries_at_once_are_five_all_the_same() {
    let (stage, app, mail) = start_with_mail().await;
    register(&stage, &app, "kim@example.com").await;
    let code = code_in(&mail.wait_for("kim@example.com").await);
    let guess = wrong(&code);
    let tries = (0..20).map(|_| prove(&app, "kim@example.com", &guess));
    for answer in futures_util::future::join_all(tries).await {
        answer.assert_problem(422, "wrong_code");
    }
    assert_eq!(count(&stage, "action_codes WHERE attempts = 5").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_29_a_code_counts_once_for_one_purpose_and_one_person() {
    let (stage, app, mail) = start_with_mail().await;
    register(&stage, &app, "kim@example.com").await;
    let (lee, _) = register(&stage, &app, "lee@example.com").await;
    let kims = code_in(&mail.wait_for("kim@example.com").await);
    mail.wait_for("lee@example.com").await;
    // Somebody else's, whether logged in or not.
    lee.post(VERIFY, json!({ "code": kims })).await.assert_problem(422, "wrong_code");
    prove(&app, "lee@example.com", &kims).await.assert_problem(422, "wrong_code");
    prove(&app, "nobody@example.com", &kims).await.assert_problem(422, "wrong_code");
    // For another purpose.
    let reset = json!({ "email": "kim@example.com", "code": kims, "new_password": "한밤의 마루 밑 고양이" });
    app.anonymous().post("/auth/password-reset/confirm", reset).await.assert_problem(422, "wrong_code");

    prove(&app, "kim@example.com", &kims).await.assert_status(200);
    prove(&app, "kim@example.com", &kims).await.assert_problem(422, "wrong_code");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_29_a_code_ends_after_ten_minutes() {
    let (stage, app, mail) = start_with_mail().await;
    register(&stage, &app, "kim@example.com").await;
    register(&stage, &app, "lee@example.com").await;
    let kims = code_in(&mail.wait_for("kim@example.com").await);
    let lees = code_in(&mail.wait_for("lee@example.com").await);
    stage.clock.advance(Duration::from_secs(599));
    prove(&app, "lee@example.com", &lees).await.assert_status(200);
    stage.clock.advance(Duration::from_secs(1));
    prove(&app, "kim@example.com", &kims).await.assert_problem(422, "wrong_code");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_29_a_new_code_ends_the_one_before() {
    let (stage, app, mail) = start_with_mail().await;
    register(&stage, &app, "kim@example.com").await;
    let first = code_in(&mail.wait_for("kim@example.com").await);
    app.anonymous().post(VERIFY, json!({ "email": "KIM@example.com" })).await.assert_status(202);
    let second = code_in(&mail.wait_for("kim@example.com").await);
    prove(&app, "kim@example.com", &first).await.assert_problem(422, "wrong_code");
    prove(&app, "kim@example.com", &second).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_29_a_scanner_that_opens_every_address_uses_nothing_up() {
    let (stage, app, mail) = start_with_mail().await;
    register(&stage, &app, "kim@example.com").await;
    let code = code_in(&mail.wait_for("kim@example.com").await);
    let nobody = app.anonymous();
    for path in [VERIFY, "/auth/password-reset/confirm"] {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            let with_code = format!("{path}?email=kim@example.com&code={code}");
            let answer = nobody.send(nobody.request(method, &with_code)).await;
            assert_eq!(answer.status, 405, "{path}");
        }
    }
    assert_eq!(count(&stage, "action_codes WHERE attempts = 0").await, 1);
    prove(&app, "kim@example.com", &code).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_28_a_letter_has_no_link_whatever_host_was_asked() {
    let (stage, app, mail) = start_with_mail().await;
    let evil = [("host", "evil.example"), ("x-forwarded-host", "evil.example"), ("forwarded", "host=evil.example")];
    app.anonymous().post_with("/register", registration("kim@example.com"), &evil).await.assert_status(201);
    let asked = json!({ "email": "kim@example.com" });
    app.anonymous().post_with("/auth/password-reset", asked, &evil).await.assert_status(202);
    for _ in 0..2 {
        let letter = mail.wait_for("kim@example.com").await;
        let raw = String::from_utf8_lossy(&letter.data).to_lowercase();
        assert!(!raw.contains("evil.example"), "{raw}");
        for link in ["http:", "https:", "www.", "<a", "href"] {
            assert!(!letter.text().contains(link), "{}", letter.text());
        }
        assert!(letter.html().is_empty());
    }
    drop(stage);
}
