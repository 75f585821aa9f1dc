//! Somebody who calls a service in a test.

use std::{net::SocketAddr, time::Duration};

use chassis::{clock::Clock, token::Signer};
use domain::{
    ids::{LoginId, UserId},
    principal::{Principal, Service},
};
use reqwest::{Method, RequestBuilder, header::HeaderMap};
use serde_json::Value;

use crate::{events::EventStream, socket::Socket, socket_io::SocketIo};

/// Who calls.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Identity {
    Person(Principal),
    Nobody,
    Peer(Service),
    None,
}

/// A caller of one service.
#[derive(Clone)]
pub struct TestClient {
    /// The person, or a nil id for nobody.
    pub user_id: UserId,
    /// The person's login, or a nil id for nobody.
    pub login_id: LoginId,
    addr: SocketAddr,
    service: Service,
    signer: Signer,
    clock: Clock,
    identity: Identity,
    http: reqwest::Client,
}

/// Returns the HTTP client of somebody who is never in a hurry: a machine that is busy answers late, and that is no
/// fault. Redirects are not followed.
///
/// # Panics
/// When there can be none.
pub fn http_client() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tls_certs_only([])
        .tcp_nodelay(true)
        .retry(reqwest::retry::never())
        .connect_timeout(Duration::from_secs(30))
        .timeout(Duration::from_mins(1))
        .build()
        .expect("an HTTP client")
}

impl TestClient {
    pub(crate) fn new(addr: SocketAddr, service: Service, signer: Signer, clock: Clock, identity: Identity) -> Self {
        let (user_id, login_id) = match identity {
            Identity::Person(principal) => (principal.user_id, principal.login_id),
            _ => (UserId(uuid::Uuid::nil()), LoginId(uuid::Uuid::nil())),
        };
        let http = http_client();
        Self { user_id, login_id, addr, service, signer, clock, identity, http }
    }

    /// Calls as somebody else over the same connections: thousands of people need not have thousands of pools.
    #[must_use]
    pub fn as_principal(&self, principal: Principal) -> Self {
        let identity = Identity::Person(principal);
        Self { user_id: principal.user_id, login_id: principal.login_id, identity, ..self.clone() }
    }

    /// Returns the internal token this caller shows, if any.
    pub fn token(&self) -> Option<String> {
        let now = self.clock.now();
        let minted = match self.identity {
            Identity::Person(principal) => self.signer.mint(self.service, Some(principal), now),
            Identity::Nobody => self.signer.mint(self.service, None, now),
            Identity::Peer(_) => self.signer.mint_call(self.service, None, now),
            Identity::None => return None,
        };
        Some(minted.expect("mint a token"))
    }

    /// Returns the person who calls, if it is one.
    pub fn principal(&self) -> Option<Principal> {
        match self.identity {
            Identity::Person(principal) => Some(principal),
            _ => None,
        }
    }

    /// Begins a request; finish it with [`send`](Self::send).
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("http://{}{path}", self.addr));
        match self.token() {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.send().await.expect("the service answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.expect("a whole answer").to_vec();
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer { status, headers, body, json }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// `GET` with headers.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(with(self.request(Method::GET, path), headers)).await
    }

    /// Opens a stream of server-sent events.
    ///
    /// # Panics
    /// When the service answers with anything else.
    pub async fn events(&self, path: &str, headers: &[(&str, &str)]) -> EventStream {
        EventStream::open(with(self.request(Method::GET, path), headers)).await
    }

    /// `POST` with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.post_with(path, body, &[]).await
    }

    /// `POST` with a JSON body and headers.
    pub async fn post_with(&self, path: &str, body: Value, headers: &[(&str, &str)]) -> Answer {
        self.send(with(self.request(Method::POST, path).json(&body), headers)).await
    }

    /// `PUT` with a JSON body.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(&body)).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Opens a WebSocket.
    ///
    /// # Panics
    /// When the service answers anything but 101.
    pub async fn socket(&self, path: &str) -> Socket {
        Socket::open(self.addr, path, self.token().as_deref(), &[]).await
    }

    /// Opens a Socket.IO socket; with `auth` it says so itself who it is.
    ///
    /// # Errors
    /// Returns the message of `connect_error`.
    pub async fn socket_io(&self, auth: Option<&Value>) -> Result<SocketIo, String> {
        SocketIo::connect(self.addr, self.token().as_deref(), auth).await
    }

    /// Opens a WebSocket with headers.
    ///
    /// # Panics
    /// When the service answers anything but 101.
    pub async fn socket_with(&self, path: &str, headers: &[(&str, &str)]) -> Socket {
        Socket::open(self.addr, path, self.token().as_deref(), headers).await
    }
}

fn with(request: RequestBuilder, headers: &[(&str, &str)]) -> RequestBuilder {
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Vec<u8>,
    /// The body as JSON, `null` when it is not.
    pub json: Value,
}

impl Answer {
    /// Fails the test unless the status is `status`; returns the answer.
    ///
    /// # Panics
    /// When the status differs.
    #[track_caller]
    #[expect(clippy::return_self_not_must_use, reason = "often the last word of a test")]
    pub fn assert_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// Fails the test unless this is a problem document with `status` and `code`; returns the answer.
    ///
    /// # Panics
    /// When something about the document is not as promised everywhere.
    #[track_caller]
    #[expect(clippy::return_self_not_must_use, reason = "often the last word of a test")]
    pub fn assert_problem(self, status: u16, code: &str) -> Self {
        let answer = self.assert_status(status);
        let json = &answer.json;
        assert_eq!(answer.header("content-type"), "application/problem+json", "{json}");
        assert_eq!(json.get("code").and_then(Value::as_str), Some(code), "{json}");
        assert_eq!(json.get("status").and_then(Value::as_u64), Some(u64::from(status)), "{json}");
        assert_eq!(json.get("error"), json.get("detail"), "{json}");
        let id = json.get("request_id").and_then(Value::as_str).unwrap_or_default();
        assert!(!id.is_empty() && id == answer.header("x-request-id"), "{json}");
        answer
    }

    /// Returns a header's value, empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns a string of the JSON body by its pointer, empty when it is not there.
    pub fn text(&self, pointer: &str) -> &str {
        self.json.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}
