//! One open WebSocket: its limits, its pings, and its end.
//!
//! What a service says and understands is its own; this keeps a socket within bounds whatever the other side does. No
//! frame is larger than the limit, a peer that does not answer pings or does not take what it is sent is let go, and a
//! socket that is closed is told why.

mod frames;
mod guard;

use std::time::Duration;

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev, error::PayloadError, web::Payload};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, Closed, ProtocolError, Session};
pub use actix_ws::{CloseCode, CloseReason};
pub use bytestring::ByteString;
use domain::{
    fault::{Fault, Kind},
    locale::Locale,
};
pub use frames::Frames;
use serde::Serialize;
use tokio::time::{Instant, Interval, MissedTickBehavior, error::Elapsed, interval_at, timeout};
use utoipa::ToSchema;

use self::guard::FrameGuard;
use crate::problem::Problem;

/// The path is for WebSockets only.
pub const UPGRADE_NEEDED: Fault = Fault::new(
    Kind::Malformed,
    "websocket_needed",
    "이 경로는 WebSocket으로만 열 수 있습니다.",
    "This path can only be opened as a WebSocket.",
);
/// Frames are text.
pub const TEXT_ONLY: Fault = Fault::new(
    Kind::UnsupportedMedia,
    "text_only",
    "텍스트 프레임만 보낼 수 있습니다.",
    "Only text frames are read here.",
);

/// What a socket is told that ends because its service is about to stop.
pub const RESTARTING: &str = "the service restarts, please connect again";

/// Longest to wait for the other side's half of a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a socket is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How often the client is pinged; under the 60 s after which proxies drop idle connections.
    pub ping_every: Duration,
    /// After how much silence it is taken for gone: two pings without an answer.
    pub silence: Duration,
    /// How long it may take to accept one frame. A slower reader is let go.
    pub send: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { ping_every: Duration::from_secs(20), silence: Duration::from_secs(45), send: Duration::from_secs(5) }
    }
}

/// What a socket may do.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Largest frame, and largest message over several frames, bytes.
    pub frame_max: usize,
    /// How long it is waited for.
    pub patience: Patience,
}

/// What a client has said.
#[derive(Debug)]
pub enum Heard {
    /// A text, however many frames it came in.
    Text(ByteString),
    /// Bytes, which nobody here reads.
    Binary,
}

/// Why a socket ends.
#[derive(Debug)]
pub enum Farewell {
    /// It is told so.
    Close(CloseReason),
    /// There is nobody to tell.
    Gone,
}

impl Farewell {
    /// Ends with a code and a reason, which is for developers.
    pub fn because(code: CloseCode, reason: &str) -> Self {
        Self::Close(CloseReason { code, description: Some(reason.to_owned()) })
    }

    /// Ends because the service is about to stop.
    pub fn restarting() -> Self {
        Self::because(CloseCode::Away, RESTARTING)
    }
}

/// An open WebSocket.
pub struct Socket {
    session: Session,
    frames: AggregatedMessageStream,
    bounds: Bounds,
    pings: Interval,
    heard_at: Instant,
}

/// Answers a request for a socket with 101.
///
/// # Errors
/// [`UPGRADE_NEEDED`] when the request is none for a WebSocket.
pub fn open(req: &HttpRequest, payload: Payload, bounds: Bounds) -> Result<(HttpResponse, Socket), Fault> {
    let guarded = FrameGuard::new(payload, bounds.frame_max);
    let payload = Payload::from_request(req, &mut dev::Payload::Stream { payload: Box::pin(guarded) }).into_inner();
    let opened = payload.and_then(|payload| actix_ws::handle(req, payload));
    let (response, session, frames) = opened.map_err(|_handshake| UPGRADE_NEEDED)?;
    let frames =
        frames.max_frame_size(bounds.frame_max).aggregate_continuations().max_continuation_size(bounds.frame_max);
    let ping_every = bounds.patience.ping_every;
    let mut pings = interval_at(Instant::now() + ping_every, ping_every);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    Ok((response, Socket { session, frames, bounds, pings, heard_at: Instant::now() }))
}

impl Socket {
    /// Waits for what the client says next; pings it and answers its pings meanwhile. May be dropped at any await.
    ///
    /// # Errors
    /// Returns how the socket ends when it does.
    pub async fn hear(&mut self) -> Result<Heard, Farewell> {
        loop {
            tokio::select! {
                frame = self.frames.recv() => {
                    self.heard_at = Instant::now();
                    if let Some(heard) = self.read(frame).await? {
                        return Ok(heard);
                    }
                }
                _ = self.pings.tick() => {
                    if self.heard_at.elapsed() >= self.bounds.patience.silence {
                        return Err(Farewell::because(CloseCode::Policy, "no answer to pings"));
                    }
                    delivered(timeout(self.bounds.patience.send, self.session.ping(b"")).await)?;
                }
            }
        }
    }

    async fn read(
        &mut self,
        frame: Option<Result<AggregatedMessage, ProtocolError>>,
    ) -> Result<Option<Heard>, Farewell> {
        match frame {
            Some(Ok(AggregatedMessage::Text(text))) => Ok(Some(Heard::Text(text))),
            Some(Ok(AggregatedMessage::Binary(_))) => Ok(Some(Heard::Binary)),
            Some(Ok(AggregatedMessage::Ping(payload))) => {
                delivered(timeout(self.bounds.patience.send, self.session.pong(&payload)).await).map(|()| None)
            }
            Some(Ok(AggregatedMessage::Pong(_))) => Ok(None),
            Some(Ok(AggregatedMessage::Close(reason))) => {
                Err(Farewell::Close(reason.unwrap_or_else(|| CloseCode::Normal.into())))
            }
            Some(Err(error)) => Err(self.cannot_read(&error)),
            None => Err(Farewell::Gone),
        }
    }

    /// Sends a text frame.
    ///
    /// # Errors
    /// [`Farewell::Gone`] when the client does not take it in time.
    pub async fn send(&mut self, text: impl Into<ByteString>) -> Result<(), Farewell> {
        delivered(timeout(self.bounds.patience.send, self.session.text(text)).await)
    }

    /// Ends the socket. Says goodbye and waits a moment for the answer: a connection that is cut while the client still
    /// sends is reset, and the reset overtakes the reason.
    pub async fn end(mut self, farewell: Farewell) {
        let Farewell::Close(reason) = farewell else { return };
        if !matches!(timeout(self.bounds.patience.send, self.session.close(Some(reason))).await, Ok(Ok(()))) {
            return;
        }
        let answer = async { while let Some(Ok(_)) = self.frames.recv().await {} };
        _ = timeout(CLOSE_TIMEOUT, answer).await;
    }

    /// Decides what a frame that cannot be read ends the socket with.
    fn cannot_read(&self, error: &ProtocolError) -> Farewell {
        let too_large = || {
            let reason = format!("a message may have {} KiB", self.bounds.frame_max / 1_024);
            Farewell::because(CloseCode::Size, &reason)
        };
        let ProtocolError::Io(error) = error else {
            return match error {
                ProtocolError::Overflow => too_large(),
                _ => Farewell::because(CloseCode::Protocol, "not a WebSocket frame"),
            };
        };
        if error.kind() == std::io::ErrorKind::InvalidData {
            return Farewell::because(CloseCode::Invalid, "text is UTF-8");
        }
        match error.get_ref().and_then(|cause| cause.downcast_ref::<PayloadError>()) {
            // The frame guard, or the library about a message over several frames, which it gives no type of its own.
            Some(PayloadError::Overflow) | None => too_large(),
            Some(_broken_connection) => Farewell::Gone,
        }
    }
}

/// Why a frame was refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorView {
    /// Stable, machine-readable.
    pub code: String,
    /// For people, in the language the socket was opened in.
    pub message: String,
    /// Seconds after which it is worth another try; what `Retry-After` is to a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
}

impl ErrorView {
    /// Describes a problem; of several invalid fields the first.
    pub fn new(problem: &Problem, locale: Locale) -> Self {
        let (view, retry_after) = (problem.view(locale, ""), problem.seconds_to_wait());
        match view.errors.and_then(|fields| fields.into_iter().next()) {
            Some(field) => Self { code: field.code, message: field.detail, retry_after },
            None => Self { code: view.code, message: view.detail, retry_after },
        }
    }
}

/// A client that does not take a frame in time is as gone as one that hung up.
fn delivered(sent: Result<Result<(), Closed>, Elapsed>) -> Result<(), Farewell> {
    sent.map_err(|_elapsed| Farewell::Gone)?.map_err(|_closed| Farewell::Gone)
}
