//! One request to a service, on one address or, where that is safe, on a second.

use std::{
    future::poll_fn,
    pin::pin,
    task::{Context, Poll},
};

use chassis::{
    edge::DRAINING,
    problem::{Outcome, Problem},
};
use http::{
    Method, Request, Response, Uri,
    uri::{PathAndQuery, Scheme},
};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::{
    client::{Client, SendError},
    download::Timer,
    headers::Outgoing,
    upload::{Upload, UploadBody},
    upstream::{Address, Choice, Upstream},
};

/// All that a request to a service needs, whichever address it goes to.
pub struct Exchange<'r> {
    /// The worker's client.
    pub client: &'r Client,
    /// The service.
    pub upstream: &'r Upstream,
    /// Which of its addresses.
    pub choice: Choice,
    /// The method.
    pub method: Method,
    /// The checked path, and the query as it came.
    pub target: PathAndQuery,
    /// Where the headers come from.
    pub outgoing: Outgoing<'r>,
    /// When the head of the answer must be there.
    pub deadline: Instant,
}

/// Why an attempt brought no answer.
enum Failure {
    /// The client's own body was at fault.
    Body(Problem),
    /// The service's address was.
    Address(SendError),
}

impl Exchange<'_> {
    /// Sends the request and returns the head of the answer, the body behind it.
    ///
    /// # Errors
    /// 503 when no address answers, 504 when the head is not there in time, and what the client's body earns.
    pub async fn run(&self, upload: &mut Option<Upload>, timer: &mut Timer) -> Outcome<Response<Incoming>> {
        tokio::select! {
            biased;
            answered = self.attempts(upload) => answered,
            () = timer.as_mut() => Err(Problem::late("no answer from the service in time")),
        }
    }

    async fn attempts(&self, upload: &mut Option<Upload>) -> Outcome<Response<Incoming>> {
        self.upstream.budget.deposit();
        let first = self.upstream.choose(self.choice, None)?;
        let failed = match self.attempt(first, upload).await? {
            Ok(response) => return Ok(response),
            Err(failed) => failed,
        };
        let second = self.upstream.choose(self.choice, Some(first))?;
        if !self.may_try_again(&failed, std::ptr::eq(first, second), upload.as_ref()) {
            return Err(Problem::unavailable(failed.cause));
        }
        metrics::counter!("upstream_retries_total", "service" => self.upstream.service.name()).increment(1);
        match self.attempt(second, upload).await? {
            Ok(response) => Ok(response),
            Err(failed) => Err(Problem::unavailable(failed.cause)),
        }
    }

    /// Asks one address; the outer error is the client's fault, the inner one the address's.
    async fn attempt(
        &self,
        address: &Address,
        upload: &mut Option<Upload>,
    ) -> Outcome<Result<Response<Incoming>, SendError>> {
        let body = upload.as_mut().map_or_else(UploadBody::empty, Upload::attach);
        let request = self.request(address, body)?;
        match self.send(request, upload).await {
            Ok(response) => {
                self.upstream.note_answer(address, response.headers().contains_key(DRAINING));
                Ok(Ok(response))
            }
            Err(Failure::Body(problem)) => Err(problem),
            Err(Failure::Address(error)) => {
                self.upstream.avoid_broken(address);
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
    fn may_try_again(&self, failed: &SendError, same_address: bool, upload: Option<&Upload>) -> bool {
        let twice_is_once = self.method.is_safe() || self.outgoing.request.headers().contains_key("idempotency-key");
        upload.is_none_or(Upload::is_untouched)
            && if failed.is_connect { !same_address } else { twice_is_once }
            && self.upstream.budget.withdraw()
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
