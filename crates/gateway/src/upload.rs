//! A request's body on its way to a service: chunk by chunk, counted, and only when asked for.
//!
//! The client's side of it lives on one worker and cannot leave it, the service's side may be anywhere, so they meet in
//! a slot for one chunk. Nothing is read from the client before the connection to a service asks for it: when there is
//! none, the body is untouched and can be offered to another address.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use actix_web::{HttpRequest, error::PayloadError, http::header, web};
use bytes::Bytes;
use chassis::{
    body::is_timeout,
    problem::{Outcome, Problem},
};
use domain::fault::common;
use futures_util::Stream;
use hyper::body::{Body, Frame, SizeHint};

/// The client's side.
pub struct Upload {
    payload: web::Payload,
    limit: u64,
    length: Option<u64>,
    received: u64,
    finished: bool,
    slot: Slot,
}

/// The service's side: a body to send.
pub struct UploadBody {
    slot: Option<Slot>,
    length: Option<u64>,
}

#[derive(Clone, Default)]
struct Slot(Arc<Mutex<Meeting>>);

#[derive(Default)]
struct Meeting {
    wanted: bool,
    chunk: Option<io::Result<Bytes>>,
    finished: bool,
    hung_up: bool,
    client: Option<Waker>,
    service: Option<Waker>,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Meeting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Meeting {
    fn wake_service(&mut self) {
        if let Some(waker) = self.service.take() {
            waker.wake();
        }
    }

    fn wake_client(&mut self) {
        if let Some(waker) = self.client.take() {
            waker.wake();
        }
    }
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
        Ok(Some(Self { payload, limit, length, received: 0, finished: false, slot: Slot::default() }))
    }

    /// Makes the body of an attempt; the one before it, if any, gets no more.
    pub fn attach(&mut self) -> UploadBody {
        self.slot = Slot::default();
        UploadBody { slot: Some(self.slot.clone()), length: self.length }
    }

    /// Returns whether nothing of the body has been read yet.
    pub fn is_untouched(&self) -> bool {
        self.received == 0 && !self.finished
    }

    /// Moves chunks for as long as the service asks for them.
    ///
    /// # Errors
    /// What the client is told when its body is too large, too slow or broken off.
    pub fn poll_pump(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<()>> {
        while !self.finished {
            {
                let mut meeting = self.slot.lock();
                meeting.client = Some(cx.waker().clone());
                if meeting.hung_up || !meeting.wanted {
                    return Poll::Pending;
                }
            }
            let next = match Pin::new(&mut self.payload).poll_next(cx) {
                Poll::Ready(next) => next,
                Poll::Pending => return Poll::Pending,
            };
            let judged = self.judge(next);
            let mut meeting = self.slot.lock();
            match judged {
                Ok(Some(chunk)) => (meeting.wanted, meeting.chunk) = (false, Some(Ok(chunk))),
                Ok(None) => meeting.finished = true,
                Err(problem) => {
                    meeting.chunk = Some(Err(io::ErrorKind::UnexpectedEof.into()));
                    meeting.wake_service();
                    return Poll::Ready(Err(problem));
                }
            }
            meeting.wake_service();
        }
        Poll::Ready(Ok(()))
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

impl UploadBody {
    /// The body of a request that has none.
    pub const fn empty() -> Self {
        Self { slot: None, length: Some(0) }
    }
}

impl Body for UploadBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(slot) = &self.slot else { return Poll::Ready(None) };
        let mut meeting = slot.lock();
        if let Some(chunk) = meeting.chunk.take() {
            return Poll::Ready(Some(chunk.map(Frame::data)));
        }
        if meeting.finished {
            return Poll::Ready(None);
        }
        meeting.wanted = true;
        meeting.service = Some(cx.waker().clone());
        meeting.wake_client();
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.slot.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for UploadBody {
    fn drop(&mut self) {
        if let Some(slot) = &self.slot {
            let mut meeting = slot.lock();
            meeting.hung_up = true;
            meeting.wake_client();
        }
    }
}
