//! A request's body on its way to a service: chunk by chunk, counted, and only when asked for.
//!
//! Nothing is read from the client before there is a connection to a service: where there is none, the body is untouched
//! and can be offered to another address.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use actix_web::{HttpRequest, error::PayloadError, http::header, web};
use bytes::Bytes;
use chassis::{
    body::is_timeout,
    problem::{Outcome, Problem},
};
use domain::fault::common;
use futures_util::Stream;

/// A body that is still coming.
pub struct Upload {
    payload: web::Payload,
    limit: u64,
    length: Option<u64>,
    received: u64,
    finished: bool,
}

impl Upload {
    /// Takes a request's body, if it has one.
    ///
    /// # Errors
    /// 413 when its stated length is over the limit; 415 when it is compressed.
    pub fn begin(request: &HttpRequest, payload: web::Payload, limit: u64) -> Outcome<Option<Self>> {
        let headers = request.headers();
        let stated = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let length: Option<u64> = stated.and_then(|text| text.trim().parse().ok());
        if length.is_none_or(|length| length == 0) && !headers.contains_key(header::TRANSFER_ENCODING) {
            return Ok(None);
        }
        if length.is_some_and(|length| length > limit) {
            return Err(common::TOO_LARGE.into());
        }
        // Inflating it is work that a few bytes could make large, and no client of ours compresses.
        if headers.get_all(header::CONTENT_ENCODING).any(|coding| coding != "identity") {
            return Err(common::UNSUPPORTED_MEDIA.into());
        }
        Ok(Some(Self { payload, limit, length, received: 0, finished: false }))
    }

    /// Returns how long the client says the body is; one that does not say sends chunks.
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Returns whether nothing of the body has been read yet.
    pub fn is_untouched(&self) -> bool {
        self.received == 0 && !self.finished
    }

    /// Returns the next chunk, or none at the end.
    ///
    /// # Errors
    /// What the client is told when its body is too large, too slow or broken off.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<Option<Bytes>>> {
        if self.finished {
            return Poll::Ready(Ok(None));
        }
        let next = ready!(Pin::new(&mut self.payload).poll_next(cx));
        Poll::Ready(self.judge(next))
    }

    fn judge(&mut self, next: Option<Result<Bytes, PayloadError>>) -> Outcome<Option<Bytes>> {
        let chunk = match next {
            None => {
                self.finished = true;
                return Ok(None);
            }
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => {
                self.finished = true;
                return Err(if is_timeout(&error) { common::BODY_TIMEOUT.into() } else { common::MALFORMED.into() });
            }
        };
        self.received = self.received.saturating_add(chunk.len() as u64);
        if self.received > self.limit {
            self.finished = true;
            return Err(Problem::from(common::TOO_LARGE));
        }
        Ok(Some(chunk))
    }
}
