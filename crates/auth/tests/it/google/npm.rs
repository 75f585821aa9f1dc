//! A whole login against a provider that was written by others.

use std::collections::BTreeMap;

use domain::principal::Service;
use reqwest::header::LOCATION;
use secrecy::SecretString;
use serde_json::{Value, json};
use testkit::{Stage, npm_oidc::NpmProvider};
use url::Url;

use super::{BACK, CALLBACK, LOGIN};
use crate::{config, principal};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_another_authors_provider_logs_somebody_in() {
    let claims = json!({
        "sub": "sub-npm", "aud": "maru-npm", "email": "kim@gmail.com", "email_verified": true, "name": "김엔피엠",
    });
    let provider = match NpmProvider::start(&claims).await {
        Ok(provider) => provider,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let http = testkit::http_client();
    let discovery = format!("{}/.well-known/openid-configuration", provider.issuer());
    let discovery: Value = http.get(discovery).send().await.unwrap().json().await.unwrap();
    let url = |key: &str| discovery[key].as_str().unwrap().parse::<Url>().unwrap();

    let stage = Stage::new(Service::Auth, auth::app::MIGRATIONS).await;
    let mut config = config(&stage);
    config.google.google_client_id = Some("maru-npm".to_owned());
    config.google.google_client_secret = Some(SecretString::from("whatever it says"));
    config.google.redirect_uri = Some(BACK.to_owned());
    config.google.google_issuer = url("issuer");
    config.google.google_authorization_url = url("authorization_endpoint");
    config.google.google_token_url = url("token_endpoint");
    config.google.google_jwks_url = url("jwks_uri");
    // Its tokens are dated by the machine's clock.
    let app = stage.serve(auth::build(config, stage.clock.clone()).unwrap());
    stage
        .clock
        .advance(chassis::clock::Clock::system().now().signed_duration_since(stage.clock.now()).to_std().unwrap());

    let begun = app.anonymous().get(LOGIN).await.assert_status(200);
    let cookie = begun.header("set-cookie").split(';').next().unwrap_or_default().to_owned();
    let sent = http.get(begun.text("/authorization_url")).send().await.unwrap();
    let location = sent.headers().get(LOCATION).unwrap().to_str().unwrap();
    let back: BTreeMap<_, _> = Url::parse(location).unwrap().query_pairs().into_owned().collect();
    assert_eq!(back["state"], begun.text("/state"));
    let body = |verifier: &str| json!({ "code": back["code"], "state": back["state"], "code_verifier": verifier });
    let entered = app.anonymous().post_with(CALLBACK, body(begun.text("/code_verifier")), &[("cookie", &cookie)]).await;
    let entered = entered.assert_status(200);
    let me = app.as_principal(principal(&stage, &entered)).get("/user/me").await.assert_status(200);
    assert_eq!((me.text("/email"), me.text("/name"), me.text("/provider")), ("kim@gmail.com", "김엔피엠", "google"));
    // Its codes count once too.
    let again = json!({ "code": back["code"], "code_verifier": begun.text("/code_verifier") });
    app.anonymous().post(CALLBACK, again).await.assert_problem(400, "google_code_refused");
    println!("logged in against {}", provider.issuer());
}
