//! `maru-auth` over real HTTP, with a database of its own in every test.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod accounts;
mod audit;
mod behind;
mod child;
mod commands;
mod crash;
mod erasure;
mod export;
mod faults;
mod fields;
mod flood;
mod google;
mod grant;
mod limits;
mod logins;
mod logs;
mod mail;
mod mail_server;
mod outside;
mod passwords;
mod prune;
mod races;
mod refresh;
mod refresh_theft;
mod reset;
mod rooms;
mod schema;
mod sessions;
mod tickets;
mod timing;
mod token_verification;

use auth::{
    config::{AuthConfig, ServicesConfig},
    google::config::GoogleConfig,
    mail::config::MailConfig,
};
use chassis::{access::AccessConfig, limit::Profile, peers::Urls};
use domain::principal::{Principal, Role, Service};
use secrecy::SecretString;
use serde_json::{Value, json};
use testkit::{Answer, Stage, TestApp, TestClient, smtp::MailServer};

/// Secret of access tokens in tests.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// A password that may be used.
pub const PASSWORD: &str = "마루 위에서 잔다 7";

/// The configuration of a test's `maru-auth`: no mail, no Google, nobody else there.
pub fn config(stage: &Stage) -> AuthConfig {
    let nowhere = || Urls(vec!["http://127.0.0.1:1".parse().unwrap()]);
    let nowhere_url = || "http://127.0.0.1:1/".parse().unwrap();
    AuthConfig {
        base: stage.base_config(),
        port: 0,
        access: AccessConfig { jwt_secret: SecretString::from(SECRET), jwt_secret_previous: None },
        signing: stage.signing_config(),
        jwt_expires_in: std::time::Duration::from_hours(24),
        // More than a test asks for at once: on a busy machine a turn of their own would come too late for some.
        password_hashes_at_once: 16,
        rate_limits: Profile::Generous,
        public_url: "https://maru.example.com".parse().unwrap(),
        mail: MailConfig { mail_url: None, mail_from: "Maru <maru@example.com>".to_owned() },
        google: GoogleConfig {
            google_client_id: None,
            google_client_secret: None,
            redirect_uri: None,
            google_issuer: nowhere_url(),
            google_authorization_url: nowhere_url(),
            google_token_url: nowhere_url(),
            google_jwks_url: nowhere_url(),
        },
        services: ServicesConfig {
            session_urls: nowhere(),
            ticketing_urls: nowhere(),
            emotion_urls: nowhere(),
            memo_urls: nowhere(),
        },
    }
}

/// Serves `maru-auth` with a changed configuration.
pub async fn start_with(change: impl FnOnce(&mut AuthConfig)) -> (Stage, TestApp) {
    let stage = Stage::new(Service::Auth, auth::app::MIGRATIONS).await;
    let mut config = config(&stage);
    change(&mut config);
    let app = stage.serve(auth::build(config, stage.clock.clone()).unwrap());
    (stage, app)
}

/// Sets the stage and serves `maru-auth` on it.
pub async fn start() -> (Stage, TestApp) {
    start_with(|_| {}).await
}

/// Serves `maru-auth` with a mail server beside it.
pub async fn start_with_mail() -> (Stage, TestApp, MailServer) {
    let mail = MailServer::start();
    let url = SecretString::from(mail.url());
    let (stage, app) = start_with(|config| config.mail.mail_url = Some(url)).await;
    (stage, app, mail)
}

/// Registers somebody.
pub async fn register(stage: &Stage, app: &TestApp, email: &str) -> (TestClient, Answer) {
    let made = app.anonymous().post("/register", registration(email)).await.assert_status(201);
    (app.as_principal(principal(stage, &made)), made)
}

/// A request to register.
pub fn registration(email: &str) -> Value {
    json!({ "name": "김마루", "email": email, "password": PASSWORD })
}

/// Reads who an answer's access token speaks for, the way the gateway does.
pub fn principal(stage: &Stage, answer: &Answer) -> Principal {
    let tokens = chassis::access::AccessTokens::new(&SecretString::from(SECRET));
    let access = tokens.verify(answer.text("/access_token"), stage.clock.now()).unwrap();
    assert_eq!(access.principal.role, Role::User);
    access.principal
}
