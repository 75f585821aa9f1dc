//! Connections that stop speaking HTTP.
//!
//! What a handler answers with 101 goes on over the bare connection. The library's own dispatcher could do that too, and
//! keeps its two buffers, of 8 KiB each, for as long as the connection lives. A socket is silent most of its life, so here
//! nothing is kept for it: what comes is read when somebody waits for it, and what goes is written as it is.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::poll_fn,
    io,
    marker::PhantomData,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
};

use actix_codec::{Encoder, Framed, FramedParts};
use actix_http::{
    ConnectionType, Request, Response, StatusCode,
    body::{BodySize, BoxBody, MessageBody},
    error::PayloadError,
    h1::{Codec, Message},
};
use actix_service::{Service, ServiceFactory, always_ready};
use actix_web::{dev::Payload, rt::net::TcpStream};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, future::LocalBoxFuture};
use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
    time::timeout,
};

use super::LINGER;

/// Most bytes that are read at once.
const READ_MAX: usize = 16 * 1024;
/// Bytes that are worth a write of their own: more of what is ready is not waited for.
const WRITE_ENOUGH: usize = 32 * 1024;

thread_local! {
    /// What is read goes through here: a buffer of each worker in place of one of each connection.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_MAX].into());
}

type Upgrade = (Request, Framed<TcpStream, Codec>);

/// Serves requests for another protocol, by the same routes as all others.
pub(super) struct Upgrades<F, B> {
    app: F,
    body: PhantomData<fn() -> B>,
}

impl<F, B> Upgrades<F, B> {
    pub(super) const fn new(app: F) -> Self {
        Self { app, body: PhantomData }
    }
}

impl<F, B> ServiceFactory<Upgrade> for Upgrades<F, B>
where
    F: ServiceFactory<Request, Config = (), InitError = ()>,
    F::Future: 'static,
    F::Service: 'static,
    F::Error: Into<Response<BoxBody>>,
    F::Response: Into<Response<B>>,
    B: MessageBody + 'static,
{
    type Response = ();
    type Error = Infallible;
    type Config = ();
    type Service = Routes<F::Service, B>;
    type InitError = ();
    type Future = LocalBoxFuture<'static, Result<Self::Service, ()>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let app = self.app.new_service(());
        Box::pin(async move { Ok(Routes { app: Rc::new(app.await?), body: PhantomData }) })
    }
}

/// The routes of one worker.
pub(super) struct Routes<S, B> {
    app: Rc<S>,
    body: PhantomData<fn() -> B>,
}

impl<S, B> Service<Upgrade> for Routes<S, B>
where
    S: Service<Request> + 'static,
    S::Error: Into<Response<BoxBody>>,
    S::Response: Into<Response<B>>,
    B: MessageBody + 'static,
{
    type Response = ();
    type Error = Infallible;
    type Future = LocalBoxFuture<'static, Result<(), Infallible>>;

    always_ready!();

    fn call(&self, (mut request, framed): Upgrade) -> Self::Future {
        let app = Rc::clone(&self.app);
        Box::pin(async move {
            let FramedParts { io, codec, read_buf, write_buf, .. } = framed.into_parts();
            let (read, write) = io.into_split();
            // Copied, so that the buffer it was read into is not kept.
            let early = Bytes::copy_from_slice(&read_buf);
            drop(read_buf);
            *request.payload() = Payload::Stream { payload: Box::pin(Incoming { early, read }) };
            let line = Line(write);
            let ended = match app.call(request).await {
                Ok(response) => line.answer(codec, write_buf, response.into()).await,
                Err(error) => line.answer(codec, write_buf, error.into()).await,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection broke");
            }
            Ok(())
        })
    }
}

/// What the client says, as it comes.
struct Incoming {
    /// What came together with the request.
    early: Bytes,
    read: OwnedReadHalf,
}

impl Stream for Incoming {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if !this.early.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut this.early))));
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut into = ReadBuf::new(scratch);
            let read = ready!(Pin::new(&mut this.read).poll_read(cx, &mut into));
            Poll::Ready(match (read, into.filled()) {
                (Err(error), _) => Some(Err(PayloadError::Incomplete(Some(error)))),
                (Ok(()), []) => None,
                (Ok(()), bytes) => Some(Ok(Bytes::copy_from_slice(bytes))),
            })
        })
    }
}

/// The side of a connection on which the client is answered. When it is dropped the connection is over, for whoever still
/// reads from it as well.
struct Line(OwnedWriteHalf);

impl Line {
    /// Sends an answer behind those to earlier requests, which are in `out`, and what its body says for as long as it does.
    async fn answer<B: MessageBody>(
        mut self,
        mut codec: Codec,
        mut out: BytesMut,
        answer: Response<B>,
    ) -> io::Result<()> {
        let is_upgraded = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        let (mut head, body) = answer.into_parts();
        let size = body.size();
        if !is_upgraded {
            // The client may have sent something else than HTTP behind its request.
            head.head_mut().set_connection_type(ConnectionType::Close);
        }
        codec.encode(Message::Item((head, size)), &mut out)?;
        self.0.write_all(&out).await?;
        drop(out);
        let mut body = pin!(body);
        if is_upgraded {
            loop {
                let (some, is_over) = next(body.as_mut()).await;
                self.0.write_all(&some).await?;
                if is_over {
                    break;
                }
            }
        } else if !matches!(size, BodySize::None | BodySize::Sized(0)) {
            self.rest(codec, body).await?;
        }
        self.hang_up().await
    }

    /// Sends the body of an answer in HTTP.
    async fn rest<B: MessageBody>(&mut self, mut codec: Codec, mut body: Pin<&mut B>) -> io::Result<()> {
        loop {
            let (some, is_over) = next(body.as_mut()).await;
            let mut out = BytesMut::new();
            if !some.is_empty() {
                codec.encode(Message::Chunk(Some(some)), &mut out)?;
            }
            if is_over {
                codec.encode(Message::Chunk(None), &mut out)?;
            }
            self.0.write_all(&out).await?;
            if is_over {
                return Ok(());
            }
        }
    }

    /// Says that nothing more comes, and reads for a while what is still sent: a connection that is closed before that is
    /// reset, and the reset overtakes what was said last.
    async fn hang_up(mut self) -> io::Result<()> {
        self.0.shutdown().await?;
        let stream: &TcpStream = self.0.as_ref();
        let silence = async {
            loop {
                stream.readable().await?;
                match SCRATCH.with_borrow_mut(|scratch| stream.try_read(scratch)) {
                    Ok(0) => return Ok(()),
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                    Ok(_) | Err(_) => {}
                }
            }
        };
        timeout(LINGER, silence).await.unwrap_or(Ok(()))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // Fails when the client has hung up before.
        _ = rustix::net::shutdown(self.0.as_ref(), rustix::net::Shutdown::Both);
    }
}

/// Waits for something to send, and takes along what else is ready; also returns whether that was all.
async fn next<B: MessageBody>(mut body: Pin<&mut B>) -> (Bytes, bool) {
    poll_fn(|cx| {
        let mut some = Bytes::new();
        while some.len() < WRITE_ENOUGH {
            match body.as_mut().poll_next(cx) {
                Poll::Pending if some.is_empty() => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(Some(Ok(more))) => some = join(some, more),
                Poll::Ready(None | Some(Err(_))) => return Poll::Ready((some, true)),
            }
        }
        Poll::Ready((some, false))
    })
    .await
}

/// Puts bytes together; one of both is empty most of the time, and then nothing is copied.
fn join(first: Bytes, second: Bytes) -> Bytes {
    if first.is_empty() {
        return second;
    }
    let mut both = first.try_into_mut().unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
    both.extend_from_slice(&second);
    both.freeze()
}
