//! One open socket: reads what the client says and shows it the reply.

use chassis::{
    problem::Problem,
    socket::{CloseCode, ErrorView, Farewell, Heard, Socket, TEXT_ONLY},
};
use domain::{companion::NOTICE, ids::ConversationId, locale::Locale};

use super::frames::{ClientFrame, INTERRUPTED, ServerFrame, Wish};
use crate::{
    app::App,
    conversation::Talk,
    reply::{self, Draft, End, Event, Reply, Started},
    step::BUSY,
};

struct Viewer {
    app: App,
    socket: Socket,
    talk: Talk,
    locale: Locale,
    running: Option<Reply>,
}

/// Serves a socket to its end.
pub(super) async fn serve(app: App, socket: Socket, talk: Talk, locale: Locale) {
    let _counted = Open::new();
    let mut viewer = Viewer { app, socket, talk, locale, running: None };
    if let Err(farewell) = viewer.converse().await {
        viewer.socket.end(farewell).await;
    }
}

impl Viewer {
    async fn converse(&mut self) -> Result<(), Farewell> {
        let session_id = ConversationId(self.talk.conversation.id);
        self.send(&ServerFrame::Opened { session_id, notice: NOTICE.in_locale(self.locale) }).await?;
        let stopping = self.app.ground.lifecycle.stopping();
        loop {
            tokio::select! {
                () = stopping.cancelled() => return Err(Farewell::restarting()),
                heard = self.socket.hear() => self.answer(heard?).await?,
                event = next(&mut self.running) => self.show(event).await?,
            }
        }
    }

    /// Handles a frame of the client.
    async fn answer(&mut self, heard: Heard) -> Result<(), Farewell> {
        let Heard::Text(text) = heard else { return self.error(&TEXT_ONLY.into()).await };
        match ClientFrame::read(&text) {
            Ok(Wish::Say(message)) => self.say(message).await,
            Ok(Wish::Nothing) => Ok(()),
            Err(problem) => self.error(&problem).await,
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

    async fn send(&mut self, frame: &ServerFrame<'_>) -> Result<(), Farewell> {
        let Ok(text) = serde_json::to_string(frame) else {
            return Err(Farewell::because(CloseCode::Error, "unexpected error"));
        };
        self.socket.send(text).await
    }
}

/// Waits for the next event of a reply, for ever when there is none.
async fn next(running: &mut Option<Reply>) -> Event {
    match running {
        Some(reply) => reply.next().await,
        None => std::future::pending().await,
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
