//! An OpenID Connect provider which does as the test says.
//!
//! It speaks real HTTP on a free port of loopback and signs with an RSA key of its own, so a service under test fetches
//! its documents, exchanges codes and verifies signatures as it would with the real one. Whoever the test put before it
//! consents at once. It can be told to sign wrongly, to change keys and to misbehave, and it counts how often it was
//! asked. Nothing here shares code with what it tests: tokens are put together and signed by hand.

mod draft;
mod grant;
mod identity;
mod keys;
mod reply;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix_web::{App, HttpServer, dev::ServerHandle, web};
use chassis::clock::Clock;
pub use draft::{Draft, Signing};
pub use identity::Identity;
use reqwest::header::LOCATION;
use serde_json::{Value, json};
use url::Url;

use self::{grant::Grant, keys::Keys};

/// The client that the provider knows.
const CLIENT_ID: &str = "maru-test.apps.example.com";
/// Its secret. Long enough to be refused for what it is when a token is signed with it, and not for being short.
const CLIENT_SECRET: &str = "a secret between the test provider and its only client";
/// How long an id_token is good for.
const TOKEN_SECONDS: i64 = 3600;
/// How long the keys may be kept, unless the test says otherwise.
const JWKS_MAX_AGE: Duration = Duration::from_mins(5);

/// What a provider can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// `GET /.well-known/openid-configuration`.
    Discovery,
    /// `GET /jwks`.
    Jwks,
    /// `GET /authorize`.
    Authorize,
    /// `POST /token`.
    Token,
}

/// What an endpoint does instead of answering properly.
#[derive(Clone, Debug, PartialEq)]
pub enum Misbehaviour {
    /// Answers this status and an HTML page.
    Status(u16),
    /// Answers properly, this much later.
    Slow(Duration),
    /// Answers properly and goes on with this many bytes of blanks, in chunks whose sum is not announced: JSON that is
    /// wrong in nothing but its size.
    Huge(usize),
    /// Sends the caller to another address, and has it keep its method and body.
    Redirect(String),
    /// Answers 200 and an HTML page.
    NotJson,
    /// Answers 200 and this document.
    Instead(Value),
}

type Bend = Arc<dyn Fn(Draft) -> Draft + Send + Sync>;

/// What the server and its handle share.
struct State {
    issuer: String,
    clock: Clock,
    keys: Arc<Keys>,
    script: Mutex<Script>,
}

/// What the test has told it so far, and what came of it.
struct Script {
    person: Option<Identity>,
    grants: BTreeMap<String, Grant>,
    bend: Option<Bend>,
    misbehaviours: BTreeMap<Endpoint, Misbehaviour>,
    requests: BTreeMap<Endpoint, usize>,
    jwks_max_age: Duration,
}

impl State {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts together the proper token for a person.
    fn draft(&self, person: &Identity) -> Draft {
        let now = self.clock.now().timestamp();
        Draft::new(Arc::clone(&self.keys), person.claims()).claims(json!({
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "azp": CLIENT_ID,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
        }))
    }
}

/// What a browser brought back to the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callback {
    /// The whole address that the browser was sent to.
    pub location: Url,
    /// The code, empty when there is none.
    pub code: String,
    /// The state as the service had given it, empty when it gave none.
    pub state: String,
    /// Why there is no code, empty when there is one.
    pub error: String,
}

/// A running provider; it stops when this is dropped.
pub struct Provider {
    addr: SocketAddr,
    state: Arc<State>,
    handle: ServerHandle,
}

impl Provider {
    /// Starts a provider whose tokens are dated by `clock`. Nobody has an account yet: see [`log_in`](Self::log_in).
    pub fn start(clock: Clock) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port of loopback");
        let addr = listener.local_addr().expect("the address that was just bound");
        let state = Arc::new(State {
            issuer: format!("http://{addr}"),
            clock,
            keys: Arc::new(Keys::generate()),
            script: Mutex::new(Script {
                person: None,
                grants: BTreeMap::new(),
                bend: None,
                misbehaviours: BTreeMap::new(),
                requests: BTreeMap::new(),
                jwks_max_age: JWKS_MAX_AGE,
            }),
        });
        let shared = web::Data::from(Arc::clone(&state));
        let server =
            HttpServer::new(move || App::new().app_data(shared.clone()).default_service(web::to(reply::serve)))
                .workers(1)
                .disable_signals()
                .listen(listener)
                .expect("listen")
                .run();
        let handle = server.handle();
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(server);
        Self { addr, state, handle }
    }

    /// Returns where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns its issuer, to which the path of the discovery document is added.
    pub fn issuer(&self) -> &str {
        &self.state.issuer
    }

    /// Returns the address of an endpoint.
    pub fn url(&self, endpoint: Endpoint) -> String {
        format!("{}{}", self.state.issuer, endpoint.path())
    }

    /// Returns the id of the one client it knows.
    pub const fn client_id(&self) -> &'static str {
        CLIENT_ID
    }

    /// Returns the client's secret.
    pub const fn client_secret(&self) -> &'static str {
        CLIENT_SECRET
    }

    /// Puts somebody before the browser: they consent to whatever is asked from now on.
    pub fn log_in(&self, person: Identity) {
        self.state.script().person = Some(person);
    }

    /// Has whoever sits before the browser say no: `access_denied`.
    pub fn refuse_consent(&self) {
        self.state.script().person = None;
    }

    /// Opens an authorization URL as a browser does, and returns where it was sent.
    ///
    /// # Panics
    /// When the provider shows an error page instead, because of an unknown client or no address to go back to.
    pub async fn consent(&self, authorization_url: &str) -> Callback {
        let http = crate::http_client();
        let response = http.get(authorization_url).send().await.expect("the provider answers");
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let Some(location) = location else {
            panic!("no way back: {} {}", response.status(), response.text().await.unwrap_or_default());
        };
        let location = Url::parse(&location).expect("an absolute address");
        let find = |name: &str| {
            let found = location.query_pairs().find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned()).unwrap_or_default()
        };
        let (code, state, error) = (find("code"), find("state"), find("error"));
        Callback { location, code, state, error }
    }

    /// Begins a token for whoever is logged in, proper in everything until it is bent.
    ///
    /// # Panics
    /// When nobody is logged in.
    pub fn draft(&self) -> Draft {
        let person = self.state.script().person.clone().expect("somebody is logged in");
        self.state.draft(&person)
    }

    /// Makes a token for whoever is logged in, properly signed, with these claims added or replaced; one that is `null`
    /// is left out.
    ///
    /// # Panics
    /// When nobody is logged in, or `claims` is not an object.
    pub fn id_token(&self, claims: Value) -> String {
        self.draft().claims(claims).sign()
    }

    /// Bends every token that the token endpoint answers from now on.
    pub fn bend_tokens(&self, bend: impl Fn(Draft) -> Draft + Send + Sync + 'static) {
        self.state.script().bend = Some(Arc::new(bend));
    }

    /// Signs with a new key from now on and returns its kid. The old keys stay published.
    pub fn rotate_key(&self) -> String {
        self.state.keys.rotate()
    }

    /// Publishes the current key alone from now on.
    pub fn withdraw_old_keys(&self) {
        self.state.keys.withdraw_old();
    }

    /// Returns the kid of the current key.
    pub fn kid(&self) -> String {
        self.state.keys.current().kid.clone()
    }

    /// Sets how long the published keys may be kept.
    pub fn set_jwks_max_age(&self, max_age: Duration) {
        self.state.script().jwks_max_age = max_age;
    }

    /// Has an endpoint misbehave from the next request on.
    pub fn misbehave(&self, endpoint: Endpoint, misbehaviour: Misbehaviour) {
        self.state.script().misbehaviours.insert(endpoint, misbehaviour);
    }

    /// Has everything answer properly again, the token endpoint with proper tokens.
    pub fn behave(&self) {
        let mut script = self.state.script();
        script.misbehaviours.clear();
        script.bend = None;
    }

    /// Returns how often an endpoint was asked, misbehaving or not.
    pub fn requests(&self, endpoint: Endpoint) -> usize {
        self.state.script().requests.get(&endpoint).copied().unwrap_or_default()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let handle = self.handle.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { handle.stop(false).await });
        }
    }
}
