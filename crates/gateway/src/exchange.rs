//! One request to a service, on one address or, where that is safe, on a second.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

use chassis::{
    edge::DRAINING,
    problem::{Outcome, Problem},
};
use http::{
    Method, Request, Response, StatusCode, Uri,
    uri::{PathAndQuery, Scheme},
};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::{
    client::{Client, SendError},
    download::Timer,
    headers::Outgoing,
    upload::{Upload, UploadBody},
    upstream::{Address, Choice, Lease, Upstream},
};

/// All that a request to a service needs, whichever address it goes to.
pub struct Exchange<'r> {
    /// The worker's client.
    pub client: &'r Client,
    /// The service.
    pub upstream: &'r Upstream,
    /// Which of its addresses.
    pub choice: Choice,
    /// Whether it takes room there.
    pub counted: bool,
    /// The method.
    pub method: Method,
    /// The checked path, and the query as it came.
    pub target: PathAndQuery,
    /// Where the headers come from.
    pub outgoing: Outgoing<'r>,
    /// When the head of the answer must be there.
    pub deadline: Instant,
}

/// An answer, and the place it holds at its address until its end.
pub type Answered = (Response<Incoming>, Lease);

/// What came of one address.
type Tried = Result<Response<Incoming>, SendError>;

/// Why an attempt brought no answer.
enum Failure {
    /// The client's own body was at fault.
    Body(Problem),
    /// The service's address was.
    Address(SendError),
}

impl Exchange<'_> {
    /// Sends the request and returns the head of the answer, the body behind it, and its place at the address.
    ///
    /// # Errors
    /// 503 when no address answers or has room, 504 when the head is not there in time, and what the client's body earns.
    pub async fn run(&self, upload: &mut Option<Upload>, timer: &mut Timer) -> Outcome<Answered> {
        tokio::select! {
            biased;
            answered = self.attempts(upload) => answered,
            () = timer.as_mut() => Err(Problem::late("no answer from the service in time")),
        }
    }

    async fn attempts(&self, upload: &mut Option<Upload>) -> Outcome<Answered> {
        self.upstream.budget.deposit();
        let first = self.upstream.choose(self.choice, self.counted, None)?;
        let tried = self.attempt(first.address(), upload).await?;
        if tried.as_ref().is_ok_and(|response| response.status() != StatusCode::SERVICE_UNAVAILABLE) {
            return settle(tried, first);
        }
        let Ok(second) = self.upstream.choose(self.choice, self.counted, Some(first.address())) else {
            return settle(tried, first);
        };
        let is_same = Arc::ptr_eq(first.address(), second.address());
        if !self.may_try_again(&tried, is_same, upload.as_ref()) {
            return settle(tried, first);
        }
        metrics::counter!("upstream_retries_total", "service" => self.upstream.service.name()).increment(1);
        match self.attempt(second.address(), upload).await? {
            Ok(response) => settle(Ok(response), second),
            // What the first address said is more than nothing.
            Err(_failed) if tried.is_ok() => settle(tried, first),
            Err(failed) => settle(Err(failed), second),
        }
    }

    /// Asks one address; the outer error is the client's fault, the inner one the address's.
    async fn attempt(&self, address: &Address, upload: &mut Option<Upload>) -> Outcome<Tried> {
        let body = upload.as_mut().map_or_else(UploadBody::empty, Upload::attach);
        let request = self.request(address, body)?;
        match self.send(request, upload).await {
            Ok(response) => {
                let is_draining = response.headers().contains_key(DRAINING);
                self.upstream.note_answer(address, response.status(), is_draining);
                Ok(Ok(response))
            }
            Err(Failure::Body(problem)) => Err(problem),
            Err(Failure::Address(error)) => {
                self.upstream.note_broken(address);
                Ok(Err(error))
            }
        }
    }

    async fn send(
        &self,
        request: Request<UploadBody>,
        upload: &mut Option<Upload>,
    ) -> Result<Response<Incoming>, Failure> {
        let mut sending = pin!(self.client.send(request));
        poll_fn(|cx: &mut Context<'_>| {
            if let Some(upload) = upload
                && let Poll::Ready(Err(problem)) = upload.poll_pump(cx)
            {
                return Poll::Ready(Err(Failure::Body(problem)));
            }
            sending.as_mut().poll(cx).map_err(Failure::Address)
        })
        .await
    }

    /// Trying again is safe when nothing was sent, or when the method promises that twice is the same as once; and it
    /// needs a body nobody has read from, another address unless a kept connection was stale, and budget.
    fn may_try_again(&self, tried: &Tried, same_address: bool, upload: Option<&Upload>) -> bool {
        let has_key = || self.outgoing.request.headers().contains_key("idempotency-key");
        let is_safe = match tried {
            Ok(_unavailable) => self.method.is_safe() && !same_address,
            Err(failed) if failed.is_connect => !same_address,
            Err(_broken_off) => self.method.is_safe() || has_key(),
        };
        is_safe && upload.is_none_or(Upload::is_untouched) && self.upstream.budget.withdraw()
    }

    fn request(&self, address: &Address, body: UploadBody) -> Outcome<Request<UploadBody>> {
        let remaining = self.deadline.saturating_duration_since(Instant::now());
        let remaining_ms = u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX);
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(address.authority.clone());
        parts.path_and_query = Some(self.target.clone());
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = Uri::from_parts(parts).map_err(Problem::unexpected)?;
        *request.headers_mut() = self.outgoing.headers(&address.host, remaining_ms)?;
        Ok(request)
    }
}

fn settle(tried: Tried, lease: Lease) -> Outcome<Answered> {
    tried.map(|response| (response, lease)).map_err(|failed| Problem::unavailable(failed.cause))
}
