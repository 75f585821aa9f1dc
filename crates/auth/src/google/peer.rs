//! How Google is asked: within five seconds, without following redirects or proxies, and never for more than 64 KiB.

use std::time::Duration;

use chassis::problem::{Outcome, Problem};
use domain::fault::{Fault, Kind};
use reqwest::{Client, RequestBuilder, Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;

/// Longest to wait for an answer, whole.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest to wait for a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(3);
/// Largest answer that is read; Google's keys have 2 KiB.
const MOST_BYTES: usize = 64 * 1024;

/// Google is away, or answers what cannot be used.
pub const GOOGLE_UNREACHABLE: Fault = Fault::new(
    Kind::BadGateway,
    "google_unreachable",
    "Google에 연결할 수 없습니다. 잠시 뒤에 다시 시도해 주세요.",
    "Google cannot be reached. Please try again shortly.",
);
/// The code was used, is too old, or was given to somebody else.
pub const CODE_REFUSED: Fault = Fault::new(
    Kind::Malformed,
    "google_code_refused",
    "Google 로그인 코드가 유효하지 않습니다.",
    "Google does not accept this login code.",
);

/// Google, as this service calls it; clones share its connections.
#[derive(Clone)]
pub struct Google {
    http: Client,
    token_url: Url,
}

/// A code to be exchanged.
pub struct CodeExchange<'a> {
    /// Our client id.
    pub client_id: &'a str,
    /// Its secret.
    pub client_secret: Option<&'a SecretString>,
    /// The code.
    pub code: &'a str,
    /// Where it was sent to.
    pub redirect_uri: &'a str,
    /// The PKCE verifier, if the login was begun with a challenge.
    pub code_verifier: Option<&'a str>,
}

#[derive(Deserialize)]
struct Exchanged {
    id_token: SecretString,
}

/// An answer and for how long it may be kept.
pub struct Fetched<T> {
    /// The answer.
    pub body: T,
    /// What `Cache-Control` says.
    pub max_age: Option<Duration>,
}

impl Google {
    /// Builds the client.
    ///
    /// # Errors
    /// Returns an error when the TLS library cannot be set up.
    pub fn new(token_url: Url) -> Result<Self, reqwest::Error> {
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_PATIENCE)
            .timeout(PATIENCE)
            .retry(reqwest::retry::never())
            .build()?;
        Ok(Self { http, token_url })
    }

    /// Fetches a document.
    ///
    /// # Errors
    /// 502 `google_unreachable`.
    pub async fn fetch<T: DeserializeOwned>(&self, url: &Url) -> Outcome<Fetched<T>> {
        let response = send(self.http.get(url.clone())).await?;
        if response.status() != StatusCode::OK {
            return Err(unreachable_because(format!("answered {}", response.status())));
        }
        let cache_control = response.headers().get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
        let max_age = cache_control.and_then(max_age);
        let bytes = read(response).await?;
        Ok(Fetched { body: serde_json::from_slice(&bytes).map_err(unreachable_because)?, max_age })
    }

    /// Exchanges a code for an id token.
    ///
    /// # Errors
    /// 400 `google_code_refused`, 502 `google_unreachable`.
    pub async fn exchange(&self, exchange: CodeExchange<'_>) -> Outcome<SecretString> {
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("client_id", exchange.client_id),
            ("code", exchange.code),
            ("redirect_uri", exchange.redirect_uri),
        ];
        form.extend(exchange.client_secret.map(|secret| ("client_secret", secret.expose_secret())));
        form.extend(exchange.code_verifier.map(|verifier| ("code_verifier", verifier)));
        let body = serde_urlencoded::to_string(form).map_err(Problem::unexpected)?;
        let request = self.http.post(self.token_url.clone());
        let response =
            send(request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body)).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::BAD_REQUEST => return Err(CODE_REFUSED.into()),
            status => return Err(unreachable_because(format!("answered {status} to a code"))),
        }
        let bytes = read(response).await?;
        let exchanged: Exchanged = serde_json::from_slice(&bytes).map_err(unreachable_because)?;
        Ok(exchanged.id_token)
    }
}

async fn send(request: RequestBuilder) -> Outcome<Response> {
    request.send().await.map_err(|error| unreachable_because(error.without_url()))
}

/// Reads an answer, and stops when it is larger than any honest one.
async fn read(mut response: Response) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unreachable_because(error.without_url()))? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            return Err(unreachable_because("its answer is too large"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn unreachable_because(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Problem {
    Problem::from(GOOGLE_UNREACHABLE).caused_by(cause)
}

fn max_age(cache_control: &str) -> Option<Duration> {
    let seconds = cache_control.split(',').find_map(|part| part.trim().strip_prefix("max-age="))?;
    seconds.parse().ok().map(Duration::from_secs)
}
