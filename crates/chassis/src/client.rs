//! Calls from one service to another.
//!
//! No redirects, no proxy from the environment, no retries inside the HTTP library. A call carries the caller's own
//! token, the person behind it, the request's id, trace and remaining time. It is tried again at most once, on another
//! address where there is one, only when that is safe (nothing was sent, or the method is safe) and only within a
//! budget; after five failures in a row the breaker refuses for two seconds and then lets one call probe.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::principal::{Principal, Service};
use reqwest::{Method, Response, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::Instant;
use url::Url;

use crate::{
    clock::Clock,
    context::RequestContext,
    edge::{DEADLINE_MS, REQUEST_ID, TRACEPARENT},
    problem::{Problem, ProblemView},
    token::Signer,
};

/// Longest to wait for a connection on the cluster's own network.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// Longest a call may take, unless its caller says otherwise.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// How much earlier than its request's deadline a call gives up.
const MARGIN: Duration = Duration::from_millis(50);
/// Failures in a row that open the breaker.
const BREAKER_FAILURES: u32 = 5;
/// How long an open breaker refuses.
const BREAKER_PAUSE: Duration = Duration::from_secs(2);
/// Retries earned by each call; with [`BUDGET_PER_SECOND`] the figures of Linkerd's default budget.
const BUDGET_RATIO: f64 = 0.2;
/// Retries allowed each second whatever the traffic.
const BUDGET_PER_SECOND: f64 = 10.0;

/// Why a call to another service brought no answer.
#[derive(Debug)]
pub enum CallError {
    /// The callee refused: an expected answer, for the caller to read.
    Refused(ProblemView),
    /// It is away, late or broken: 503 or 504 for whoever asked.
    Failed(Problem),
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Failed(problem) => problem,
            CallError::Refused(view) => Self::unexpected(format!("a call was refused: {} {}", view.status, view.code)),
        }
    }
}

/// Limits retries to a share of the calls, so that a sick service is not asked more, but less.
#[derive(Debug)]
pub struct RetryBudget {
    calls: AtomicU64,
    spent: Mutex<Spent>,
}

/// How things stood at the last look; only retries look.
#[derive(Debug)]
struct Spent {
    left: f64,
    calls: u64,
    at: Instant,
}

impl Default for RetryBudget {
    fn default() -> Self {
        let spent = Spent { left: BUDGET_PER_SECOND, calls: 0, at: Instant::now() };
        Self { calls: AtomicU64::new(0), spent: Mutex::new(spent) }
    }
}

impl RetryBudget {
    /// Counts a call; returns how many there were before.
    pub fn deposit(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::Relaxed)
    }

    /// Returns how many calls there were.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Takes a retry out of the budget, if there is one.
    pub fn withdraw(&self) -> bool {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let (calls, now) = (self.calls(), Instant::now());
        let new = u32::try_from(calls.wrapping_sub(spent.calls)).unwrap_or(u32::MAX);
        let seconds = now.saturating_duration_since(spent.at).as_secs_f64();
        let earned = f64::from(new) * BUDGET_RATIO + seconds * BUDGET_PER_SECOND;
        // Ten seconds' worth at most: yesterday's calm must not pay for today's storm.
        spent.left = (spent.left + earned).min(BUDGET_PER_SECOND * 10.0);
        (spent.calls, spent.at) = (calls, now);
        let enough = spent.left >= 1.0;
        if enough {
            spent.left -= 1.0;
        }
        enough
    }
}

#[derive(Debug, Default)]
struct Breaker(Mutex<(u32, Option<Instant>)>);

impl Breaker {
    fn allows(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.1 {
            Some(until) if Instant::now() < until => false,
            Some(_) => {
                // This call probes; the others wait for what it finds.
                state.1 = Some(Instant::now() + BREAKER_PAUSE);
                true
            }
            None => true,
        }
    }

    fn record(&self, well: bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if well {
            *state = (0, None);
        } else {
            state.0 = state.0.saturating_add(1);
            if state.0 >= BREAKER_FAILURES {
                state.1 = Some(Instant::now() + BREAKER_PAUSE);
            }
        }
    }
}

/// Another service, as this one calls it.
pub struct Peer {
    service: Service,
    first: Url,
    urls: Vec<Url>,
    http: reqwest::Client,
    signer: Option<Signer>,
    clock: Clock,
    turn: AtomicUsize,
    breaker: Breaker,
    budget: RetryBudget,
    patience: Duration,
}

/// What is asked of a peer.
struct Call<'c, B> {
    method: Method,
    person: Option<Principal>,
    path: &'c [&'c str],
    query: Option<String>,
    body: Option<&'c B>,
}

/// Builds the HTTP client for calls to what is configured, which may be behind TLS.
///
/// # Errors
/// Returns an error when the TLS library cannot be set up.
pub fn http_client() -> Result<reqwest::Client, reqwest::Error> {
    client_builder().build()
}

/// Builds the HTTP client for calls that are all to `http://`: it reads none of the system's certificates, which would
/// take longer than everything else at the start of a service, and be kept for as long as it lives.
///
/// # Errors
/// Returns an error when the TLS library cannot be set up.
pub fn plain_http_client() -> Result<reqwest::Client, reqwest::Error> {
    client_builder().tls_certs_only([]).build()
}

fn client_builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .tcp_nodelay(true)
        .retry(reqwest::retry::never())
}

impl Peer {
    /// Describes a service that is called at `urls`, in turn; without a signer only its open routes answer.
    ///
    /// # Errors
    /// Returns an error when there is no URL or the HTTP client cannot be built.
    pub fn new(
        service: Service,
        urls: Vec<Url>,
        signer: Option<Signer>,
        clock: Clock,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let first = urls.first().cloned().ok_or("a peer needs at least one URL")?;
        let is_plain = urls.iter().all(|url| url.scheme() == "http");
        let http = if is_plain { plain_http_client() } else { http_client() }?;
        let (turn, breaker, budget) = (AtomicUsize::new(0), Breaker::default(), RetryBudget::default());
        Ok(Self { service, first, urls, http, signer, clock, turn, breaker, budget, patience: CALL_TIMEOUT })
    }

    /// Lets a call take longer, or less long, than usual; a request's own deadline still ends it.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Returns which service this is.
    pub fn service(&self) -> Service {
        self.service
    }

    /// Gets a resource; `path` is its segments, so that no value can leave its place.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn get<T: DeserializeOwned>(&self, person: Option<Principal>, path: &[&str]) -> Result<T, CallError> {
        self.call::<(), T>(Call { method: Method::GET, person, path, query: None, body: None }).await
    }

    /// Gets a resource with a query.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn get_with<Q: Serialize, T: DeserializeOwned>(
        &self,
        person: Option<Principal>,
        path: &[&str],
        query: &Q,
    ) -> Result<T, CallError> {
        let query =
            serde_urlencoded::to_string(query).map_err(|error| CallError::Failed(Problem::unexpected(error)))?;
        self.call::<(), T>(Call { method: Method::GET, person, path, query: Some(query), body: None }).await
    }

    /// Posts a body.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        person: Option<Principal>,
        path: &[&str],
        body: &B,
    ) -> Result<T, CallError> {
        self.call(Call { method: Method::POST, person, path, query: None, body: Some(body) }).await
    }

    /// Deletes a resource.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn delete<T: DeserializeOwned>(&self, person: Option<Principal>, path: &[&str]) -> Result<T, CallError> {
        self.call::<(), T>(Call { method: Method::DELETE, person, path, query: None, body: None }).await
    }

    async fn call<B: Serialize + Sync, T: DeserializeOwned>(&self, call: Call<'_, B>) -> Result<T, CallError> {
        if !self.breaker.allows() {
            return Err(CallError::Failed(Problem::unavailable(format!("the breaker of {} is open", self.service))));
        }
        self.budget.deposit();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut sent = self.send(turn, &call).await?;
        let is_safe = call.method.is_safe();
        let may_retry = match &sent {
            Err(error) => error.is_connect() || (is_safe && !error.is_timeout()),
            Ok(response) => is_safe && response.status() == StatusCode::SERVICE_UNAVAILABLE,
        };
        if may_retry && self.budget.withdraw() {
            sent = self.send(turn + 1, &call).await?;
        }
        let answer = match sent {
            Ok(response) => read(response).await,
            Err(error) => Err(CallError::Failed(lost(error))),
        };
        self.breaker.record(!matches!(answer, Err(CallError::Failed(_))));
        answer
    }

    /// Sends a request; the outer error is our own, the inner one the network's or the callee's.
    async fn send<B: Serialize + Sync>(
        &self,
        turn: usize,
        call: &Call<'_, B>,
    ) -> Result<Result<Response, reqwest::Error>, CallError> {
        let mut url = self.url(turn, call.path);
        url.set_query(call.query.as_deref());
        let mut request = self.http.request(call.method.clone(), url).timeout(self.patience);
        if let Some(signer) = &self.signer {
            let token = signer.mint_call(self.service, call.person, self.clock.now());
            request = request.bearer_auth(token.map_err(|error| CallError::Failed(Problem::unexpected(error)))?);
        }
        if let Some(context) = RequestContext::current() {
            // A little less than the request's own deadline, so that the failure is still counted here.
            let remaining = context.remaining().saturating_sub(MARGIN).min(self.patience);
            request = request
                .timeout(remaining)
                .header(DEADLINE_MS, remaining.as_millis().to_string())
                .header(REQUEST_ID, &*context.request_id)
                .header("accept-language", context.locale.code())
                .header(TRACEPARENT, context.traceparent());
        }
        if let Some(body) = call.body {
            request = request.json(body);
        }
        Ok(request.send().await)
    }

    fn url(&self, turn: usize, path: &[&str]) -> Url {
        let mut url = self.urls.get(turn % self.urls.len()).unwrap_or(&self.first).clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(path);
        }
        url
    }
}

/// Turns a failure on the way into its problem.
fn lost(error: reqwest::Error) -> Problem {
    let (late, unreadable) = (error.is_timeout(), error.is_decode());
    let cause = error.without_url();
    match (late, unreadable) {
        (true, _) => Problem::late(cause),
        (false, true) => Problem::unexpected(cause),
        (false, false) => Problem::unavailable(cause),
    }
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, CallError> {
    let status = response.status();
    if status.is_success() {
        return response.json().await.map_err(|error| CallError::Failed(lost(error)));
    }
    if status.is_client_error()
        && let Ok(view) = response.json::<ProblemView>().await
    {
        return Err(CallError::Refused(view));
    }
    let cause = format!("another service answered {status}");
    Err(CallError::Failed(match status {
        StatusCode::GATEWAY_TIMEOUT => Problem::late(cause),
        _ => Problem::unavailable(cause),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries(budget: &RetryBudget) -> usize {
        (0..1_000).take_while(|_| budget.withdraw()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_fifth_of_the_calls_and_ten_a_second_may_be_tried_again() {
        let budget = RetryBudget::default();
        assert_eq!(retries(&budget), 10);
        let turns: Vec<u64> = (0..20).map(|_| budget.deposit()).collect();
        assert_eq!((turns.first(), turns.last(), budget.calls()), (Some(&0), Some(&19), 20));
        assert_eq!(retries(&budget), 4);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(retries(&budget), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_calm_day_pays_for_ten_seconds_of_retries() {
        let budget = RetryBudget::default();
        (0..100_000).for_each(|_| _ = budget.deposit());
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(retries(&budget), 100);
    }
}
