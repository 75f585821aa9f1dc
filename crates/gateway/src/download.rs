//! An answer's body on its way to the client.
//!
//! Chunks are passed as they come. When the service dies in the middle, or stops sending, the client's connection is
//! aborted: an answer that was cut off must not look whole.

use std::{
    convert::Infallible,
    error::Error,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::body::{BodySize, MessageBody};
use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::{client::Incoming, upload::Upload, upstream::Lease};
use chassis::{lifecycle::OpenSocket, revocation::Watch};

/// Longest silence in the middle of an answer that ends.
const STALL: Duration = Duration::from_secs(30);

/// The body of an answer.
pub struct Download {
    incoming: Incoming,
    size: BodySize,
    rest_of_upload: Option<Upload>,
    until: Until,
    /// Given up with the last byte; what lasts holds none.
    lease: Option<Lease>,
}

/// The body of an answer to `HEAD`: its size is told, its bytes are left out.
pub struct LeftOut(pub BodySize);

impl MessageBody for LeftOut {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

/// When a body is given up or ended.
enum Until {
    /// After a long silence; the timer is made when the first begins, and set when each does.
    Stalled { timer: Option<Pin<Box<Sleep>>>, is_set: bool },
    /// When the login of whoever listens has ended, or this process stops.
    Ended {
        ended: Pin<Box<WaitForCancellationFutureOwned>>,
        must_end: Pin<Box<dyn Future<Output = ()>>>,
        _watch: Watch,
    },
}

impl Download {
    /// Takes an answer that ends by itself.
    pub fn new(incoming: Incoming, size: BodySize, rest_of_upload: Option<Upload>) -> Self {
        Self { incoming, size, rest_of_upload, until: Until::Stalled { timer: None, is_set: false }, lease: None }
    }

    /// Keeps a place at the service's address until the end of the answer.
    #[must_use]
    pub fn holding(mut self, lease: Lease) -> Self {
        self.lease = Some(lease);
        self
    }

    /// Lets the answer last as long as `watch` and the `socket` do.
    #[must_use]
    pub fn lasting(mut self, watch: Watch, socket: OpenSocket) -> Self {
        self.until = Until::Ended {
            ended: Box::pin(watch.ended().cancelled_owned()),
            must_end: Box::pin(socket.must_end_owned()),
            _watch: watch,
        };
        self
    }
}

impl Until {
    fn has_come(&mut self, cx: &mut Context<'_>) -> bool {
        match self {
            Self::Stalled { timer, is_set } => {
                let timer = timer.get_or_insert_with(|| Box::pin(sleep(STALL)));
                if !*is_set {
                    timer.as_mut().reset(Instant::now() + STALL);
                    *is_set = true;
                }
                timer.as_mut().poll(cx).is_ready()
            }
            Self::Ended { ended, must_end, .. } => {
                ended.as_mut().poll(cx).is_ready() || must_end.as_mut().poll(cx).is_ready()
            }
        }
    }
}

impl MessageBody for Download {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        // A service may answer before it has read the whole request.
        if this.rest_of_upload.is_some() {
            match this.incoming.poll_send(cx, &mut this.rest_of_upload) {
                Poll::Ready(Ok(())) => this.rest_of_upload = None,
                Poll::Ready(Err(problem)) => return Poll::Ready(Some(Err(problem.to_string().into()))),
                Poll::Pending => {}
            }
        }
        match this.incoming.poll_next(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                if let Until::Stalled { is_set, .. } = &mut this.until {
                    *is_set = false;
                }
                return Poll::Ready(Some(Ok(chunk)));
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        if !this.until.has_come(cx) {
            return Poll::Pending;
        }
        match this.until {
            Until::Stalled { .. } => {
                Poll::Ready(Some(Err("the service stopped sending in the middle of its answer".into())))
            }
            Until::Ended { .. } => Poll::Ready(None),
        }
    }
}
