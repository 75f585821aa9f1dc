//! The HTTP client towards the services: HTTP/1.1, written here for what the gateway does with it and nothing else.
//!
//! One per worker, made on its thread: a request is written to a connection and its answer read from it by the task that
//! waits for it, and no lock, channel or other task stands between. Headers are never gathered in a map on the way out,
//! nor twice on the way back. What a service says is believed only where it can be understood in one way: see
//! `answer` and `framing`.

mod answer;
mod framing;
mod incoming;
mod origin;
mod request;
mod sending;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    rc::Rc,
    task::{Context, Poll},
};

pub use answer::AnswerHead;
use answer::{Parsed, unreadable};
use chassis::problem::Problem;
use http::uri::Authority;
pub use incoming::Incoming;
use origin::Origin;
pub use request::RequestHead;
use sending::{Fault, Sending};
use wire::Wire;

use crate::upload::Upload;

/// Most interim answers before the one that counts.
const INTERIM_MAX: u8 = 8;

/// The connections to all addresses.
#[derive(Debug, Default)]
pub struct Client(RefCell<Vec<Rc<Origin>>>);

/// A connection to one address, on which nothing has been asked yet.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    origin: Rc<Origin>,
}

/// An answer, its body still to be read.
#[derive(Debug)]
pub struct Answer {
    /// Status and headers.
    pub head: AnswerHead,
    /// The body.
    pub body: Incoming,
}

/// Why a request brought no answer.
#[derive(Debug)]
pub struct SendError {
    /// Whether there was no connection at all, so that nothing was sent.
    pub is_connect: bool,
    /// For the log.
    pub cause: io::Error,
}

/// Whose fault it was that a request brought no answer.
#[derive(Debug)]
pub enum Failure {
    /// The client's own body was at fault.
    Body(Problem),
    /// The service's address was.
    Address(SendError),
}

impl Client {
    /// Starts without any connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a connection to an address: an idle one, or else a new one.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn connection(&self, authority: &Authority) -> Result<Connection, SendError> {
        let origin = self.origin(authority);
        let wire = match origin.take() {
            Some(wire) => wire,
            None => Box::pin(origin.connect()).await.map_err(|cause| SendError { is_connect: true, cause })?,
        };
        Ok(Connection { wire, origin })
    }

    fn origin(&self, authority: &Authority) -> Rc<Origin> {
        let mut origins = self.0.borrow_mut();
        if let Some(known) = origins.iter().find(|origin| origin.is(authority.as_str())) {
            return known.clone();
        }
        let new = Origin::new(authority);
        origins.push(new.clone());
        new
    }
}

impl Connection {
    /// Begins the head of a request, in place of any that was begun before.
    pub fn head(&mut self, method: &str, target: &[&str]) -> RequestHead<'_> {
        RequestHead::begin(&mut self.wire.write, method, target)
    }

    /// Sends the request and waits for the head of the answer; dropping the future drops the connection.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn ask(mut self, upload: &mut Option<Upload>) -> Result<Answer, Failure> {
        let mut sending = Sending::new(upload.as_ref());
        self.wire.make_room();
        let mut interim = 0;
        loop {
            let answered = poll_fn(|cx| self.poll_answer(cx, &mut sending, upload)).await;
            match answered {
                Ok(Parsed { head, framing, keeps_alive }) => {
                    if head.status.is_informational() && head.status.as_u16() != 101 {
                        interim = refuse_many(interim, head.status.as_u16())?;
                        continue;
                    }
                    let body = Incoming::new(self.wire, self.origin, framing, sending, keeps_alive);
                    return Ok(Answer { head, body });
                }
                Err(Fault::Body(problem)) => return Err(Failure::Body(problem)),
                // Closed while it was idle, and noticed only now: of this request nothing has left.
                Err(Fault::Connection(_)) if self.wire.is_used && !sending.has_begun() => {
                    Box::pin(self.replace()).await?;
                }
                Err(Fault::Connection(cause)) => {
                    return Err(Failure::Address(SendError { is_connect: false, cause }));
                }
            }
        }
    }

    /// Goes over to a new connection with what is to be sent.
    async fn replace(&mut self) -> Result<(), Failure> {
        let connected = self.origin.connect().await;
        let mut wire = connected.map_err(|cause| Failure::Address(SendError { is_connect: true, cause }))?;
        wire.write = std::mem::take(&mut self.wire.write);
        wire.make_room();
        self.wire = wire;
        Ok(())
    }

    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        sending: &mut Sending,
        upload: &mut Option<Upload>,
    ) -> Poll<Result<Parsed, Fault>> {
        match sending.poll(cx, &mut self.wire, upload) {
            Poll::Ready(Err(Fault::Connection(error))) if !sending.has_begun() => {
                return Poll::Ready(Err(Fault::Connection(error)));
            }
            Poll::Ready(Err(Fault::Body(problem))) => return Poll::Ready(Err(Fault::Body(problem))),
            // A service that stops listening may have said why.
            Poll::Ready(Ok(()) | Err(Fault::Connection(_))) | Poll::Pending => {}
        }
        self.poll_head(cx).map_err(Fault::Connection)
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Parsed>> {
        loop {
            if !self.wire.read.is_empty()
                && let Some(parsed) = answer::parse(&mut self.wire.read)?
            {
                return Poll::Ready(Ok(parsed));
            }
            match self.wire.poll_read(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Counts an interim answer, which only a few statuses are.
fn refuse_many(count: u8, status: u16) -> Result<u8, Failure> {
    if !matches!(status, 100 | 103) || count >= INTERIM_MAX {
        let cause = unreadable("an interim answer nobody asked for");
        return Err(Failure::Address(SendError { is_connect: false, cause }));
    }
    Ok(count + 1)
}
