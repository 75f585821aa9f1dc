//! The body of an answer, and the connection it comes over.
//!
//! The connection is given back the moment the last byte of the answer has been read, and only if nothing is left in
//! doubt: the request was sent to its end, both sides want to go on, and not a byte too many was read.

use std::{
    io,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use chassis::problem::{Outcome, Problem};
use tokio::net::TcpStream;

use super::{
    framing::Framing,
    origin::Origin,
    sending::{Fault, Sending},
    wire::Wire,
};
use crate::upload::Upload;

/// A body that is still coming.
#[derive(Debug)]
pub struct Incoming {
    /// None once the connection was given back.
    wire: Option<Wire>,
    origin: Rc<Origin>,
    framing: Framing,
    sending: Sending,
    keeps_alive: bool,
    /// The whole body, when it came with the head.
    whole: Option<Bytes>,
    /// Why it broke off, until that is told.
    broken: Option<io::Error>,
}

impl Incoming {
    pub(super) fn new(wire: Wire, origin: Rc<Origin>, framing: Framing, sending: Sending, keeps_alive: bool) -> Self {
        let mut incoming = Self { wire: Some(wire), origin, framing, sending, keeps_alive, whole: None, broken: None };
        if let (Framing::Length(left), Some(wire)) = (&incoming.framing, &mut incoming.wire)
            && wire.read.len() as u64 >= *left
        {
            // Cannot fail: the length is there.
            incoming.whole = incoming.framing.take(&mut wire.read).unwrap_or_default();
        }
        incoming.give_back_if_ended();
        incoming
    }

    /// Returns how long the body is, if that is known; call before any of it was read.
    pub fn length(&self) -> Option<u64> {
        match self.framing {
            Framing::Ended => Some(self.whole.as_ref().map_or(0, |whole| whole.len() as u64)),
            Framing::Length(length) => Some(length),
            Framing::Chunked(_) | Framing::UntilClose => None,
        }
    }

    /// Takes the body if all of it is here already; call before any of it was read.
    pub fn take_whole(&mut self) -> Option<Bytes> {
        (self.framing == Framing::Ended).then(|| self.whole.take().unwrap_or_default())
    }

    /// Goes on sending the rest of the request.
    ///
    /// # Errors
    /// What the client is told when its body is too large, too slow or broken off.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, upload: &mut Option<Upload>) -> Poll<Outcome<()>> {
        let Some(wire) = &mut self.wire else { return Poll::Ready(Ok(())) };
        match ready!(self.sending.poll(cx, wire, upload)) {
            Err(Fault::Body(problem)) => Poll::Ready(Err(problem)),
            // A service that has answered may stop listening.
            Ok(()) | Err(Fault::Connection(_)) => Poll::Ready(Ok(())),
        }
    }

    /// Returns the next piece of the body, or none at its end.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(whole) = self.whole.take() {
            return Poll::Ready(Some(Ok(whole)));
        }
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match ready!(self.poll_piece(cx)) {
            Ok(piece) => Poll::Ready(piece.map(Ok)),
            Err(error) => {
                // What came before goes out to the client first.
                (self.wire, self.broken) = (None, Some(error));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            let Some(wire) = &mut self.wire else { return Poll::Ready(Ok(None)) };
            let piece = self.framing.take(&mut wire.read)?;
            if piece.is_some() {
                self.give_back_if_ended();
                return Poll::Ready(Ok(piece));
            }
            if self.framing == Framing::Ended {
                self.give_back_if_ended();
                self.wire = None;
            } else if ready!(wire.poll_read(cx))? == 0 {
                self.framing.close()?;
                self.wire = None;
            }
        }
    }

    /// Returns the bare connection and what was read from it beyond the head.
    ///
    /// # Errors
    /// Returns a problem when the connection has gone already, as it has not after a 101.
    pub fn into_tunnel(self) -> Outcome<(TcpStream, Bytes)> {
        let wire = self.wire.ok_or_else(|| Problem::unavailable("the connection has gone"))?;
        Ok((wire.stream, wire.read.freeze()))
    }

    fn give_back_if_ended(&mut self) {
        if self.framing != Framing::Ended || !self.keeps_alive {
            return;
        }
        let is_clean = |wire: &Wire| wire.read.is_empty() && self.sending.is_finished(wire);
        if self.wire.as_ref().is_some_and(is_clean)
            && let Some(wire) = self.wire.take()
        {
            self.origin.put(wire);
        }
    }
}
