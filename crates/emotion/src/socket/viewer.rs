//! One open socket: reads what the client says and shows it the reply.

use std::time::Duration;

use actix_web::error::PayloadError;
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Closed, ProtocolError, Session};
use chassis::problem::Problem;
use domain::{companion::NOTICE, ids::ConversationId, locale::Locale};
use tokio::time::{Instant, MissedTickBehavior, error::Elapsed, interval_at, timeout};

use super::{
    Patience,
    frames::{ClientFrame, ErrorView, INTERRUPTED, ServerFrame, TEXT_ONLY, Wish},
};
use crate::{
    app::App,
    conversation::Talk,
    reply::{self, Draft, End, Event, Reply, Started},
    step::BUSY,
};

/// Longest to wait for the client's half of a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a socket ends.
enum Farewell {
    /// It is told so.
    Close(CloseReason),
    /// There is nobody to tell.
    Gone,
}

impl Farewell {
    fn because(code: CloseCode, reason: &str) -> Self {
        Self::Close(CloseReason { code, description: Some(reason.to_owned()) })
    }
}

struct Viewer {
    app: App,
    session: Session,
    talk: Talk,
    locale: Locale,
    running: Option<Reply>,
}

/// Serves a socket to its end.
pub(super) async fn serve(app: App, session: Session, mut frames: AggregatedMessageStream, talk: Talk, locale: Locale) {
    let _counted = Open::new();
    let patience = app.patience;
    let mut viewer = Viewer { app, session, talk, locale, running: None };
    let farewell = viewer.converse(&mut frames).await;
    if let Err(Farewell::Close(reason)) = farewell {
        close(patience, viewer.session, frames, reason).await;
    }
}

/// Closes a socket that was not admitted.
pub(super) async fn refuse(patience: Patience, session: Session, frames: AggregatedMessageStream, reason: CloseReason) {
    close(patience, session, frames, reason).await;
}

/// Says goodbye and waits a moment for the answer: a connection that is cut while the client still sends is reset, and
/// the reset overtakes the reason.
async fn close(patience: Patience, session: Session, mut frames: AggregatedMessageStream, reason: CloseReason) {
    if !matches!(timeout(patience.send, session.close(Some(reason))).await, Ok(Ok(()))) {
        return;
    }
    let answer = async { while let Some(Ok(_)) = frames.recv().await {} };
    _ = timeout(CLOSE_TIMEOUT, answer).await;
}

impl Viewer {
    async fn converse(&mut self, frames: &mut AggregatedMessageStream) -> Result<(), Farewell> {
        let session_id = ConversationId(self.talk.conversation.id);
        self.send(&ServerFrame::Opened { session_id, notice: NOTICE.in_locale(self.locale) }).await?;
        let stopping = self.app.ground.lifecycle.stopping();
        let Patience { ping_every, silence, .. } = self.app.patience;
        let mut pings = interval_at(Instant::now() + ping_every, ping_every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard_at = Instant::now();
        loop {
            tokio::select! {
                () = stopping.cancelled() => {
                    return Err(Farewell::because(CloseCode::Away, "the service restarts, please connect again"));
                }
                frame = frames.recv() => {
                    heard_at = Instant::now();
                    self.hear(frame).await?;
                }
                event = next(&mut self.running) => self.show(event).await?,
                _ = pings.tick() => {
                    if heard_at.elapsed() >= silence {
                        return Err(Farewell::because(CloseCode::Policy, "no answer to pings"));
                    }
                    self.ping().await?;
                }
            }
        }
    }

    /// Handles a frame of the client.
    async fn hear(&mut self, frame: Option<Result<AggregatedMessage, ProtocolError>>) -> Result<(), Farewell> {
        match frame {
            Some(Ok(AggregatedMessage::Text(text))) => match ClientFrame::read(&text) {
                Ok(Wish::Say(message)) => self.say(message).await,
                Ok(Wish::Nothing) => Ok(()),
                Err(problem) => self.error(&problem).await,
            },
            Some(Ok(AggregatedMessage::Binary(_))) => self.error(&TEXT_ONLY.into()).await,
            Some(Ok(AggregatedMessage::Ping(payload))) => {
                let ponged = timeout(self.app.patience.send, self.session.pong(&payload)).await;
                delivered(ponged)
            }
            Some(Ok(AggregatedMessage::Pong(_))) => Ok(()),
            Some(Ok(AggregatedMessage::Close(reason))) => {
                Err(Farewell::Close(reason.unwrap_or_else(|| CloseCode::Normal.into())))
            }
            Some(Err(error)) => Err(cannot_read(&error)),
            None => Err(Farewell::Gone),
        }
    }

    /// Says something in the conversation; its reply is shown from then on.
    async fn say(&mut self, message: domain::companion::Message) -> Result<(), Farewell> {
        if self.running.is_some() {
            return self.error(&BUSY.into()).await;
        }
        let draft = Draft { talk: self.talk.clone(), message, insight_tag: None, locale: self.locale, attempt: None };
        match reply::start(&self.app, draft).await {
            Ok(Started::Now(reply)) => {
                self.talk.is_written = true;
                self.running = Some(reply);
            }
            // Only a repeated idempotency key leads here, and a message over the socket has none.
            Ok(Started::Before(_)) => {}
            Err(problem) => {
                problem.log();
                self.error(&problem).await?;
            }
        }
        Ok(())
    }

    /// Shows what the reply has brought.
    async fn show(&mut self, event: Event) -> Result<(), Farewell> {
        match event {
            Event::Piece(piece) => self.send(&ServerFrame::Token { token: &piece }).await,
            Event::Ended(end) => match (self.running.take(), end) {
                (Some(reply), End::Complete) => {
                    let (step_id, created_at) = (reply.step_id(), reply.created_at().into());
                    self.send(&ServerFrame::Done { done: true, step_id, created_at }).await
                }
                _ => self.error(&INTERRUPTED.into()).await,
            },
        }
    }

    async fn error(&mut self, problem: &Problem) -> Result<(), Farewell> {
        self.send(&ServerFrame::Error { error: ErrorView::new(problem, self.locale) }).await
    }

    async fn ping(&mut self) -> Result<(), Farewell> {
        delivered(timeout(self.app.patience.send, self.session.ping(b"")).await)
    }

    async fn send(&mut self, frame: &ServerFrame<'_>) -> Result<(), Farewell> {
        let Ok(text) = serde_json::to_string(frame) else {
            return Err(Farewell::because(CloseCode::Error, "unexpected error"));
        };
        delivered(timeout(self.app.patience.send, self.session.text(text)).await)
    }
}

/// Waits for the next event of a reply, for ever when there is none.
async fn next(running: &mut Option<Reply>) -> Event {
    match running {
        Some(reply) => reply.next().await,
        None => std::future::pending().await,
    }
}

/// A client that does not take a frame in time is as gone as one that hung up.
fn delivered(sent: Result<Result<(), Closed>, Elapsed>) -> Result<(), Farewell> {
    sent.map_err(|_elapsed| Farewell::Gone)?.map_err(|_closed| Farewell::Gone)
}

/// Decides what a frame that cannot be read ends the socket with.
fn cannot_read(error: &ProtocolError) -> Farewell {
    let too_large = || Farewell::because(CloseCode::Size, "a message may have 32 KiB");
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

/// Counts open sockets.
struct Open;

impl Open {
    fn new() -> Self {
        metrics::gauge!("emotion_sockets_open").increment(1.0);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!("emotion_sockets_open").decrement(1.0);
    }
}
