//! A connection, and the memory for what goes over it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio_util::io::poll_read_buf;

/// Bytes kept ready for an answer: most fit.
const ROOM: usize = 4 * 1024;
/// As many, once an answer has filled that.
const MUCH_ROOM: usize = 64 * 1024;
/// Least room worth a read.
const LITTLE_ROOM: usize = 1024;
/// Most bytes an idle connection keeps of a request's head.
const KEPT: usize = 8 * 1024;

/// A connection, and the bytes on their way in and out.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    /// What was read and not taken yet.
    pub(super) read: BytesMut,
    /// What is to be written first.
    pub(super) write: Vec<u8>,
    /// Whether the last read filled all the room there was.
    pub(super) is_flooded: bool,
    /// Whether room was made for much.
    pub(super) has_grown: bool,
    /// Whether it had another exchange before: then its end may have been on its way when this one began.
    pub(super) is_used: bool,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Self {
        let (read, write) = (BytesMut::new(), Vec::new());
        Self { stream, read, write, is_flooded: false, has_grown: false, is_used: false }
    }

    /// Makes room for an answer, out of the memory the last one had where nobody holds it any more.
    pub(super) fn make_room(&mut self) {
        self.read.reserve(ROOM);
    }

    /// Reads what is there.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.read.capacity() - self.read.len() < LITTLE_ROOM {
            self.has_grown |= self.is_flooded;
            self.read.reserve(if self.is_flooded { MUCH_ROOM } else { ROOM });
        }
        let room = self.read.capacity() - self.read.len();
        let read = poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.read);
        if let Poll::Ready(Ok(count)) = read {
            self.is_flooded = count == room;
        }
        read
    }

    /// Gives up what an idle connection need not hold.
    pub(super) fn rest(&mut self) {
        self.is_used = true;
        self.is_flooded = false;
        if self.has_grown {
            (self.read, self.has_grown) = (BytesMut::new(), false);
        }
        if self.write.capacity() > KEPT {
            self.write = Vec::new();
        }
    }

    /// Returns whether an idle connection is still open, as far as is known without asking.
    pub(super) fn is_open(&self) -> bool {
        // Nothing is to be read from a connection on which nothing was asked.
        matches!(self.stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }
}
