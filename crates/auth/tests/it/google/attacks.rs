//! Tokens that must not be believed.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::json;
use testkit::oidc::{Draft, Endpoint, Identity, Provider, Signing};

use super::{Scene, assert_refused};
use crate::outside::count;

/// Every way to bend a token, with what it tries.
fn bent(scene: &Scene) -> Vec<(&'static str, Draft)> {
    let draft = || scene.provider.draft().claim("nonce", "n-1");
    let now = scene.stage.clock.now().timestamp();
    let mut all = vec![
        ("another client's", draft().claim("aud", "another.apps.example.com")),
        ("an audience like ours", draft().claim("aud", format!("{}.evil.example", scene.provider.client_id()))),
        ("no audience in the list", draft().claim("aud", json!([]))),
        ("an audience that is null", draft().claim("aud", json!([scene.provider.client_id(), null]))),
        (
            "many audiences, asked for by another",
            draft().claim("aud", json!([scene.provider.client_id(), "another"])).claim("azp", "another"),
        ),
        ("many audiences", draft().claim("aud", json!([scene.provider.client_id(), "another"])).without("azp")),
        ("another issuer", draft().claim("iss", "https://evil.example")),
        ("an issuer like ours", draft().claim("iss", format!("{}/", scene.provider.issuer()))),
        ("the client's secret", draft().signed(Signing::ClientSecret)),
        ("the client's secret, with a kid", draft().signed(Signing::ClientSecret).header("kid", scene.provider.kid())),
        ("the public key as a secret", draft().signed(Signing::PublicKey)),
        ("no signature", draft().signed(Signing::None)),
        ("no signature, oddly spelled", draft().signed(Signing::None).header("alg", "NoNe")),
        (
            "no signature under RS256",
            draft().signed(Signing::None).header("alg", "RS256").header("kid", scene.provider.kid()),
        ),
        ("a foreign key", draft().signed(Signing::ForeignKey)),
        ("an unknown kid", draft().signed(Signing::UnknownKid)),
        ("a kid that is a path", draft().header("kid", "../../../dev/null")),
        ("a kid that is SQL", draft().header("kid", "' OR 1=1 --")),
        ("another algorithm's name", draft().header("alg", "RS512")),
        ("another type of token", draft().header("typ", "at+jwt")),
        ("a critical extension", draft().header("crit", json!(["b64"])).header("b64", false)),
        ("expired", draft().claim("exp", now - 6)),
        ("made too long ago", draft().claim("iat", now - 601)),
        ("made in the future", draft().claim("iat", now + 6)),
        ("times that are text", draft().claim("exp", "9999999999")),
        ("an empty subject", draft().claim("sub", "")),
        ("a subject longer than Google's", draft().claim("sub", "1".repeat(256))),
        ("an address Google has not verified", draft().claim("email_verified", false)),
        ("an address nobody has said is verified", draft().without("email_verified")),
        ("a verification that is a word", draft().claim("email_verified", "yes")),
        ("no address", draft().without("email")),
        ("an address that is none", draft().claim("email", "kim@gmail.com\r\nBcc: x@evil.example")),
    ];
    all.extend(["iss", "aud", "exp", "iat", "sub"].map(|claim| ("a claim left out", draft().without(claim))));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_27_a_token_that_was_not_made_for_us_just_now_opens_nothing() {
    let scene = Scene::new().await;
    let drafts = bent(&scene);
    let kinds = drafts.len();
    for (attack, draft) in drafts {
        let token = draft.sign();
        assert_refused(&scene.show(&token, Some("n-1")).await, attack);
        assert_refused(&scene.call(json!({ "credential": token }), &[]).await, attack);
    }
    scene.assert_nothing_was_made("a bent token").await;
    // All of them were bent in that one thing only.
    scene.show(&scene.provider.id_token(json!({ "nonce": "n-2" })), Some("n-2")).await.assert_status(200);
    println!("{kinds} kinds of bent tokens, each as id_token and as credential: refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_27_a_bent_token_behind_a_good_code_opens_nothing_either() {
    let scene = Scene::new().await;
    for (attack, draft) in bent(&scene) {
        let begun = scene.begin().await;
        let back = scene.provider.consent(&begun.url).await;
        // With the nonce that the login was begun with, so that nothing else is wrong.
        let nonce = begun.nonce();
        scene.provider.bend_tokens(move |_| draft.clone().claim("nonce", nonce.as_str()));
        assert_refused(&scene.finish(&begun, &back).await, attack);
    }
    scene.assert_nothing_was_made("a bent token behind a code").await;
    scene.provider.behave();
    scene.enter().await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_27_a_token_that_was_cut_or_swollen_is_refused_at_once() {
    let scene = Scene::new().await;
    let token = scene.provider.id_token(json!({}));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let odd = [
        String::new(),
        "...".to_owned(),
        signed.to_owned(),
        format!("{signed}."),
        format!("{token}."),
        format!("{signed}.{}", &signature[1..]),
        format!("{header}.{}.{signature}", &payload[..payload.len() - 4]),
        "a".repeat(50_000),
        deep,
        "\u{0}".to_owned(),
    ];
    for odd in odd {
        assert_refused(&scene.show(&odd, None).await, &format!("{odd:.40}"));
    }
    for index in (0..token.len()).step_by(7) {
        let mut flipped = token.clone().into_bytes();
        flipped[index] = if flipped[index] == b'A' { b'B' } else { b'A' };
        let flipped = String::from_utf8(flipped).unwrap();
        if flipped != token {
            assert_refused(&scene.show(&flipped, None).await, &format!("character {index} changed"));
        }
    }
    scene.assert_nothing_was_made("an odd token").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_27_our_own_tokens_are_not_googles() {
    let scene = Scene::new().await;
    let entered = scene.enter().await.assert_status(200);
    for ours in [entered.text("/access_token"), entered.text("/refresh_token")] {
        assert_refused(&scene.show(ours, None).await, "a token of ours");
    }
    let internal = scene.stage.signer().mint(domain::principal::Service::Auth, None, scene.stage.clock.now()).unwrap();
    assert_refused(&scene.show(&internal, None).await, "an internal token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_27_a_thousand_unknown_keys_are_one_question_in_half_a_minute() {
    let scene = Scene::new().await;
    scene.show(&scene.provider.id_token(json!({})), None).await.assert_status(200);
    assert_eq!(scene.provider.requests(Endpoint::Jwks), 1);
    let flood = async |from: usize| {
        let token = |index| {
            let kid = format!("kid-{index}");
            scene.provider.draft().header("kid", kid).signed(Signing::ForeignKey).sign()
        };
        let shown = stream::iter(from..from + 1_000).map(|index| {
            let token = token(index);
            let scene = &scene;
            async move { scene.show(&token, None).await.status }
        });
        assert!(shown.buffer_unordered(16).all(async |status| status == 401).await);
    };
    scene.stage.clock.advance(Duration::from_secs(29));
    flood(0).await;
    assert_eq!(scene.provider.requests(Endpoint::Jwks), 1);
    scene.stage.clock.advance(Duration::from_secs(1));
    flood(1_000).await;
    assert_eq!(scene.provider.requests(Endpoint::Jwks), 2);
    // Nobody else is kept out by it.
    scene.show(&scene.provider.id_token(json!({})), None).await.assert_status(200);
    println!("2,000 tokens with 2,000 unknown kids: 1 question for keys in 30 s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_27_a_token_cannot_bring_its_own_key() {
    let scene = Scene::new().await;
    let evil = Provider::start(scene.stage.clock.clone());
    evil.log_in(Identity::new("sub-1", "kim@gmail.com"));
    let (jku, jwk) = (evil.url(Endpoint::Jwks), json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }));
    for header in ["jku", "x5u"] {
        // Signed by the evil one, in our provider's name.
        let draft = evil.draft().claim("iss", scene.provider.issuer()).header(header, jku.as_str());
        assert_refused(&scene.show(&draft.sign(), None).await, header);
    }
    for header in ["jwk", "x5c"] {
        let draft = evil.draft().claim("iss", scene.provider.issuer()).header(header, jwk.clone());
        assert_refused(&scene.show(&draft.sign(), None).await, header);
    }
    assert_eq!(evil.requests(Endpoint::Jwks), 0, "nobody asks an address that a token brings along");
    scene.assert_nothing_was_made("a token with a key").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_27_a_nonce_is_the_one_that_was_asked_with_and_counts_once() {
    let scene = Scene::new().await;
    let token = scene.provider.id_token(json!({ "nonce": "n-1" }));
    assert_refused(&scene.show(&token, Some("n-2")).await, "another nonce");
    assert_refused(&scene.show(&token, None).await, "a nonce kept back");
    let without = scene.provider.id_token(json!({}));
    assert_refused(&scene.show(&without, Some("n-1")).await, "a token without the nonce");
    scene.assert_nothing_was_made("a nonce").await;

    scene.show(&token, Some("n-1")).await.assert_status(200);
    assert_refused(&scene.show(&token, Some("n-1")).await, "the same token again");
    assert_refused(&scene.call(json!({ "credential": token }), &[]).await, "the same token in another form");
    scene.stage.clock.advance(Duration::from_secs(1));
    let second = scene.provider.id_token(json!({ "nonce": "n-1" }));
    assert_refused(&scene.show(&second, Some("n-1")).await, "another token with the same nonce");
    assert_eq!(count(&scene.stage, "logins").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_27_of_many_who_show_the_same_token_at_once_one_enters() {
    let scene = Scene::new().await;
    let token = scene.provider.id_token(json!({ "nonce": "n-1" }));
    let shown = (0..12).map(|_| scene.show(&token, Some("n-1")));
    let statuses: Vec<_> = futures_util::future::join_all(shown).await.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 11, "{statuses:?}");
    assert_eq!((count(&scene.stage, "users").await, count(&scene.stage, "logins").await), (1, 1));
}
