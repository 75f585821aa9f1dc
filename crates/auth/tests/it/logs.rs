//! What the service writes about itself.
//!
//! Numbers in names are those of the threat list in docs/security.md.

use serde_json::{Value, json};
use testkit::{
    Stage,
    oidc::{Endpoint, Identity, Provider},
    smtp::MailServer,
};

use crate::{PASSWORD, mail::code_in, outside::Child, registration};

const NEW: &str = "한밤의 마루 밑 고양이";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_39_no_line_holds_a_secret_or_an_address() {
    let stage = Stage::new(domain::principal::Service::Auth, auth::app::MIGRATIONS).await;
    let (mail, provider) = (MailServer::start(), Provider::start(chassis::clock::Clock::system()));
    provider.log_in(Identity::new("subject-of-lee", "lee@gmail.com"));
    let urls = [Endpoint::Authorize, Endpoint::Token, Endpoint::Jwks].map(|endpoint| provider.url(endpoint));
    let mail_url = mail.url();
    let settings = [
        ("LOG_LEVEL", "trace"),
        ("MAIL_URL", mail_url.as_str()),
        ("GOOGLE_CLIENT_ID", provider.client_id()),
        ("GOOGLE_CLIENT_SECRET", provider.client_secret()),
        ("GOOGLE_ISSUER", provider.issuer()),
        ("GOOGLE_AUTHORIZATION_URL", &urls[0]),
        ("GOOGLE_TOKEN_URL", &urls[1]),
        ("GOOGLE_JWKS_URL", &urls[2]),
    ];
    let child = Child::start(&stage, &settings).await;
    let from = [("x-client-ip", "192.0.2.77"), ("user-agent", "the-phone-of-kim")];
    let post = async |path: &str, body: Value| child.post(&stage, None, path, &body, &from).await;

    let (status, made) = post("/register", registration("kim.canary@example.com")).await;
    assert_eq!(status, 201, "{made}");
    let code = code_in(&mail.wait_for("kim.canary@example.com").await);
    post("/auth/verify-email", json!({ "email": "kim.canary@example.com", "code": code })).await;
    post("/login", json!({ "email": "kim.canary@example.com", "password": "a-wrong-password-canary" })).await;
    let (_, login) = post("/login", json!({ "email": "kim.canary@example.com", "password": PASSWORD })).await;
    let (_, pair) = post("/auth/refresh", json!({ "refresh_token": login["refresh_token"] })).await;
    post("/auth/refresh", json!({ "refresh_token": "forged-refresh-canary" })).await;
    post("/auth/password-reset", json!({ "email": "kim.canary@example.com" })).await;
    let reset = code_in(&mail.wait_for("kim.canary@example.com").await);
    let confirm = json!({ "email": "kim.canary@example.com", "code": reset, "new_password": NEW });
    assert_eq!(post("/auth/password-reset/confirm", confirm).await.0, 200);
    let id_token = provider.id_token(json!({ "nonce": "nonce-canary" }));
    let shown = post("/auth/google/callback", json!({ "id_token": id_token, "nonce": "nonce-canary" })).await;
    assert_eq!(shown.0, 200, "{}", shown.1);
    post("/auth/google/callback", json!({ "code": "code-canary", "code_verifier": "verifier-canary" })).await;
    post("/auth/google/callback", json!({ "credential": "credential-canary" })).await;
    mail.refuse_next(1, 550);
    post("/auth/verify-email", json!({ "email": "lee@gmail.com" })).await;
    testkit::eventually(std::time::Duration::from_secs(5), || async { mail.offered() >= 4 }).await;
    post("/login", json!({ "email": { "not-a-string-canary": PASSWORD }, "password": 5 })).await;

    let log = child.stop().await;
    assert!(log.len() > 20 && log.iter().any(|line| line.contains("a letter is not sent")), "the log is a log");
    let text = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
    let secrets = [
        text(&made, "access_token"),
        text(&made, "refresh_token"),
        text(&login, "access_token"),
        text(&login, "refresh_token"),
        text(&pair, "refresh_token"),
        text(&shown.1, "access_token"),
        id_token,
        code,
        reset,
        PASSWORD.to_owned(),
        NEW.to_owned(),
        provider.client_secret().to_owned(),
        crate::SECRET.to_owned(),
        "$argon2id$".to_owned(),
    ];
    let canaries = [
        "kim.canary@example.com",
        "lee@gmail.com",
        "김마루",
        "subject-of-lee",
        "a-wrong-password-canary",
        "forged-refresh-canary",
        "nonce-canary",
        "code-canary",
        "verifier-canary",
        "credential-canary",
        "not-a-string-canary",
        "the-phone-of-kim",
        "192.0.2.77",
    ];
    for secret in secrets.iter().map(String::as_str).chain(canaries) {
        // As text, and as the numbers that a debug form of bytes is.
        let numbers = secret.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
        let told: Vec<_> = log.iter().filter(|line| line.contains(secret) || line.contains(&numbers)).collect();
        assert!(told.is_empty(), "{secret}: {told:?}");
    }
    println!("{} lines at level trace, none with any of {} secrets", log.len(), secrets.len() + canaries.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_40_one_event_is_one_line_whatever_a_client_sends() {
    let stage = Stage::new(domain::principal::Service::Auth, auth::app::MIGRATIONS).await;
    let child = Child::start(&stage, &[("LOG_LEVEL", "trace")]).await;
    let odd = "\"}\\n{\"level\":\"ERROR\",\"message\":\"forged-line\"}%0d%0a\t\\u001b[31m";
    let headers = [("user-agent", odd), ("x-request-id", odd), ("traceparent", odd), ("accept-language", odd)];
    for path in ["/login", "/%0d%0a%7b%22message%22%3a%22forged-line%22%7d", "/login%1b%5b31m", "/auth/erasures/%00"] {
        let body = json!({ "email": odd, "password": odd, "\r\nforged-line": "\u{1b}[31m" });
        let (status, _) = child.post(&stage, None, path, &body, &headers).await;
        assert!((400..500).contains(&status), "{path}: {status}");
    }
    let log = child.stop().await;
    for line in &log {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event.is_object() && event["message"] != "forged-line", "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }
    assert!(!log.is_empty());
}
