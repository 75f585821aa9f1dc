//! Codes, states and forms that do not belong together.

use std::time::Duration;

use serde_json::json;
use testkit::oidc::Callback;

use super::{BACK, LOGIN, OTHER_BACK, Scene, assert_refused};
use crate::outside::count;

/// Begins a login, consents, and returns both.
async fn consented(scene: &Scene) -> (super::Begun, Callback) {
    let begun = scene.begin().await;
    let back = scene.provider.consent(&begun.url).await;
    (begun, back)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_27_a_state_is_good_in_its_own_browser_for_ten_minutes_and_once() {
    let scene = Scene::new().await;
    let (begun, back) = consented(&scene).await;
    let whole = json!({ "code": back.code, "state": back.state, "code_verifier": begun.verifier });
    let (other, _) = consented(&scene).await;

    let mut missing = whole.clone();
    missing.as_object_mut().unwrap().remove("state");
    let answer = scene.call(missing, &[("cookie", &begun.cookie)]).await;
    assert_refused(&answer.assert_problem(400, "invalid_state"), "a state left out");
    let answer = scene.call(whole.clone(), &[]).await;
    assert_refused(&answer.assert_problem(400, "invalid_state"), "a browser that did not begin");
    let answer = scene.call(whole.clone(), &[("cookie", &other.cookie)]).await;
    assert_refused(&answer.assert_problem(400, "invalid_state"), "another browser's state");
    let mut made_up = whole.clone();
    made_up["state"] = json!(other.verifier);
    let answer = scene.call(made_up, &[("cookie", &begun.cookie)]).await;
    assert_refused(&answer.assert_problem(400, "invalid_state"), "a state that was made up");
    scene.assert_nothing_was_made("a state").await;

    // None of that has used it up.
    scene.call(whole.clone(), &[("cookie", &begun.cookie)]).await.assert_status(200);
    let answer = scene.call(whole, &[("cookie", &begun.cookie)]).await;
    assert_refused(&answer.assert_problem(400, "invalid_state"), "a state shown twice");

    let (late, back) = consented(&scene).await;
    scene.stage.clock.advance(Duration::from_mins(10));
    let answer = scene.finish(&late, &back).await;
    assert_refused(&answer.assert_problem(400, "invalid_state"), "a state that ran out");
    assert_eq!(count(&scene.stage, "logins").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_27_of_two_who_show_the_same_state_at_once_one_enters() {
    let scene = Scene::new().await;
    let (begun, back) = consented(&scene).await;
    let (a, b) = tokio::join!(scene.finish(&begun, &back), scene.finish(&begun, &back));
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    assert_eq!(count(&scene.stage, "logins").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_27_a_code_of_one_login_does_not_finish_another() {
    let scene = Scene::new().await;
    let first = scene.begin().await;
    let second = scene.begin_in("", Some(&first.cookie)).await;
    let firsts = scene.provider.consent(&first.url).await;
    // The verifier is the first one's too, so that only the nonce can tell.
    let mixed = json!({ "code": firsts.code, "state": second.state, "code_verifier": first.verifier });
    let answer = scene.call(mixed, &[("cookie", &first.cookie)]).await;
    assert_refused(&answer.assert_problem(401, "invalid_google_token"), "a code of another login");

    let (begun, _) = consented(&scene).await;
    let nonces = [json!("made up"), json!("A".repeat(43)), json!(begun.state), json!(null)];
    for nonce in nonces {
        let (begun, back) = consented(&scene).await;
        scene.provider.bend_tokens(move |draft| draft.claims(json!({ "nonce": nonce })));
        assert_refused(&scene.finish(&begun, &back).await, "a nonce that is not the login's");
    }
    scene.assert_nothing_was_made("a mixed login").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_27_a_code_counts_once_and_with_its_own_verifier() {
    let scene = Scene::new().await;
    for verifier in [json!("a-verifier-of-forty-three-characters-or-more-0123456789"), json!("short"), json!(null)] {
        let (begun, back) = consented(&scene).await;
        let body = json!({ "code": back.code, "state": back.state, "code_verifier": verifier });
        let answer = scene.call(body, &[("cookie", &begun.cookie)]).await;
        assert_refused(&answer.assert_problem(400, "google_code_refused"), "another verifier");
    }
    scene.assert_nothing_was_made("a wrong verifier").await;

    let (begun, back) = consented(&scene).await;
    scene.finish(&begun, &back).await.assert_status(200);
    // By a client that began by itself, as far as anybody can tell.
    let replayed = json!({ "code": back.code, "code_verifier": begun.verifier });
    let answer = scene.call(replayed, &[]).await;
    assert_refused(&answer.assert_problem(400, "google_code_refused"), "a code shown twice");
    let answer = scene.call(json!({ "code": "4/made-up" }), &[]).await;
    assert_refused(&answer.assert_problem(400, "google_code_refused"), "a code that was made up");
    assert_eq!(count(&scene.stage, "logins").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_27_a_login_comes_back_to_a_configured_address_and_no_other() {
    let scene = Scene::new().await;
    let odd = [
        format!("{BACK}/"),
        format!("{BACK}.evil.example"),
        format!("{BACK}?next=https://evil.example"),
        format!("{BACK}#x"),
        BACK.replace("https", "http"),
        BACK.replace("maru", "MARU"),
        "https://evil.example/auth/google/callback".to_owned(),
        "https://maru.example.com@evil.example/auth/google/callback".to_owned(),
        "//evil.example".to_owned(),
        "javascript:alert(1)".to_owned(),
        String::new(),
    ];
    let nobody = scene.app.anonymous();
    for odd in &odd {
        let query: String = url::form_urlencoded::byte_serialize(odd.as_bytes()).collect();
        let refused = nobody.get(&format!("{LOGIN}?redirect_uri={query}")).await.assert_problem(422, "invalid");
        assert_refused(&refused, odd);
        let (begun, back) = consented(&scene).await;
        let body = json!({
            "code": back.code, "state": back.state, "code_verifier": begun.verifier, "redirect_uri": odd
        });
        let answer = scene.call(body, &[("cookie", &begun.cookie)]).await;
        assert_refused(&answer.assert_problem(422, "invalid"), odd);
        let answer = scene.call(json!({ "code": back.code, "redirect_uri": odd }), &[]).await;
        assert_refused(&answer.assert_problem(422, "invalid"), odd);
    }
    // Configured, but not where this one was begun.
    let (begun, back) = consented(&scene).await;
    let body = json!({
        "code": back.code, "state": back.state, "code_verifier": begun.verifier, "redirect_uri": OTHER_BACK
    });
    assert_refused(&scene.call(body, &[("cookie", &begun.cookie)]).await.assert_problem(400, "invalid_state"), "other");
    scene.assert_nothing_was_made("an address to come back to").await;
    assert_eq!(scene.provider.requests(testkit::oidc::Endpoint::Token), 0, "none of those codes was ever sent on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_27_a_form_counts_only_from_the_page_its_button_stands_on() {
    let scene = Scene::new().await;
    let credential = scene.provider.id_token(json!({}));
    let with = |told: Option<&'static str>| {
        let mut fields = vec![("credential", credential.as_str())];
        fields.extend(told.map(|told| ("g_csrf_token", told)));
        fields
    };
    let cookie = |value: &'static str| ("cookie", value);
    let attempts = [
        ("no cookie", with(Some("abc")), vec![]),
        ("no field", with(None), vec![cookie("g_csrf_token=abc")]),
        ("neither", with(None), vec![]),
        ("another value", with(Some("abd")), vec![cookie("g_csrf_token=abc")]),
        ("both empty", with(Some("")), vec![cookie("g_csrf_token=")]),
    ];
    for (attack, fields, headers) in attempts {
        let answer = scene.form(&fields, &headers).await;
        assert_refused(&answer.assert_problem(403, "csrf_mismatch"), attack);
    }
    let told = json!({ "credential": credential, "g_csrf_token": "abc" });
    let answer = scene.call(told.clone(), &[]).await;
    assert_refused(&answer.assert_problem(403, "csrf_mismatch"), "JSON that tells a token, without its cookie");
    let answer = scene.call(told, &[cookie("g_csrf_token=abd")]).await;
    assert_refused(&answer.assert_problem(403, "csrf_mismatch"), "JSON that tells another token");
    scene.assert_nothing_was_made("a form").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_27_a_page_that_nobody_knows_finishes_no_login() {
    let scene = Scene::new().await;
    let evil = [("origin", "https://evil.example"), ("x-maru-origin", "strange")];
    let token = scene.provider.id_token(json!({}));
    for body in [json!({ "code": "4/x" }), json!({ "credential": token }), json!({ "id_token": token })] {
        let answer = scene.call(body, &evil).await;
        assert_refused(&answer.assert_problem(403, "origin_not_allowed"), "a strange page");
    }
    let fields = [("credential", token.as_str()), ("g_csrf_token", "abc")];
    let headers = [evil[0], evil[1], ("cookie", "g_csrf_token=abc")];
    let answer = scene.form(&fields, &headers).await;
    assert_refused(&answer.assert_problem(403, "origin_not_allowed"), "a strange page's form");
    let null = [("origin", "null"), ("x-maru-origin", "strange")];
    let answer = scene.form(&[("code", "4/x")], &null).await;
    assert_refused(&answer.assert_problem(403, "origin_not_allowed"), "a page without an origin of its own");
    scene.assert_nothing_was_made("a strange page").await;
    let ours = [("origin", "https://maru.example.com"), ("x-maru-origin", "allowed")];
    scene.call(json!({ "id_token": token }), &ours).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_27_a_login_has_exactly_one_form() {
    let scene = Scene::new().await;
    let token = scene.provider.id_token(json!({ "nonce": "n-1" }));
    let odd = [
        json!({}),
        json!({ "nonce": "n-1" }),
        json!({ "state": "s", "code_verifier": "v" }),
        json!({ "id_token": token, "credential": token }),
        json!({ "id_token": token, "code": "4/x" }),
        json!({ "credential": token, "code": "4/x" }),
        json!({ "credential": token, "nonce": "n-1" }),
        json!({ "id_token": token, "state": "s" }),
        json!({ "code": "4/x", "g_csrf_token": "abc" }),
    ];
    for odd in odd {
        assert_refused(&scene.call(odd, &[]).await.assert_problem(422, "invalid"), "more or less than one form");
    }
    let malformed = [
        json!([]),
        json!({ "id_token": 5 }),
        json!({ "id_token": token, "nonce": "n-1", "role": "admin" }),
        json!({ "id_token": token, "nonce": "n-1", "email": "lee@gmail.com" }),
    ];
    for malformed in malformed {
        assert_refused(&scene.call(malformed, &[]).await.assert_problem(400, "malformed"), "not as documented");
    }
    let twice = [("credential", token.as_str()), ("credential", token.as_str())];
    assert_refused(&scene.form(&twice, &[]).await.assert_problem(400, "malformed"), "a field twice");
    let nobody = scene.app.anonymous();
    let plain = nobody.request(reqwest::Method::POST, super::CALLBACK).header("content-type", "text/plain").body("{}");
    assert_refused(&nobody.send(plain).await.assert_problem(415, "unsupported_media_type"), "plain text");
    scene.assert_nothing_was_made("a form").await;
}
