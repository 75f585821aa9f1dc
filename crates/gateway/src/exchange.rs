//! One request to a service, on one address or, where that is safe, on a second.

use std::sync::Arc;

use actix_web::http::{Method, StatusCode};
use chassis::{
    edge::DRAINING,
    problem::{Outcome, Problem},
};
use tokio::time::{Instant, timeout_at};

use crate::{
    client::{Answer, Client, Failure, SendError},
    headers::Outgoing,
    upload::Upload,
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
    pub method: &'r Method,
    /// The checked path and the query as it came, in pieces.
    pub target: Target<'r>,
    /// Where the headers come from.
    pub outgoing: Outgoing<'r>,
    /// When the head of the answer must be there.
    pub deadline: Instant,
}

/// A request target in pieces, to be written one after the other.
pub type Target<'r> = [&'r str; 4];

/// An answer, and the place it holds at its address until its end.
pub type Answered = (Answer, Lease);

/// What came of one address.
type Tried = Result<Answer, SendError>;

impl Exchange<'_> {
    /// Sends the request and returns the head of the answer, the body behind it, and its place at the address.
    ///
    /// # Errors
    /// 503 when no address answers or has room, 504 when the head is not there in time, and what the client's body earns.
    pub async fn run(&self, upload: &mut Option<Upload>) -> Outcome<Answered> {
        let answered = timeout_at(self.deadline, self.attempts(upload)).await;
        answered.unwrap_or_else(|_elapsed| Err(Problem::late("no answer from the service in time")))
    }

    async fn attempts(&self, upload: &mut Option<Upload>) -> Outcome<Answered> {
        let first = self.upstream.choose(self.choice, self.counted, None)?;
        let tried = self.attempt(first.address(), upload).await?;
        if tried.as_ref().is_ok_and(|answer| answer.head.status != StatusCode::SERVICE_UNAVAILABLE) {
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
        match Box::pin(self.attempt(second.address(), upload)).await? {
            Ok(answer) => settle(Ok(answer), second),
            // What the first address said is more than nothing.
            Err(_failed) if tried.is_ok() => settle(tried, first),
            Err(failed) => settle(Err(failed), second),
        }
    }

    /// Asks one address; the outer error is the client's fault, the inner one the address's.
    async fn attempt(&self, address: &Address, upload: &mut Option<Upload>) -> Outcome<Tried> {
        match self.ask(address, upload).await {
            Ok(answer) => {
                self.upstream.note_answer(address, answer.head.status, answer.head.has(DRAINING));
                Ok(Ok(answer))
            }
            Err(Failure::Body(problem)) => Err(problem),
            Err(Failure::Address(error)) => {
                self.upstream.note_broken(address);
                Ok(Err(error))
            }
        }
    }

    async fn ask(&self, address: &Address, upload: &mut Option<Upload>) -> Result<Answer, Failure> {
        let mut connection = self.client.connection(&address.authority).await.map_err(Failure::Address)?;
        let remaining = self.deadline.saturating_duration_since(Instant::now());
        let remaining_ms = u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX);
        let mut head = connection.head(self.method.as_str(), &self.target);
        self.outgoing.write(&mut head, &address.host, remaining_ms);
        head.body(upload.as_ref());
        head.end().map_err(|error| Failure::Body(Problem::unexpected(error)))?;
        connection.ask(upload).await
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
        is_safe && upload.is_none_or(Upload::is_untouched) && self.upstream.may_try_again()
    }
}

fn settle(tried: Tried, lease: Lease) -> Outcome<Answered> {
    tried.map(|answer| (answer, lease)).map_err(|failed| Problem::unavailable(failed.cause))
}
