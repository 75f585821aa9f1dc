//! A deadline on request bodies: the framework has none, and a client that sends a byte a minute would hold a handler
//! for ever. Nor is there one for what is left of a body when its request is answered, which the framework reads on for
//! as long as it comes: so it is kept from reading it, and the connection closes.

use std::{
    cell::RefCell,
    mem,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    dev::Payload,
    error::PayloadError,
};
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep};

/// Slowest acceptable sender after its grace. A 64 KiB JSON body has 16 s on top of it.
pub const BODY_MIN_BYTES_PER_SECOND: u64 = 4 * 1024;

/// A request body that fails with `TimedOut` when its sender is slower than [`BODY_MIN_BYTES_PER_SECOND`].
pub struct PacedBody {
    inner: Payload,
    started: Instant,
    grace: Duration,
    received: u64,
    timer: Pin<Box<Sleep>>,
    is_read: bool,
    unread: Unread,
}

/// Where the rest of a body is left when nobody reads on.
#[derive(Clone, Default)]
pub struct Unread(Rc<RefCell<Option<Payload>>>);

impl Unread {
    /// Puts an answer before the rest of its request's body, if there is any: the connection is closed behind it.
    pub fn behind(self, answer: BoxBody) -> BoxBody {
        match self.0.take() {
            None | Some(Payload::None) => answer,
            Some(rest) => BoxBody::new(Last { answer, _rest: rest }),
        }
    }
}

/// The last answer of a connection.
struct Last {
    answer: BoxBody,
    /// The framework takes a body that was dropped for one that it may read to its end.
    _rest: Payload,
}

impl MessageBody for Last {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.answer).poll_next(cx)
    }
}

impl PacedBody {
    /// Starts the clock on a body; `grace` covers a slow start on a mobile network.
    pub fn new(inner: Payload, grace: Duration) -> Self {
        let started = Instant::now();
        let timer = Box::pin(tokio::time::sleep_until(started + grace));
        Self { inner, started, grace, received: 0, timer, is_read: false, unread: Unread::default() }
    }

    /// Returns where the rest of it will be left.
    pub fn unread(&self) -> Unread {
        self.unread.clone()
    }

    fn due(&self) -> Instant {
        self.started + self.grace + Duration::from_secs(self.received / BODY_MIN_BYTES_PER_SECOND)
    }
}

impl Stream for PacedBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match Pin::new(&mut self.inner).poll_next(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                self.received += chunk.len() as u64;
                let due = self.due();
                self.timer.as_mut().reset(due);
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(None) => {
                self.is_read = true;
                Poll::Ready(None)
            }
            Poll::Pending if self.timer.as_mut().poll(cx).is_ready() => {
                Poll::Ready(Some(Err(PayloadError::Io(std::io::ErrorKind::TimedOut.into()))))
            }
            other => other,
        }
    }
}

impl Drop for PacedBody {
    fn drop(&mut self) {
        if !self.is_read {
            self.unread.0.replace(Some(mem::replace(&mut self.inner, Payload::None)));
        }
    }
}

/// Returns whether a body failed because its sender was too slow.
pub fn is_timeout(error: &PayloadError) -> bool {
    matches!(error, PayloadError::Io(io) if io.kind() == std::io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    fn body(stream: impl Stream<Item = Result<Bytes, PayloadError>> + 'static) -> PacedBody {
        PacedBody::new(Payload::Stream { payload: Box::pin(stream) }, Duration::from_secs(10))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_fails_and_one_that_flows_does_not() {
        let mut stalled = body(stream::pending());
        assert!(is_timeout(&stalled.next().await.unwrap().unwrap_err()));

        let flowing = stream::iter(0..60).then(|_| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(Bytes::from_static(&[0; 8192]))
        });
        assert_eq!(body(flowing).filter(|chunk| std::future::ready(chunk.is_ok())).count().await, 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_a_second_is_too_slow() {
        let trickle = stream::iter(0..60).then(|_| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(Bytes::from_static(b"x"))
        });
        let first_error = body(trickle).filter(|chunk| std::future::ready(chunk.is_err())).next().await;
        assert!(is_timeout(&first_error.unwrap().unwrap_err()));
    }
}
