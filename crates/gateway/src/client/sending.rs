//! A request on its way out: its head, and its body as far as the client has sent it.
//!
//! The client is asked for more only when everything it sent before has been written, so that a slow service slows the
//! client down. What is there when the head is written goes with it.

use std::{
    io::{self, IoSlice, Write},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use chassis::problem::Problem;
use domain::fault::common;
use tokio::{io::AsyncWrite, net::TcpStream};

use super::wire::Wire;
use crate::upload::Upload;

/// Why a request could not be sent to its end.
#[derive(Debug)]
pub(super) enum Fault {
    /// The client's own body was at fault.
    Body(Problem),
    /// The connection was.
    Connection(io::Error),
}

/// How much of a request has been sent.
#[derive(Debug)]
pub(super) struct Sending {
    /// Bytes of the connection's own buffer that are written.
    written: usize,
    chunk: Bytes,
    body: Body,
    has_begun: bool,
}

/// What is still to come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// Nothing.
    Ended,
    /// So many bytes.
    Length(u64),
    /// Chunks; before any but the first, the line of the last one has to be ended.
    Chunks { is_first: bool },
}

impl Sending {
    /// Begins with what is in the connection's buffer, and with the body of `upload` after it.
    pub(super) fn new(upload: Option<&Upload>) -> Self {
        let body =
            upload.map_or(Body::Ended, |upload| upload.length().map_or(Body::Chunks { is_first: true }, Body::Length));
        Self { written: 0, chunk: Bytes::new(), body, has_begun: false }
    }

    /// Returns whether anything was written at all.
    pub(super) const fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Returns whether everything was written.
    pub(super) fn is_finished(&self, wire: &Wire) -> bool {
        self.body == Body::Ended && self.chunk.is_empty() && wire.write.is_empty()
    }

    /// Writes for as long as the client has something and the service takes it.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        wire: &mut Wire,
        upload: &mut Option<Upload>,
    ) -> Poll<Result<(), Fault>> {
        loop {
            while self.chunk.is_empty() && self.body != Body::Ended {
                let Some(upload) = upload else { return Poll::Ready(Err(wrong_length())) };
                match upload.poll_chunk(cx) {
                    Poll::Ready(Ok(chunk)) => self.append(chunk, &mut wire.write)?,
                    Poll::Ready(Err(problem)) => return Poll::Ready(Err(Fault::Body(problem))),
                    Poll::Pending => break,
                }
            }
            if wire.write.is_empty() && self.chunk.is_empty() {
                return if self.body == Body::Ended { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            let written = ready!(self.poll_write(cx, wire)).map_err(Fault::Connection)?;
            self.has_begun = true;
            self.advance(written, &mut wire.write);
        }
    }

    /// Puts what the client sent where it is written from.
    fn append(&mut self, chunk: Option<Bytes>, write: &mut Vec<u8>) -> Result<(), Fault> {
        match (&mut self.body, chunk) {
            (Body::Length(left), Some(chunk)) => {
                // A byte more would be the beginning of another request.
                *left = left.checked_sub(chunk.len() as u64).ok_or_else(wrong_length)?;
                self.chunk = chunk;
                if *left == 0 {
                    self.body = Body::Ended;
                }
            }
            (Body::Chunks { .. }, Some(chunk)) if chunk.is_empty() => {}
            (Body::Chunks { is_first }, Some(chunk)) => {
                let end_of_last = if *is_first { "" } else { "\r\n" };
                *is_first = false;
                write!(write, "{end_of_last}{:x}\r\n", chunk.len()).map_err(Fault::Connection)?;
                self.chunk = chunk;
            }
            (Body::Chunks { is_first }, None) => {
                let end_of_last: &[u8] = if *is_first { b"" } else { b"\r\n" };
                write.extend_from_slice(end_of_last);
                write.extend_from_slice(b"0\r\n\r\n");
                self.body = Body::Ended;
            }
            (Body::Length(_), None) => return Err(wrong_length()),
            (Body::Ended, _) => {}
        }
        Ok(())
    }

    fn poll_write(&self, cx: &mut Context<'_>, wire: &mut Wire) -> Poll<io::Result<usize>> {
        let stream: Pin<&mut TcpStream> = Pin::new(&mut wire.stream);
        let first = wire.write.get(self.written..).unwrap_or_default();
        let written = if self.chunk.is_empty() {
            ready!(stream.poll_write(cx, first))?
        } else {
            ready!(stream.poll_write_vectored(cx, &[IoSlice::new(first), IoSlice::new(&self.chunk)]))?
        };
        Poll::Ready(if written == 0 { Err(io::ErrorKind::WriteZero.into()) } else { Ok(written) })
    }

    fn advance(&mut self, written: usize, write: &mut Vec<u8>) {
        let of_first = written.min(write.len() - self.written);
        self.written += of_first;
        if self.written == write.len() {
            write.clear();
            self.written = 0;
        }
        self.chunk.advance(written - of_first);
    }
}

/// The server below counts bodies too: this is what keeps a mistake there from becoming two requests here.
fn wrong_length() -> Fault {
    Fault::Body(common::MALFORMED.into())
}
