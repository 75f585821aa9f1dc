//! A provider that is in trouble, or makes some.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use testkit::oidc::{Endpoint, Identity, Misbehaviour, Provider};

use super::{BACK, CALLBACK, OTHER_BACK, Scene};
use crate::outside::Child;

fn troubles(elsewhere: &str) -> Vec<Misbehaviour> {
    vec![
        Misbehaviour::Status(500),
        Misbehaviour::Status(503),
        Misbehaviour::Status(404),
        Misbehaviour::Huge(1 << 20),
        Misbehaviour::Redirect(elsewhere.to_owned()),
        Misbehaviour::NotJson,
        Misbehaviour::Instead(json!({})),
        Misbehaviour::Instead(json!([])),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_in_trouble_is_said_to_be_and_nothing_else_happens() {
    let scene = Scene::new().await;
    let elsewhere = Provider::start(scene.stage.clock.clone());
    for endpoint in [Endpoint::Token, Endpoint::Jwks] {
        for trouble in troubles(&elsewhere.url(endpoint)) {
            let begun = scene.begin().await;
            let back = scene.provider.consent(&begun.url).await;
            scene.provider.misbehave(endpoint, trouble.clone());
            let started = Instant::now();
            let answer = scene.finish(&begun, &back).await;
            println!("{endpoint:?} {trouble:?}: {} in {:?}", answer.status, started.elapsed());
            assert!(started.elapsed() < Duration::from_secs(20));
            let answer = answer.assert_problem(502, "google_unreachable");
            assert!(!String::from_utf8_lossy(&answer.body).contains(&scene.provider.addr().to_string()));
            scene.provider.behave();
        }
    }
    scene.assert_nothing_was_made("trouble").await;
    // It heals by itself.
    scene.enter().await.assert_status(200);
    assert_eq!(elsewhere.requests(Endpoint::Token) + elsewhere.requests(Endpoint::Jwks), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_41_nobody_follows_a_provider_elsewhere() {
    let scene = Scene::new().await;
    // Would answer everything as the real one does, to whoever asks.
    let elsewhere = Provider::start(scene.stage.clock.clone());
    elsewhere.log_in(Identity::new("sub-evil", "evil@gmail.com"));
    for endpoint in [Endpoint::Jwks, Endpoint::Token] {
        scene.provider.misbehave(endpoint, Misbehaviour::Redirect(elsewhere.url(endpoint)));
        let begun = scene.begin().await;
        let back = scene.provider.consent(&begun.url).await;
        scene.finish(&begun, &back).await.assert_problem(502, "google_unreachable");
        assert!(scene.provider.requests(endpoint) > 0);
        scene.provider.behave();
    }
    let asked = [Endpoint::Jwks, Endpoint::Token, Endpoint::Discovery, Endpoint::Authorize];
    assert_eq!(asked.map(|endpoint| elsewhere.requests(endpoint)), [0; 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_41_the_address_of_a_picture_is_asked_by_nobody() {
    let scene = Scene::new().await;
    let elsewhere = Provider::start(scene.stage.clock.clone());
    let picture = elsewhere.url(Endpoint::Jwks);
    let entered = scene.show(&scene.provider.id_token(json!({ "picture": picture })), None).await.assert_status(200);
    let kim = scene.app.as_principal(crate::principal(&scene.stage, &entered));
    let patch = |picture: &str| kim.request(Method::PATCH, "/user/me").json(&json!({ "picture": picture }));
    kim.send(patch(&picture)).await.assert_problem(422, "invalid");
    for internal in ["https://169.254.169.254/latest/meta-data", "https://localhost:1/x"] {
        kim.send(patch(internal)).await.assert_status(200);
    }
    kim.send(patch(&picture.replace("http:", "https:"))).await.assert_status(200);
    assert_eq!(elsewhere.requests(Endpoint::Jwks), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_wait_for_a_provider_that_says_nothing_wait_the_same_five_seconds() {
    let scene = Scene::new().await;
    let tokens: Vec<_> = (0..4).map(|jti| scene.provider.id_token(json!({ "jti": jti.to_string() }))).collect();
    scene.provider.misbehave(Endpoint::Jwks, Misbehaviour::Slow(Duration::from_mins(1)));
    let started = Instant::now();
    let nobody = scene.app.anonymous();
    let shown = futures_util::future::join_all(tokens.iter().map(|token| {
        let request = nobody.request(Method::POST, CALLBACK).json(&json!({ "id_token": token }));
        nobody.send(request.timeout(Duration::from_secs(30)))
    }))
    .await;
    let took = started.elapsed();
    for answer in shown {
        answer.assert_problem(502, "google_unreachable");
    }
    println!("4 logins with a silent provider: 502 for all of them after {took:?}");
    // One after the other they would wait for twenty seconds.
    assert!(took < Duration::from_secs(15), "{took:?}");
    scene.provider.behave();
    scene.show(&tokens[0], None).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_time_to_wait_for_keys_keeps_nobody_out() {
    let scene = Scene::new().await;
    let token = scene.provider.id_token(json!({}));
    scene.provider.misbehave(Endpoint::Jwks, Misbehaviour::Slow(Duration::from_secs(1)));
    let hurried = scene.call(json!({ "id_token": token }), &[("x-deadline-ms", "200")]).await;
    assert_eq!(hurried.status, 504, "{}", hurried.json);
    scene.provider.behave();
    scene.show(&token, None).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_keys_count_while_the_provider_is_away() {
    let scene = Scene::new().await;
    scene.provider.set_jwks_max_age(Duration::from_mins(1));
    scene.show(&scene.provider.id_token(json!({})), None).await.assert_status(200);
    for trouble in [Misbehaviour::Status(500), Misbehaviour::NotJson, Misbehaviour::Instead(json!({ "keys": 5 }))] {
        scene.provider.misbehave(Endpoint::Jwks, trouble);
        scene.stage.clock.advance(Duration::from_mins(10));
        for jti in ["a", "b", "c"] {
            scene.show(&scene.provider.id_token(json!({ "jti": jti })), None).await.assert_status(200);
        }
    }
    assert_eq!(scene.provider.requests(Endpoint::Jwks), 4, "once at the start, and once for each half minute");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_answers_no_keys_at_all_takes_none_away() {
    let scene = Scene::new().await;
    scene.provider.set_jwks_max_age(Duration::from_mins(1));
    scene.show(&scene.provider.id_token(json!({})), None).await.assert_status(200);
    scene.provider.misbehave(Endpoint::Jwks, Misbehaviour::Instead(json!({ "keys": [] })));
    scene.stage.clock.advance(Duration::from_mins(10));
    scene.show(&scene.provider.id_token(json!({})), None).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_change_without_anybody_noticing() {
    let scene = Scene::new().await;
    scene.show(&scene.provider.id_token(json!({})), None).await.assert_status(200);
    scene.stage.clock.advance(Duration::from_secs(31));
    let old = scene.provider.id_token(json!({ "jti": "old" }));
    scene.provider.rotate_key();
    // Long before the old ones' time is up: an unknown key is asked for.
    scene.show(&scene.provider.id_token(json!({})), None).await.assert_status(200);
    scene.show(&old, None).await.assert_status(200);

    scene.stage.clock.advance(Duration::from_secs(31));
    let old = scene.provider.draft().claim("jti", "older").sign();
    scene.provider.rotate_key();
    scene.provider.withdraw_old_keys();
    scene.show(&scene.provider.id_token(json!({})), None).await.assert_status(200);
    scene.show(&old, None).await.assert_problem(401, "invalid_google_token");
    assert_eq!(scene.provider.requests(Endpoint::Jwks), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_41_a_proxy_in_the_environment_is_not_asked() {
    let scene = Scene::new().await;
    let provider = Provider::start(chassis::clock::Clock::system());
    provider.log_in(Identity::new("sub-1", "kim@gmail.com"));
    let urls = [Endpoint::Authorize, Endpoint::Token, Endpoint::Jwks].map(|endpoint| provider.url(endpoint));
    let back = format!("{BACK},{OTHER_BACK}");
    // A port of loopback where nothing listens.
    let dead = "http://127.0.0.1:1";
    let settings = [
        ("HTTP_PROXY", dead),
        ("http_proxy", dead),
        ("HTTPS_PROXY", dead),
        ("ALL_PROXY", dead),
        ("GOOGLE_CLIENT_ID", provider.client_id()),
        ("GOOGLE_CLIENT_SECRET", provider.client_secret()),
        ("REDIRECT_URI", &back),
        ("GOOGLE_ISSUER", provider.issuer()),
        ("GOOGLE_AUTHORIZATION_URL", &urls[0]),
        ("GOOGLE_TOKEN_URL", &urls[1]),
        ("GOOGLE_JWKS_URL", &urls[2]),
    ];
    let child = Child::start(&scene.stage, &settings).await;
    let token = json!({ "id_token": provider.id_token(json!({})) });
    let (status, answer) = child.post(&scene.stage, None, CALLBACK, &token, &[]).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(provider.requests(Endpoint::Jwks), 1);
}
