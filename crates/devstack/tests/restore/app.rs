//! An app in front of the gateway.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

/// Longest to wait for an answer; longer than anything under the roof may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everybody's password.
const PASSWORD: &str = "a-Floor-of-oak-1904 마루";

/// Somebody who may be signed in.
#[derive(Clone)]
pub(crate) struct App {
    http: reqwest::Client,
    gateway: String,
    /// The access token.
    pub(crate) token: Option<String>,
    /// The account's id.
    pub(crate) id: String,
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) json: Value,
}

impl App {
    /// Registers an account.
    pub(crate) async fn register(gateway: &str, email: &str) -> Self {
        let mut app = Self::of_nobody(gateway);
        let made =
            app.post("/register", json!({ "name": "새 사람", "email": email, "password": PASSWORD })).await.ok(201);
        app.token = Some(made.text("/access_token"));
        app.id = made.text("/user_id");
        app
    }

    /// Logs in with the password that everybody has registered with.
    pub(crate) async fn login(gateway: &str, email: &str) -> Self {
        Self::login_with(gateway, email, PASSWORD).await
    }

    /// Logs in.
    pub(crate) async fn login_with(gateway: &str, email: &str, password: &str) -> Self {
        let mut app = Self::of_nobody(gateway);
        let answer = app.post("/login", json!({ "email": email, "password": password })).await.ok(200);
        app.token = Some(answer.text("/access_token"));
        app.id = answer.text("/user/id");
        app
    }

    fn of_nobody(gateway: &str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .timeout(PATIENCE)
            // No request is sent on a connection that the other side is about to close.
            .pool_max_idle_per_host(0)
            .build();
        Self { http: http.expect("an HTTP client"), gateway: gateway.to_owned(), token: None, id: String::new() }
    }

    /// The same app at another gateway, or at the same one under another address.
    pub(crate) fn at(&self, gateway: &str) -> Self {
        Self { gateway: gateway.to_owned(), ..self.clone() }
    }

    /// `GET`.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await.expect("the gateway answers")
    }

    /// `POST`.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await.expect("the gateway answers")
    }

    /// Asks, and gives the connection error back when there is no answer at all.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer, reqwest::Error> {
        let mut request = self.http.request(method, format!("{}{path}", self.gateway));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let body = response.bytes().await?;
        Ok(Answer { status, json: serde_json::from_slice(&body).unwrap_or(Value::Null) })
    }

    /// Asks to be erased.
    pub(crate) async fn erase_account(&self) -> Answer {
        self.send(Method::DELETE, "/user/me", Some(json!({ "password": PASSWORD }))).await.expect("the gateway answers")
    }

    /// Puts bytes where an answer permits it.
    pub(crate) async fn upload(&self, slot: &Answer, bytes: &[u8]) {
        let mut request = self.http.put(slot.text("/upload_url")).body(bytes.to_vec());
        for (name, value) in slot.json["headers"].as_object().expect("headers") {
            if !name.eq_ignore_ascii_case("content-length") {
                request = request.header(name, value.as_str().expect("a header's value"));
            }
        }
        let stored = request.send().await.expect("the object storage answers");
        assert!(stored.status().is_success(), "{}", stored.status());
    }

    /// Reads what a presigned URL leads to.
    pub(crate) async fn download(&self, url: &str) -> Vec<u8> {
        let response = self.http.get(url).send().await.expect("the object storage answers");
        assert_eq!(response.status().as_u16(), 200);
        response.bytes().await.expect("the whole file").to_vec()
    }
}

impl Answer {
    /// Fails the test unless the status is `status`.
    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.json);
        self
    }

    /// A text of the body by its place.
    #[track_caller]
    pub(crate) fn text(&self, place: &str) -> String {
        let found = self.json.pointer(place).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no {place} in {}", self.json)).to_owned()
    }
}
