//! `maru-auth` over real HTTP, with a database of its own in every test.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod accounts;
mod commands;
mod faults;
mod logins;
mod schema;

use auth::config::AuthConfig;
use chassis::access::AccessConfig;
use domain::principal::{Principal, Role, Service};
use secrecy::SecretString;
use serde_json::{Value, json};
use testkit::{Answer, Stage, TestApp};

/// Secret of access tokens in tests.
pub const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// A password that may be used.
pub const PASSWORD: &str = "마루 위에서 잔다 7";

/// Sets the stage and serves `maru-auth` on it.
pub async fn start() -> (Stage, TestApp) {
    let stage = Stage::new(Service::Auth, auth::app::MIGRATIONS).await;
    let app = stage.serve(auth::build(config(&stage), stage.clock.clone()).unwrap());
    (stage, app)
}

/// The configuration of a test's `maru-auth`.
pub fn config(stage: &Stage) -> AuthConfig {
    AuthConfig {
        base: stage.base_config(),
        port: 0,
        access: AccessConfig { jwt_secret: SecretString::from(SECRET), jwt_secret_previous: None },
        signing: stage.signing_config(),
        jwt_expires_in: std::time::Duration::from_hours(24),
        password_hashes_at_once: 2,
    }
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
