//! WebSockets, as a pair of pipes: bytes go both ways as they come and no frame is read here.
//!
//! The client's half-close is passed on and what the service still says is delivered; when the service closes, the
//! tunnel ends. It also ends when its login does. When this process stops, the client is told to connect again between
//! two frames of the service: of these it is known where they begin, and no more.

use std::{
    error::Error,
    io::Cursor,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    HttpResponse,
    body::{BodySize, MessageBody},
    http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL},
    web::Payload,
};
use bytes::Bytes;
use chassis::{
    lifecycle::OpenSocket,
    problem::{Outcome, Problem},
    revocation::Watch,
    socket::{CloseCode, Frames, RESTARTING},
};
use futures_util::{Stream, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Chain},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
    sync::oneshot,
    time::{Sleep, sleep},
};
use tokio_util::{io::ReaderStream, sync::WaitForCancellationFutureOwned};

use crate::{client::Answer, headers, ticket::Burnt};

/// Bytes read from a service at once; small, because most tunnels are quiet most of the time.
const BUFFER: usize = 8 * 1024;
/// How long the last words of a client that has left may take to reach the service.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long a client that was told to connect again may take to close. One that is cut off while it sends is reset, and
/// the reset overtakes the reason.
const GOODBYE: Duration = Duration::from_secs(1);
/// The first byte of a frame that closes, with nothing behind it.
const CLOSE: u8 = 0x88;

/// Turns a service's 101 into the client's, with a tunnel behind it, that lasts as long as `watch` and the `socket` do; a
/// `ticket` it was opened with is the subprotocol, unless the service selected another.
///
/// # Errors
/// Returns a problem when the service's connection cannot be taken over.
pub fn open(
    answer: Answer,
    payload: Payload,
    (watch, socket): (Watch, OpenSocket),
    ticket: Option<&Burnt>,
) -> Outcome<HttpResponse> {
    let (stream, early) = answer.body.into_tunnel()?;
    let (read, write) = stream.into_split();
    let (hang_up, over) = oneshot::channel();
    actix_web::rt::spawn(upward(payload, write, over));
    metrics::gauge!("tunnels_open").increment(1);
    let downward = Downward {
        read: ReaderStream::with_capacity(Cursor::new(early).chain(read), BUFFER),
        frames: Frames::default(),
        ended: Box::pin(watch.ended().cancelled_owned()),
        farewell: Farewell::NotYet(Box::pin(socket.must_end_owned())),
        hang_up: Some(hang_up),
        _watch: watch,
    };
    let mut response = HttpResponse::SwitchingProtocols().upgrade("websocket").body(downward);
    headers::copy_to_client(&answer.head, response.headers_mut());
    if let Some(ticket) = ticket
        && !response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL)
    {
        let protocol = HeaderValue::try_from(ticket.protocol()).map_err(Problem::unexpected)?;
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}

/// Carries what the client says. Its end and its disappearance look alike here, and both end the service's input.
async fn upward(mut payload: Payload, mut write: OwnedWriteHalf, over: oneshot::Receiver<()>) {
    let carry = async {
        while let Some(Ok(chunk)) = payload.next().await {
            if write.write_all(&chunk).await.is_err() {
                break;
            }
        }
        // Fails when the service has left first, which is all right.
        _ = write.shutdown().await;
    };
    let hung_up = async {
        if over.await.is_err() {
            sleep(LAST_WORDS).await;
        }
    };
    tokio::select! {
        () = carry => {}
        () = hung_up => {}
    }
}

/// Carries what the service says.
struct Downward {
    read: ReaderStream<Chain<Cursor<Bytes>, OwnedReadHalf>>,
    frames: Frames,
    farewell: Farewell,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Used when the tunnel is over; dropped without a word when the client has left.
    hang_up: Option<oneshot::Sender<()>>,
    _watch: Watch,
}

/// How far the end of this process has come for a tunnel.
enum Farewell {
    /// It has not, or this one's turn has not.
    NotYet(Pin<Box<dyn Future<Output = ()>>>),
    /// To be said when the service's frame is over.
    Due,
    /// The client may answer until then, and is sent nothing any more.
    Said(Pin<Box<Sleep>>),
}

/// Writes the frame that says goodbye.
fn goodbye() -> Bytes {
    let mut frame = vec![CLOSE, u8::try_from(2 + RESTARTING.len()).unwrap_or_default()];
    frame.extend(u16::from(CloseCode::Away).to_be_bytes());
    frame.extend(RESTARTING.as_bytes());
    frame.into()
}

impl Downward {
    /// Goes on with the farewell; returns the frame when it is to be said now.
    fn say_goodbye(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        if let Farewell::NotYet(turn) = &mut self.farewell
            && turn.as_mut().poll(cx).is_ready()
        {
            self.farewell = Farewell::Due;
        }
        if matches!(self.farewell, Farewell::Due) && self.frames.is_between() {
            self.farewell = Farewell::Said(Box::pin(sleep(GOODBYE)));
            return Some(goodbye());
        }
        None
    }

    /// Returns whether the client has had the time to answer a goodbye.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.farewell {
            Farewell::Said(time) => time.as_mut().poll(cx).is_ready(),
            Farewell::NotYet(_) | Farewell::Due => false,
        }
    }

    fn hang_up(&mut self) {
        if let Some(hang_up) = self.hang_up.take() {
            // Nobody listens when the client has ended its side before.
            _ = hang_up.send(());
        }
    }
}

impl MessageBody for Downward {
    type Error = Box<dyn Error>;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        loop {
            if let Some(frame) = this.say_goodbye(cx) {
                return Poll::Ready(Some(Ok(frame)));
            }
            if this.is_over(cx) || this.ended.as_mut().poll(cx).is_ready() {
                this.hang_up();
                return Poll::Ready(None);
            }
            match Pin::new(&mut this.read).poll_next(cx) {
                Poll::Ready(Some(Ok(_too_late))) if matches!(this.farewell, Farewell::Said(_)) => {}
                Poll::Ready(Some(Ok(chunk))) => {
                    this.frames.pass(&chunk, |_any| true);
                    return Poll::Ready(Some(Ok(chunk)));
                }
                Poll::Ready(Some(Err(error))) => {
                    this.hang_up();
                    return Poll::Ready(Some(Err(error.into())));
                }
                Poll::Ready(None) => {
                    this.hang_up();
                    return Poll::Ready(None);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Drop for Downward {
    fn drop(&mut self) {
        metrics::gauge!("tunnels_open").decrement(1);
    }
}
