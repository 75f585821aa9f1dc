//! The ways in which a login with Google is meant to go.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest, Sha256};
use testkit::{Answer, oidc::Endpoint};
use url::Url;

use super::{BACK, CALLBACK, LOGIN, OTHER_BACK, Scene};
use crate::{outside::count, principal, start};

fn cookies(answer: &Answer) -> Vec<String> {
    answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_gets_an_account_and_is_known_the_next_time() {
    let scene = Scene::new().await;
    let first = scene.enter().await.assert_status(200);
    assert_eq!((first.text("/token_type"), first.text("/message")), ("bearer", "로그인되었습니다."));
    assert!(!first.text("/refresh_token").is_empty());
    let set = cookies(&first);
    for name in ["maru_at=", "maru_rt="] {
        assert!(set.iter().any(|c| c.starts_with(name) && c.contains("HttpOnly") && c.contains("Path=/")), "{set:?}");
    }
    let kim = scene.app.as_principal(principal(&scene.stage, &first));
    let me = kim.get("/user/me").await.assert_status(200);
    assert_eq!((me.text("/email"), me.text("/name"), me.text("/provider")), ("kim@gmail.com", "김구글", "google"));
    assert_eq!(me.text("/picture"), "https://pictures.example.com/1.png");
    assert_eq!((me.json["email_verified"] == true, me.text("/role")), (true, "user"));

    let second = scene.enter().await.assert_status(200);
    assert_eq!(second.text("/user/id"), first.text("/user/id"));
    assert_ne!(principal(&scene.stage, &second).login_id, kim.login_id);
    assert_eq!((count(&scene.stage, "users").await, count(&scene.stage, "logins").await), (1, 2));
    let list = kim.get("/auth/sessions").await.assert_status(200);
    assert_eq!(list.json[0]["method"], "google");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_begins_with_a_state_a_nonce_and_a_challenge() {
    let scene = Scene::new().await;
    let begun = scene.begin().await;
    let url = Url::parse(&begun.url).unwrap();
    assert!(begun.url.starts_with(&scene.provider.url(Endpoint::Authorize)), "{url}");
    let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    let said = |key: &str| query.get(key).map(String::as_str).unwrap_or_default();
    assert_eq!((said("response_type"), said("client_id")), ("code", scene.provider.client_id()));
    assert_eq!((said("redirect_uri"), said("scope")), (BACK, "openid email profile"));
    assert_eq!((said("state"), said("code_challenge_method")), (begun.state.as_str(), "S256"));
    assert_eq!(said("code_challenge"), URL_SAFE_NO_PAD.encode(Sha256::digest(&begun.verifier)));
    // 32 random bytes each; the nonce is neither of the others, because the page sees those.
    assert!(begun.state.len() == 43 && begun.verifier.len() == 43 && said("nonce").len() == 43);
    assert!(said("nonce") != begun.state && said("nonce") != begun.verifier);
    let again = scene.begin_in("", Some(&begun.cookie)).await;
    assert!(again.state != begun.state && again.verifier != begun.verifier && again.cookie == begun.cookie);

    let elsewhere = scene.begin_in("?redirect_uri=http%3A%2F%2Flocalhost%3A3000%2Flogin", None).await;
    let url = Url::parse(&elsewhere.url).unwrap();
    assert!(url.query_pairs().any(|(key, value)| key == "redirect_uri" && value == OTHER_BACK), "{url}");
    let back = scene.provider.consent(&elsewhere.url).await;
    scene.finish(&elsewhere, &back).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_tabs_of_one_browser_may_both_be_in_the_middle() {
    let scene = Scene::new().await;
    let first = scene.begin().await;
    let second = scene.begin_in("", Some(&first.cookie)).await;
    let backs = (scene.provider.consent(&first.url).await, scene.provider.consent(&second.url).await);
    scene.finish(&second, &backs.1).await.assert_status(200);
    scene.finish(&first, &backs.0).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_began_by_itself_sends_its_code_alone() {
    let scene = Scene::new().await;
    let mut own = Url::parse(&scene.provider.url(Endpoint::Authorize)).unwrap();
    own.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", scene.provider.client_id())
        .append_pair("redirect_uri", BACK)
        .append_pair("scope", "openid email profile");
    let back = scene.provider.consent(own.as_str()).await;
    scene.call(json!({ "code": back.code }), &[]).await.assert_status(200);
    // One that knows where it was sent to may say so.
    let back = scene.provider.consent(own.as_str()).await;
    scene.call(json!({ "code": back.code, "redirect_uri": BACK }), &[]).await.assert_status(200);
    assert_eq!(count(&scene.stage, "users").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_shows_its_id_token() {
    let scene = Scene::new().await;
    let token = scene.provider.id_token(json!({ "nonce": "a phone's own" }));
    scene.show(&token, Some("a phone's own")).await.assert_status(200);
    // A library that knows no nonce, on a client that is not the web's.
    let token = scene.provider.id_token(json!({ "aud": "ios.apps.example.com", "email_verified": "true" }));
    scene.show(&token, None).await.assert_status(200);
    assert_eq!(count(&scene.stage, "users").await, 1);
    assert_eq!(scene.provider.requests(Endpoint::Jwks), 1, "keys are kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn googles_button_sends_its_credential_as_json_or_as_a_form() {
    let scene = Scene::new().await;
    let credential = scene.provider.id_token(json!({}));
    scene.call(json!({ "credential": credential }), &[]).await.assert_status(200);
    let also = [("cookie", "a=b; g_csrf_token=abc")];
    let credential = scene.provider.id_token(json!({ "jti": "2", "select_by": "btn" }));
    let body = json!({ "credential": credential, "g_csrf_token": "abc", "select_by": "btn", "clientId": "x" });
    scene.call(body, &also).await.assert_status(200);

    let credential = scene.provider.id_token(json!({ "jti": "3" }));
    let fields = [("credential", credential.as_str()), ("g_csrf_token", "abc"), ("select_by", "btn")];
    // The form comes from Google's own page, which is on nobody's list.
    let headers = [also[0], ("origin", scene.provider.issuer()), ("x-maru-origin", "strange")];
    scene.form(&fields, &headers).await.assert_status(200);

    let credential = scene.provider.id_token(json!({ "jti": "4" }));
    let alias = scene.app.anonymous().post("/api/auth/google", json!({ "credential": credential })).await;
    alias.assert_status(200);
    assert_eq!((count(&scene.stage, "users").await, count(&scene.stage, "logins").await), (1, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_google_says_of_a_person_is_taken_with_care() {
    let scene = Scene::new().await;
    let long = "가".repeat(300);
    let odd = [
        (json!({ "sub": "a", "email": "a@gmail.com", "name": long }), "가".repeat(100)),
        (json!({ "sub": "b", "email": "b.c@gmail.com", "name": null }), "b.c".to_owned()),
        (json!({ "sub": "c", "email": "c@gmail.com", "name": "evil\u{202e}name" }), "c".to_owned()),
    ];
    for (mut claims, name) in odd {
        claims["picture"] = json!("javascript:alert(1)");
        let entered = scene.show(&scene.provider.id_token(claims), None).await.assert_status(200);
        assert_eq!(entered.text("/user/name"), name);
        let me = scene.app.as_principal(principal(&scene.stage, &entered)).get("/user/me").await;
        assert_eq!(me.json.get("picture"), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_client_id_there_is_no_login_with_google() {
    let (stage, app) = start().await;
    let nobody = app.anonymous();
    nobody.get(LOGIN).await.assert_problem(503, "google_login_not_configured");
    for path in [CALLBACK, "/api/auth/google"] {
        nobody.post(path, json!({ "code": "4/x" })).await.assert_problem(503, "google_login_not_configured");
    }
    assert_eq!(count(&stage, "oauth_states").await, 0);
}
