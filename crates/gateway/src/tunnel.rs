//! WebSockets, as a pair of pipes: bytes go both ways as they come and no frame is read here.
//!
//! The client's half-close is passed on and what the service still says is delivered; when the service closes, the
//! tunnel ends. It also ends when its login does, and when this process stops.

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
    problem::{Outcome, Problem},
    revocation::Watch,
};
use futures_util::{Stream, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Chain},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
    sync::oneshot,
    time::sleep,
};
use tokio_util::{io::ReaderStream, sync::WaitForCancellationFutureOwned};

use crate::{client::Answer, headers, ticket::Burnt};

/// Bytes read from a service at once; small, because most tunnels are quiet most of the time.
const BUFFER: usize = 8 * 1024;
/// How long the last words of a client that has left may take to reach the service.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Turns a service's 101 into the client's, with a tunnel behind it; a `ticket` it was opened with is the subprotocol,
/// unless the service selected another.
///
/// # Errors
/// Returns a problem when the service's connection cannot be taken over.
pub fn open(answer: Answer, payload: Payload, watch: Watch, ticket: Option<&Burnt>) -> Outcome<HttpResponse> {
    let (stream, early) = answer.body.into_tunnel()?;
    let (read, write) = stream.into_split();
    let (hang_up, over) = oneshot::channel();
    actix_web::rt::spawn(upward(payload, write, over));
    metrics::gauge!("tunnels_open").increment(1);
    let downward = Downward {
        read: ReaderStream::with_capacity(Cursor::new(early).chain(read), BUFFER),
        ended: Box::pin(watch.ended().cancelled_owned()),
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
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Used when the tunnel is over; dropped without a word when the client has left.
    hang_up: Option<oneshot::Sender<()>>,
    _watch: Watch,
}

impl Downward {
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
        if this.ended.as_mut().poll(cx).is_ready() {
            this.hang_up();
            return Poll::Ready(None);
        }
        match Pin::new(&mut this.read).poll_next(cx) {
            Poll::Ready(Some(Ok(chunk))) => Poll::Ready(Some(Ok(chunk))),
            Poll::Ready(Some(Err(error))) => {
                this.hang_up();
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                this.hang_up();
                Poll::Ready(None)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Downward {
    fn drop(&mut self) {
        metrics::gauge!("tunnels_open").decrement(1);
    }
}
