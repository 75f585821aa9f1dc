//! Login with Google, against a provider that does as the test says.
//!
//! Numbers in names are those of the threat list in docs/security.md.

mod attacks;
mod codes;
mod flows;
mod leaving;
mod linking;
mod npm;
mod taking_over;
mod trouble;

use auth::config::AuthConfig;
use domain::principal::Service;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use testkit::{
    Answer, Stage, TestApp,
    oidc::{Callback, Endpoint, Identity, Provider},
    smtp::MailServer,
};

use url::Url;

use crate::{config, outside::count};

const LOGIN: &str = "/auth/google/login";
const CALLBACK: &str = "/auth/google/callback";
/// Where a login comes back to.
const BACK: &str = "https://maru.example.com/auth/google/callback";
/// Another place that is configured.
const OTHER_BACK: &str = "http://localhost:3000/login";

/// A service, a provider and a mail server.
struct Scene {
    stage: Stage,
    app: TestApp,
    provider: Provider,
    mail: MailServer,
}

/// A login that was begun.
#[derive(Clone)]
struct Begun {
    url: String,
    state: String,
    verifier: String,
    /// The browser's cookie, as it is sent back.
    cookie: String,
}

impl Begun {
    /// Returns the nonce that the provider is told.
    fn nonce(&self) -> String {
        let url = Url::parse(&self.url).unwrap();
        url.query_pairs().find(|(key, _)| key == "nonce").unwrap().1.into_owned()
    }
}

/// Points a configuration at a provider.
fn point_at(provider: &Provider, config: &mut AuthConfig) {
    let google = &mut config.google;
    google.google_client_id = Some(format!("{},ios.apps.example.com", provider.client_id()));
    google.google_client_secret = Some(SecretString::from(provider.client_secret()));
    google.redirect_uri = Some(format!("{BACK}, {OTHER_BACK}"));
    google.google_issuer = provider.issuer().parse().unwrap();
    google.google_authorization_url = provider.url(Endpoint::Authorize).parse().unwrap();
    google.google_token_url = provider.url(Endpoint::Token).parse().unwrap();
    google.google_jwks_url = provider.url(Endpoint::Jwks).parse().unwrap();
}

impl Scene {
    async fn new() -> Self {
        let stage = Stage::new(Service::Auth, auth::app::MIGRATIONS).await;
        let provider = Provider::start(stage.clock.clone());
        let mail = MailServer::start();
        let mut config = config(&stage);
        config.mail.mail_url = Some(SecretString::from(mail.url()));
        point_at(&provider, &mut config);
        let app = stage.serve(auth::build(config, stage.clock.clone()).unwrap());
        provider.log_in(Identity::new("sub-1", "kim@gmail.com"));
        Self { stage, app, provider, mail }
    }

    /// Begins a login, in a browser that may know us from before.
    async fn begin_in(&self, query: &str, cookie: Option<&str>) -> Begun {
        let nobody = self.app.anonymous();
        let mut request = nobody.request(Method::GET, &format!("{LOGIN}{query}"));
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        let answer = nobody.send(request).await.assert_status(200);
        let cookie = answer.header("set-cookie");
        assert!(cookie.starts_with("maru_oauth=") && cookie.contains("HttpOnly"), "{cookie}");
        Begun {
            url: answer.text("/authorization_url").to_owned(),
            state: answer.text("/state").to_owned(),
            verifier: answer.text("/code_verifier").to_owned(),
            cookie: cookie.split(';').next().unwrap_or_default().to_owned(),
        }
    }

    async fn begin(&self) -> Begun {
        self.begin_in("", None).await
    }

    /// Sends a callback as the page does that began the login.
    async fn finish(&self, begun: &Begun, back: &Callback) -> Answer {
        assert_eq!((back.state.as_str(), back.error.as_str()), (begun.state.as_str(), ""));
        let body = json!({ "code": back.code, "state": back.state, "code_verifier": begun.verifier });
        self.call(body, &[("cookie", &begun.cookie)]).await
    }

    /// Logs in from the beginning to the end.
    async fn enter(&self) -> Answer {
        let begun = self.begin().await;
        let back = self.provider.consent(&begun.url).await;
        self.finish(&begun, &back).await
    }

    async fn call(&self, body: Value, headers: &[(&str, &str)]) -> Answer {
        self.app.anonymous().post_with(CALLBACK, body, headers).await
    }

    async fn form(&self, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let nobody = self.app.anonymous();
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut request = nobody.request(Method::POST, CALLBACK).body(body);
        request = request.header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        nobody.send(request).await
    }

    /// Shows a token as a phone does.
    async fn show(&self, token: &str, nonce: Option<&str>) -> Answer {
        let body = match nonce {
            Some(nonce) => json!({ "id_token": token, "nonce": nonce }),
            None => json!({ "id_token": token }),
        };
        self.call(body, &[]).await
    }

    /// Fails the test when an attack has left something behind.
    async fn assert_nothing_was_made(&self, attack: &str) {
        for table in ["users", "logins", "identities"] {
            assert_eq!(count(&self.stage, table).await, 0, "{attack} made a row in {table}");
        }
    }
}

/// Fails the test unless an attack was refused for what it is: 4xx, no tokens, no cookies.
#[track_caller]
fn assert_refused(answer: &Answer, attack: &str) {
    assert!((400..500).contains(&answer.status), "{attack}: {} {}", answer.status, answer.json);
    assert_eq!(answer.header("content-type"), "application/problem+json", "{attack}");
    assert!(!answer.headers.contains_key("set-cookie"), "{attack}");
    assert!(answer.json.get("access_token").is_none(), "{attack}");
}
