use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use reqwest::Client;

use super::*;
use crate::eventually;

const BACK: &str = "http://127.0.0.1:8080/auth/google/callback";
const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more-0123456789";
/// The S256 challenge of [`VERIFIER`], computed apart from this code.
const CHALLENGE: &str = "yB8zMxP5pvEGWsAeXYh4KmdVglmNgpK_rnqQ8MHGeQI";

fn http() -> Client {
    crate::http_client()
}

fn provider() -> Provider {
    let provider = Provider::start(Clock::system());
    provider.log_in(Identity::new("sub-1", "kim@gmail.com"));
    provider
}

async fn json_of(url: &str) -> Value {
    http().get(url).send().await.unwrap().json().await.unwrap()
}

/// The address that a service sends a browser to.
fn authorization_url(provider: &Provider, changes: &[(&str, &str)]) -> String {
    let mut fields = BTreeMap::from([
        ("response_type", "code"),
        ("client_id", provider.client_id()),
        ("redirect_uri", BACK),
        ("scope", "openid email profile"),
        ("state", "state-1"),
        ("nonce", "nonce-1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    fields.extend(changes.iter().copied());
    Url::parse_with_params(&provider.url(Endpoint::Authorize), fields).unwrap().into()
}

/// What a service sends to exchange a code.
async fn exchange(provider: &Provider, code: &str, changes: &[(&str, &str)]) -> (u16, Value) {
    let mut fields = BTreeMap::from([
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", BACK),
        ("client_id", provider.client_id()),
        ("client_secret", provider.client_secret()),
        ("code_verifier", VERIFIER),
    ]);
    fields.extend(changes.iter().copied());
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    post(provider, body, None).await
}

async fn post(provider: &Provider, body: String, basic: Option<(&str, &str)>) -> (u16, Value) {
    let mut request = http().post(provider.url(Endpoint::Token)).body(body);
    request = request.header("content-type", "application/x-www-form-urlencoded");
    if let Some((id, secret)) = basic {
        request = request.basic_auth(id, Some(secret));
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn code(provider: &Provider) -> String {
    provider.consent(&authorization_url(provider, &[])).await.code
}

/// Verifies a token as a careful service does.
async fn verify(provider: &Provider, token: &str) -> Result<Value, jsonwebtoken::errors::Error> {
    let published = json_of(&provider.url(Endpoint::Jwks)).await;
    let keys: JwkSet = serde_json::from_value(published).unwrap();
    let kid = decode_header(token)?.kid.unwrap_or_default();
    let Some(key) = keys.find(&kid) else { return Err(jsonwebtoken::errors::ErrorKind::InvalidToken.into()) };
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[provider.issuer()]);
    validation.set_audience(&[provider.client_id()]);
    validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
    Ok(decode::<Value>(token, &DecodingKey::from_jwk(key)?, &validation)?.claims)
}

#[actix_web::test]
async fn a_person_consents_and_the_code_becomes_a_token_that_verifies() {
    let provider = provider();
    let discovery = json_of(&provider.url(Endpoint::Discovery)).await;
    assert_eq!(discovery["issuer"], provider.issuer());
    assert_eq!(discovery["token_endpoint"], provider.url(Endpoint::Token));
    assert_eq!(discovery["jwks_uri"], provider.url(Endpoint::Jwks));

    let callback = provider.consent(&authorization_url(&provider, &[])).await;
    assert!(callback.location.as_str().starts_with(&format!("{BACK}?code=")), "{}", callback.location);
    assert_eq!((callback.state.as_str(), callback.error.as_str()), ("state-1", ""));
    let (status, tokens) = exchange(&provider, &callback.code, &[]).await;
    assert_eq!(status, 200, "{tokens}");
    let claims = verify(&provider, tokens["id_token"].as_str().unwrap()).await.unwrap();
    assert_eq!((&claims["sub"], &claims["email"]), (&json!("sub-1"), &json!("kim@gmail.com")));
    assert_eq!((&claims["nonce"], &claims["email_verified"]), (&json!("nonce-1"), &json!(true)));
    assert!(claims.get("hd").is_none(), "{claims}");
    for endpoint in [Endpoint::Discovery, Endpoint::Authorize, Endpoint::Token, Endpoint::Jwks] {
        assert_eq!(provider.requests(endpoint), 1, "{endpoint:?}");
    }
}

#[actix_web::test]
async fn a_code_serves_once_and_only_who_began() {
    let provider = provider();
    let invalid_grant = (400, json!({ "error": "invalid_grant" }));
    let first = code(&provider).await;
    assert_eq!(exchange(&provider, &first, &[]).await.0, 200);
    assert_eq!(exchange(&provider, &first, &[]).await, invalid_grant, "used");
    for (name, value) in [("code_verifier", "wrong"), ("redirect_uri", "http://127.0.0.1:8080/auth/google/callback/")] {
        let code = code(&provider).await;
        assert_eq!(exchange(&provider, &code, &[(name, value)]).await, invalid_grant, "{name}");
        assert_eq!(exchange(&provider, &code, &[]).await, invalid_grant, "gone after {name}");
    }
    let (status, refusal) = exchange(&provider, &code(&provider).await, &[("client_secret", "wrong")]).await;
    assert_eq!((status, &refusal["error"]), (401, &json!("invalid_client")));
}

#[actix_web::test]
async fn a_code_grows_old_by_the_tests_clock() {
    let clock = Clock::manual(Clock::system().now());
    let provider = Provider::start(clock.clone());
    provider.log_in(Identity::new("sub-1", "kim@gmail.com"));
    let code = code(&provider).await;
    clock.advance(Duration::from_mins(11));
    assert_eq!(exchange(&provider, &code, &[]).await.1, json!({ "error": "invalid_grant" }));
}

#[actix_web::test]
async fn the_client_may_name_itself_in_the_header() {
    let provider = provider();
    let body = |code: &str| {
        let fields =
            [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", BACK), ("code_verifier", VERIFIER)];
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
    };
    let secret: String = url::form_urlencoded::byte_serialize(provider.client_secret().as_bytes()).collect();
    let basic = Some((provider.client_id(), secret.as_str()));
    assert_eq!(post(&provider, body(&code(&provider).await), basic).await.0, 200);
    let wrong = Some((provider.client_id(), "wrong"));
    assert_eq!(post(&provider, body(&code(&provider).await), wrong).await.0, 401);
}

#[actix_web::test]
async fn a_refusal_comes_back_with_the_state() {
    let provider = provider();
    provider.refuse_consent();
    let callback = provider.consent(&authorization_url(&provider, &[])).await;
    assert_eq!((callback.code.as_str(), callback.state.as_str()), ("", "state-1"));
    assert_eq!(callback.error, "access_denied");
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("scope", "email", "invalid_scope"),
        ("code_challenge_method", "plain", "invalid_request"),
    ] {
        assert_eq!(provider.consent(&authorization_url(&provider, &[(name, value)])).await.error, error);
    }
}

#[actix_web::test]
async fn a_token_can_be_wrong_in_every_way() {
    let provider = provider();
    let now = Clock::system().now().timestamp();
    assert_eq!(verify(&provider, &provider.id_token(json!({ "nonce": "n" }))).await.unwrap()["nonce"], "n");
    for claims in [
        json!({ "aud": "someone-else" }),
        json!({ "iss": "https://accounts.example.com" }),
        json!({ "exp": now - 3600 }),
        json!({ "sub": null }),
    ] {
        assert!(verify(&provider, &provider.id_token(claims.clone())).await.is_err(), "{claims}");
    }
    for signing in [Signing::ForeignKey, Signing::UnknownKid, Signing::ClientSecret, Signing::PublicKey, Signing::None]
    {
        let token = provider.draft().signed(signing).sign();
        assert!(verify(&provider, &token).await.is_err(), "{signing:?}");
    }
    let pointing = provider.draft().header("jku", "http://127.0.0.1:1/jwks").sign();
    assert_eq!(decode_header(&pointing).unwrap().jku.as_deref(), Some("http://127.0.0.1:1/jwks"));
}

#[actix_web::test]
async fn forged_signatures_are_what_they_claim_to_be() {
    let provider = provider();
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[provider.client_id()]);
    let token = provider.draft().signed(Signing::ClientSecret).sign();
    let key = DecodingKey::from_secret(provider.client_secret().as_bytes());
    assert!(decode::<Value>(&token, &key, &validation).is_ok());

    let pem = provider.state.keys.current().public_pem();
    assert!(DecodingKey::from_rsa_pem(pem.as_bytes()).is_ok(), "{pem}");
    let token = provider.draft().signed(Signing::PublicKey).sign();
    assert!(decode::<Value>(&token, &DecodingKey::from_secret(pem.as_bytes()), &validation).is_ok());
    assert!(provider.draft().signed(Signing::None).sign().ends_with('.'));
}

#[actix_web::test]
async fn keys_rotate_and_old_ones_can_be_withdrawn() {
    let provider = provider();
    let old = provider.id_token(json!({}));
    let kid = provider.rotate_key();
    let new = provider.id_token(json!({}));
    assert_eq!(decode_header(&new).unwrap().kid, Some(kid));
    assert!(verify(&provider, &old).await.is_ok() && verify(&provider, &new).await.is_ok());
    provider.withdraw_old_keys();
    assert!(verify(&provider, &old).await.is_err() && verify(&provider, &new).await.is_ok());

    provider.set_jwks_max_age(Duration::from_secs(7));
    let response = http().get(provider.url(Endpoint::Jwks)).send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "public, max-age=7, must-revalidate");
}

#[actix_web::test]
async fn tokens_of_the_code_flow_can_be_bent() {
    let provider = provider();
    provider.bend_tokens(|draft| draft.claim("aud", "someone-else"));
    let (_, tokens) = exchange(&provider, &code(&provider).await, &[]).await;
    assert!(verify(&provider, tokens["id_token"].as_str().unwrap()).await.is_err());
    provider.behave();
    let (_, tokens) = exchange(&provider, &code(&provider).await, &[]).await;
    assert!(verify(&provider, tokens["id_token"].as_str().unwrap()).await.is_ok());
}

#[actix_web::test]
async fn endpoints_misbehave_on_command_and_are_counted() {
    let provider = provider();
    let url = provider.url(Endpoint::Jwks);
    let get = async || http().get(&url).send().await.unwrap();

    provider.misbehave(Endpoint::Jwks, Misbehaviour::Status(500));
    assert_eq!(get().await.status(), 500);
    provider.misbehave(Endpoint::Jwks, Misbehaviour::Redirect("http://127.0.0.1:1/".to_owned()));
    let redirect = get().await;
    assert_eq!(
        (redirect.status().as_u16(), &redirect.headers()["location"]),
        (307, &"http://127.0.0.1:1/".parse().unwrap())
    );
    provider.misbehave(Endpoint::Jwks, Misbehaviour::NotJson);
    assert!(get().await.json::<Value>().await.is_err());
    provider.misbehave(Endpoint::Jwks, Misbehaviour::Instead(json!({ "keys": [] })));
    assert_eq!(get().await.json::<Value>().await.unwrap(), json!({ "keys": [] }));
    provider.misbehave(Endpoint::Jwks, Misbehaviour::Huge(3 << 20));
    let huge = get().await;
    assert_eq!(huge.content_length(), None, "nothing announces it");
    let body = huge.bytes().await.unwrap();
    assert!(body.len() > 3 << 20);
    assert!(serde_json::from_slice::<JwkSet>(&body).is_ok(), "wrong in nothing but its size");
    provider.misbehave(Endpoint::Jwks, Misbehaviour::Slow(Duration::from_mins(1)));
    tokio::select! {
        answer = get() => panic!("it answered at once: {answer:?}"),
        () = eventually(Duration::from_secs(5), || async { provider.requests(Endpoint::Jwks) == 6 }) => {}
    }

    provider.behave();
    assert_eq!(get().await.status(), 200);
    assert_eq!((provider.requests(Endpoint::Jwks), provider.requests(Endpoint::Token)), (7, 0));
}
