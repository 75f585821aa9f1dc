//! Somebody with an app, in front of the gateway.

use std::{net::SocketAddr, time::Duration};

use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};

use crate::attacks::say;

/// A password that no log may hold.
pub(crate) const PASSWORD: &str = "dugout-Canary-41c9 마루";

/// The smallest picture there is: one transparent pixel.
pub(crate) const PICTURE: &[u8] = include_bytes!("pixel.png");

/// Somebody who may be signed in.
#[derive(Clone)]
pub(crate) struct Person {
    http: reqwest::Client,
    gateway: String,
    /// The access token.
    pub(crate) token: Option<String>,
    /// The account's id.
    pub(crate) id: String,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) json: Value,
}

/// Longest to wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

impl Person {
    /// Somebody who is not signed in.
    pub(crate) fn stranger(gateway: &str) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_certs_only([])
            .timeout(PATIENCE)
            // A connection that was opened in a race and never used is told 408 after five seconds, and whoever takes it
            // in that moment takes that for an answer.
            .pool_max_idle_per_host(0)
            .build();
        let http = http.expect("an HTTP client");
        Self { http, gateway: gateway.to_owned(), token: None, id: String::new() }
    }

    /// Registers a new account.
    pub(crate) async fn register(gateway: &str, email: &str) -> Self {
        let mut person = Self::stranger(gateway);
        let body = json!({ "name": "새 사람", "email": email, "password": PASSWORD });
        let made = person.post("/register", body).await.ok(201);
        person.token = Some(made.text("/access_token"));
        person.id = made.text("/user_id");
        person
    }

    /// Logs an account in.
    pub(crate) async fn login(gateway: &str, email: &str, password: &str) -> Self {
        let mut person = Self::stranger(gateway);
        let answer = person.post("/login", json!({ "email": email, "password": password })).await.ok(200);
        person.token = Some(answer.text("/access_token"));
        person.id = answer.text("/user/id");
        person
    }

    /// Asks, and gives the connection error back when there is no answer at all.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.try_request(request).await
    }

    /// Sends a request that was begun here, and gives the connection error back when there is no answer at all.
    ///
    /// What was told 408 before anything of it was read may be asked again (RFC 9110, 15.5.9), as browsers do.
    pub(crate) async fn try_request(&self, request: RequestBuilder) -> Result<Answer, reqwest::Error> {
        let again = request.try_clone();
        let answer = read(request.send().await?).await?;
        match again {
            Some(again) if answer.status == 408 && answer.body.is_empty() => {
                say(&format!("asked again after a bare 408 with {:?}", answer.headers));
                read(again.send().await?).await
            }
            _ => Ok(answer),
        }
    }

    /// Begins a request, with the token if there is one.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        // Everything under the roof has a longest wait; a client's own is longer than that.
        let patience = std::time::Duration::from_secs(20);
        let request = self.http.request(method, format!("{}{path}", self.gateway)).timeout(patience);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Returns the same app at another gateway.
    pub(crate) fn at(&self, gateway: &str) -> Self {
        Self { gateway: gateway.to_owned(), ..self.clone() }
    }

    /// Returns the same app without the token.
    pub(crate) fn signed_out(&self) -> Self {
        Self { token: None, ..self.clone() }
    }

    /// Returns the same app with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Asks with headers of its own, and without the token.
    pub(crate) async fn send_with(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.http.request(method, format!("{}{path}", self.gateway));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        read(request.send().await.expect("the gateway answers")).await.expect("a whole answer")
    }

    /// `GET`.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.try_send(Method::GET, path, None).await.expect("the gateway answers")
    }

    /// Sends a request that was begun here.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_request(request).await.expect("the gateway answers")
    }

    /// `POST`.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.try_send(Method::POST, path, Some(body)).await.expect("the gateway answers")
    }

    /// Puts bytes where an answer permits it.
    pub(crate) async fn upload(&self, slot: &Answer, bytes: &'static [u8]) {
        let mut upload = self.http.put(slot.text("/upload_url")).body(bytes);
        for (name, value) in slot.json["headers"].as_object().expect("headers") {
            if !name.eq_ignore_ascii_case("content-length") {
                upload = upload.header(name, value.as_str().expect("a header's value"));
            }
        }
        let stored = upload.send().await.expect("the object storage answers");
        assert!(stored.status().is_success(), "{}", stored.status());
    }

    /// Reads what a presigned URL leads to.
    pub(crate) async fn download(&self, url: &str) -> Vec<u8> {
        let answer = read(self.http.get(url).send().await.expect("the object storage answers")).await;
        answer.expect("the whole file").ok(200).body
    }

    /// Opens a WebSocket through the gateway.
    pub(crate) async fn socket(&self, path: &str) -> testkit::Socket {
        testkit::Socket::open(self.addr(), path, self.token.as_deref(), &[]).await
    }

    /// Returns where the gateway listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.gateway.trim_start_matches("http://").parse().expect("an address")
    }
}

async fn read(response: reqwest::Response) -> Result<Answer, reqwest::Error> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await?.to_vec();
    let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Ok(Answer { status, headers, body, json })
}

impl Answer {
    /// Fails the test unless the status is `status`.
    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} {:?}", String::from_utf8_lossy(&self.body), self.headers);
        self
    }

    /// Fails the test unless this is a problem with `status` and `code`.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, code: &str) -> Self {
        let answer = self.ok(status);
        assert_eq!(answer.json["code"], code, "{}", answer.json);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        answer
    }

    /// Fails the test unless this is an answer as the house gives them: JSON or a picture, marked so that no browser takes it
    /// for a page, and a whole problem document where it refuses.
    #[track_caller]
    pub(crate) fn sound(&self, asked: &str) {
        let header = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let told = format!("{asked}: {} {}", self.status, String::from_utf8_lossy(&self.body));
        assert_eq!(header("x-content-type-options"), "nosniff", "{told}");
        if self.status < 400 {
            let is_json = matches!(header("content-type"), "application/json" | "application/jwk-set+json");
            let is_picture = matches!(header("content-type"), "image/png" | "image/svg+xml");
            assert!(self.body.is_empty() || is_json || is_picture, "{told}");
            return;
        }
        assert_eq!(header("content-type"), "application/problem+json", "{told}");
        assert_eq!(self.json["status"], self.status, "{told}");
        assert_eq!(self.json["request_id"], header("x-request-id"), "{told}");
        assert!(self.json["code"].as_str().is_some_and(|code| !code.is_empty()), "{told}");
    }

    /// Returns a string of the body by its pointer.
    #[track_caller]
    pub(crate) fn text(&self, pointer: &str) -> String {
        let found = self.json.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no {pointer} in {}", self.json)).to_owned()
    }
}
