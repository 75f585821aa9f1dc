//! The two ends of an upgraded connection, joined in memory.
//!
//! The Socket.IO library writes WebSocket frames to a stream; the HTTP server wants the body of an answer and offers that
//! of a request. Between them stands this pipe: what is written waits here until the server takes it, all of it at once,
//! and an idle connection keeps no buffer. It also ends what the library would wait for without end: a client that has
//! not taken a byte for [`STALL`] is written to no more, and a connection can be closed from outside. And what many are
//! told comes in here, framed once for all of them, between the frames of the library.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use actix_web::body::{BodySize, MessageBody};
use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::frame::Frames;

/// Most bytes that wait for the server to take them; the kernel's buffers and the server's own come behind.
const DOWN_MAX: usize = 16 * 1024;
/// Most bytes that are told to many and wait for the server to take them; some 1,500 events. What comes on top is dropped.
const TOLD_MAX: usize = 256 * 1024;
/// Most bytes that wait for the library to read them.
const UP_MAX: usize = 16 * 1024;
/// How long a client may leave what was written for it where it is. Under the 20 s a ping may go unanswered, so that the
/// library can let go of the connection when it wants to.
pub(super) const STALL: Duration = Duration::from_secs(15);

/// Makes a pipe; a client that takes nothing for `stall` is given up.
pub(super) fn pipe(stall: Duration) -> (ServerEnd, ClientEnd) {
    let shared = Arc::new(Shared::default());
    let server = ServerEnd { shared: shared.clone(), stall, timer: None };
    (server, ClientEnd(shared))
}

#[derive(Default)]
struct Shared {
    down: Mutex<Down>,
    up: Mutex<Up>,
}

/// What goes to the client.
#[derive(Default)]
struct Down {
    bytes: BytesMut,
    /// How many of them the library wrote.
    written: usize,
    /// Where the library's frames end.
    frames: Frames,
    /// Frames that wait for the end of one that the library is writing.
    behind: VecDeque<Bytes>,
    behind_size: usize,
    /// The library writes no more.
    is_done: bool,
    /// Nobody takes any more.
    is_gone: bool,
    taker: Option<Waker>,
    writer: Option<Waker>,
}

/// What comes from the client.
#[derive(Default)]
struct Up {
    chunks: VecDeque<Bytes>,
    size: usize,
    /// The client sends no more, or shall not be heard any more.
    is_done: bool,
    /// The library reads no more.
    is_gone: bool,
    reader: Option<Waker>,
    sender: Option<Waker>,
}

impl Down {
    /// Takes what the library writes, and what waited for the end of a frame.
    fn write(&mut self, data: &[u8]) {
        self.bytes.extend_from_slice(data);
        self.written += data.len();
        self.frames.pass(data);
        if self.frames.are_whole() {
            for frame in std::mem::take(&mut self.behind) {
                self.bytes.extend_from_slice(&frame);
            }
            self.behind_size = 0;
        }
    }
}

impl Shared {
    fn down(&self) -> MutexGuard<'_, Down> {
        self.down.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn up(&self) -> MutexGuard<'_, Up> {
        self.up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end_of_input(&self) {
        let mut up = self.up();
        up.is_done = true;
        wake(&mut up.reader);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// Keeps who is to be woken.
fn wait(waker: &mut Option<Waker>, cx: &Context<'_>) {
    match waker {
        Some(known) if known.will_wake(cx.waker()) => {}
        _ => *waker = Some(cx.waker().clone()),
    }
}

/// The end that the library reads and writes.
pub(super) struct ServerEnd {
    shared: Arc<Shared>,
    stall: Duration,
    /// Runs while a write waits.
    timer: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for ServerEnd {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut up = self.shared.up();
        let Some(chunk) = up.chunks.front_mut() else {
            if up.is_done {
                return Poll::Ready(Ok(()));
            }
            wait(&mut up.reader, cx);
            return Poll::Pending;
        };
        let taken = chunk.len().min(buf.remaining());
        buf.put_slice(chunk.get(..taken).unwrap_or_default());
        chunk.advance(taken);
        let is_used_up = chunk.is_empty();
        if is_used_up {
            up.chunks.pop_front();
            if up.chunks.is_empty() {
                up.chunks = VecDeque::new();
            }
        }
        up.size -= taken;
        wake(&mut up.sender);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ServerEnd {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let mut down = this.shared.down();
        if down.is_gone || down.is_done {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = DOWN_MAX.saturating_sub(down.written);
        if room > 0 {
            let taken = room.min(data.len());
            down.write(data.get(..taken).unwrap_or_default());
            wake(&mut down.taker);
            this.timer = None;
            return Poll::Ready(Ok(taken));
        }
        wait(&mut down.writer, cx);
        let stall = this.stall;
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + stall)));
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        down.is_gone = true;
        wake(&mut down.taker);
        drop(down);
        metrics::counter!("socketio_stalled_total").increment(1);
        // The library notices a broken connection only when it reads.
        this.shared.end_of_input();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut down = self.shared.down();
        down.is_done = true;
        wake(&mut down.taker);
        Poll::Ready(Ok(()))
    }
}

impl Drop for ServerEnd {
    fn drop(&mut self) {
        let mut down = self.shared.down();
        down.is_done = true;
        wake(&mut down.taker);
        drop(down);
        let mut up = self.shared.up();
        up.is_gone = true;
        up.chunks.clear();
        wake(&mut up.sender);
    }
}

/// The end that the HTTP server has.
pub(super) struct ClientEnd(Arc<Shared>);

impl ClientEnd {
    /// Returns what the client is sent, as the body of an answer.
    pub(super) fn downward(&self) -> Downward {
        Downward(self.0.clone())
    }

    /// Returns what the client says, to be filled in.
    pub(super) fn upward(&self) -> Upward {
        Upward(self.0.clone())
    }

    /// Returns what reaches the connection from outside.
    pub(super) fn wire(&self) -> Wire {
        Wire(self.0.clone())
    }
}

/// The body of an answer.
pub(super) struct Downward(Arc<Shared>);

impl MessageBody for Downward {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let mut down = self.0.down();
        if down.is_gone {
            return Poll::Ready(None);
        }
        if down.bytes.is_empty() {
            if down.is_done {
                return Poll::Ready(None);
            }
            wait(&mut down.taker, cx);
            return Poll::Pending;
        }
        // All of it, and no buffer stays behind.
        let bytes = std::mem::take(&mut down.bytes).freeze();
        down.written = 0;
        wake(&mut down.writer);
        Poll::Ready(Some(Ok(bytes)))
    }
}

impl Drop for Downward {
    fn drop(&mut self) {
        let mut down = self.0.down();
        down.is_gone = true;
        down.bytes = BytesMut::new();
        down.behind = VecDeque::new();
        wake(&mut down.writer);
        drop(down);
        self.0.end_of_input();
    }
}

/// Takes what the client says.
pub(super) struct Upward(Arc<Shared>);

impl Upward {
    /// Passes bytes on, when there is room for them; returns whether anybody reads them.
    pub(super) async fn push(&self, bytes: Bytes) -> bool {
        let mut bytes = Some(bytes).filter(|bytes| !bytes.is_empty());
        poll_fn(|cx| {
            let mut up = self.0.up();
            if up.is_gone || up.is_done {
                return Poll::Ready(false);
            }
            if up.size >= UP_MAX {
                wait(&mut up.sender, cx);
                return Poll::Pending;
            }
            if let Some(bytes) = bytes.take() {
                up.size += bytes.len();
                up.chunks.push_back(bytes);
                wake(&mut up.reader);
            }
            Poll::Ready(true)
        })
        .await
    }

    /// Waits until nobody reads any more.
    pub(super) async fn unheard(&self) {
        poll_fn(|cx| {
            let mut up = self.0.up();
            if up.is_gone {
                return Poll::Ready(());
            }
            wait(&mut up.sender, cx);
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Upward {
    fn drop(&mut self) {
        self.0.end_of_input();
    }
}

/// Reaches a connection from outside.
#[derive(Clone)]
pub(super) struct Wire(Arc<Shared>);

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Yes,
    /// The client does not take what it is sent.
    Full,
    /// There is no connection any more.
    Gone,
}

impl Wire {
    /// Ends the connection: the library reads its end, and says goodbye. What is on its way to the client still arrives.
    pub(super) fn close(&self) {
        self.0.end_of_input();
    }

    /// Returns whether the connection has ended.
    pub(super) fn is_gone(&self) -> bool {
        let down = self.0.down();
        down.is_gone || down.is_done
    }

    /// Sends a whole frame, between those of the library.
    pub(super) fn tell(&self, frame: &Bytes) -> Told {
        let mut down = self.0.down();
        if down.is_gone || down.is_done {
            return Told::Gone;
        }
        if down.bytes.len() + down.behind_size + frame.len() > TOLD_MAX {
            return Told::Full;
        }
        if down.frames.are_whole() {
            down.bytes.extend_from_slice(frame);
            wake(&mut down.taker);
        } else {
            down.behind_size += frame.len();
            down.behind.push_back(frame.clone());
        }
        Told::Yes
    }
}

#[cfg(test)]
mod tests;
