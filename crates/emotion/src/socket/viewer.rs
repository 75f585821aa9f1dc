//! One open socket: reads what the client says and shows it the replies of its conversation, one after the other.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use chassis::{
    problem::Problem,
    socket::{CloseCode, Farewell, Heard, Socket, TEXT_ONLY},
};
use domain::{
    companion::Message,
    ids::{ConversationId, StepId, UserId},
    locale::Locale,
    safety::Level,
};
use tokio::time::Instant;

use super::{
    dialect::{Dialect, Frame},
    entry::Admitted,
    frames::{INTERRUPTED, TypedFrame},
    said::{ClientFrame, Said, Wish},
};
use crate::{
    app::App,
    conversation::{
        Talk,
        end::{self, EndRequest, Notes},
    },
    reply::{self, Draft, Event, Live, Opening, Reply, Room, Started},
};

struct Viewer {
    app: App,
    socket: Socket,
    talk: Talk,
    locale: Locale,
    dialect: Dialect,
    room: Room,
    showing: Option<Showing>,
    waiting: VecDeque<Showing>,
    /// The replies that were put in line last.
    known: VecDeque<(StepId, i32)>,
    /// The language of the card that was shown last in full, and when that was.
    card: Option<(Locale, Instant)>,
}

/// How long a card that was shown counts as being before the person's eyes.
const CARD_KEPT: Duration = Duration::from_mins(30);

/// Replies that a socket remembers to know: more than can begin before it is told of them.
const KNOWN_MAX: usize = 16;

/// A reply on this socket.
struct Showing {
    reply: Reply,
    is_duplicate: bool,
    has_begun: bool,
}

impl Showing {
    const fn new(reply: Reply, is_duplicate: bool) -> Self {
        Self { reply, is_duplicate, has_begun: false }
    }
}

/// Serves a socket to its end.
pub(super) async fn serve(app: App, socket: Socket, admitted: Admitted, locale: Locale) {
    let Admitted { talk, place, dialect, login } = admitted;
    let _counted = Open::new();
    let room = app.replies.enter(ConversationId(talk.conversation.id));
    let (showing, waiting, known, card) = (None, VecDeque::new(), VecDeque::new(), None);
    let mut viewer = Viewer { app, socket, talk, locale, dialect, room, showing, waiting, known, card };
    let farewell = tokio::select! {
        ended = viewer.converse() => ended.err(),
        farewell = login.ended() => Some(farewell),
    };
    if let Some(farewell) = farewell {
        Box::pin(viewer.socket.end(farewell)).await;
    }
    drop(place);
}

impl Viewer {
    const fn session_id(&self) -> ConversationId {
        ConversationId(self.talk.conversation.id)
    }

    const fn owner(&self) -> UserId {
        UserId(self.talk.conversation.user_id)
    }

    async fn converse(&mut self) -> Result<(), Farewell> {
        reply::prepare(&self.app, &self.talk);
        self.send(self.dialect.opened(self.session_id(), self.locale)).await?;
        let mut must_end = std::pin::pin!(self.app.ground.lifecycle.socket().must_end_owned());
        loop {
            tokio::select! {
                () = &mut must_end => return Err(Farewell::restarting()),
                // Put aside: most of the time nothing is said, and there are many of these.
                heard = self.socket.hear() => Box::pin(self.answer(heard?)).await?,
                event = next(&self.app, &mut self.showing) => self.show(event).await?,
                live = self.room.next() => self.notice(&live),
            }
            if self.showing.is_none() {
                self.showing = self.waiting.pop_front();
            }
        }
    }

    /// Handles a frame of the client.
    async fn answer(&mut self, heard: Heard) -> Result<(), Farewell> {
        let Heard::Text(text) = heard else { return self.error(&TEXT_ONLY.into(), None).await };
        match ClientFrame::read(&text) {
            Ok(Wish::Say(said)) => self.say(said).await,
            Ok(Wish::Open(_who_is_known)) => {
                self.dialect = Dialect::Typed;
                self.send(self.dialect.opened(self.session_id(), self.locale)).await
            }
            Ok(Wish::Stop(step)) => self.stop(step).await,
            Ok(Wish::Resume(step, seen)) => self.resume(step, seen).await,
            Ok(Wish::Ping) => self.send(self.dialect.only_typed(&TypedFrame::Pong)).await,
            Ok(Wish::Close(request)) => self.close(request).await,
            Err(problem) => self.error(&problem, None).await,
        }
    }

    /// Says something in the conversation; its reply is shown from then on.
    async fn say(&mut self, said: Said) -> Result<(), Farewell> {
        let Said { message, client_msg_id, country } = said;
        let opening = Arc::new(self.judge(&message, country.as_deref()));
        let is_card_shown = self.show_card_first(&opening).await?;
        let draft = Draft { client_msg_id, ..Draft::new(self.talk.clone(), message, Arc::clone(&opening)) };
        match reply::start(&self.app, draft).await {
            Ok(Started::Now(mut reply)) => {
                self.talk.is_written = true;
                reply.skip(u32::from(is_card_shown));
                self.line_up(reply, false);
            }
            Ok(Started::Again(mut reply)) => {
                reply.skip(u32::from(is_card_shown));
                // Who looks at it already goes on looking.
                if self.showing.as_ref().is_none_or(|shown| shown.reply.step().id != reply.step().id) {
                    self.line_up(reply, true);
                }
            }
            // Only a repeated idempotency key leads here, and a message over the socket has none.
            Ok(Started::Before(_)) => {}
            Err(problem) => {
                problem.log();
                // Nothing is kept of a refused message, and still nobody in danger goes without the card.
                if let Some(card) = opening.text().filter(|_| !is_card_shown) {
                    self.send(self.dialect.piece(&card, None, None, opening.safety().as_ref())).await?;
                }
                self.error(&problem, None).await?;
            }
        }
        Ok(())
    }

    /// Judges a message. Who was shown the card a while ago in the same language is reminded of it; in the gravest danger
    /// it is shown whole every time.
    fn judge(&mut self, message: &Message, country: Option<&str>) -> Opening {
        let opening = Opening::of(message, self.locale, country);
        if !opening.is_due() {
            return opening;
        }
        let is_there = self.card.is_some_and(|(shown, at)| shown == opening.locale && at.elapsed() < CARD_KEPT);
        if is_there && opening.heard.level < Level::Danger {
            return opening.as_reminder();
        }
        self.card = Some((opening.locale, Instant::now()));
        opening
    }

    /// Shows the card before anything is asked of anybody, and returns whether it did. It is the first piece of the reply
    /// that comes. In the typed dialect a piece belongs to a step that has begun, so there it waits for that.
    async fn show_card_first(&mut self, opening: &Opening) -> Result<bool, Farewell> {
        let (Dialect::Document, Some(card)) = (self.dialect, opening.text()) else { return Ok(false) };
        // Between the pieces of another reply it has no place.
        let seq = (self.showing.is_none() && self.waiting.is_empty()).then_some(1);
        self.send(self.dialect.piece(&card, seq, None, opening.safety().as_ref())).await?;
        Ok(true)
    }

    fn line_up(&mut self, reply: Reply, is_duplicate: bool) {
        let step = reply.step();
        if self.known.len() >= KNOWN_MAX {
            self.known.pop_front();
        }
        self.known.push_back((step.id, step.attempt));
        self.waiting.push_back(Showing::new(reply, is_duplicate));
    }

    /// Takes note of a reply that has begun in the conversation, whoever asked for it.
    fn notice(&mut self, live: &Live) {
        let step = live.step();
        self.talk.is_written = true;
        if !self.known.contains(&(step.id, step.attempt)) {
            self.line_up(live.view(0), false);
        }
    }

    async fn stop(&mut self, step: Option<StepId>) -> Result<(), Farewell> {
        let shown = self.showing.as_ref().map(|shown| shown.reply.step().id);
        let stopped = async {
            let id = match step.or(shown) {
                Some(id) => id,
                None => reply::newest(&self.app, self.owner(), self.session_id()).await?,
            };
            let (stopped, status) = reply::stop(&self.app, self.owner(), id).await?;
            Ok::<_, Problem>((id, stopped, status))
        };
        match stopped.await {
            Ok((id, stopped, status)) => self.send(self.dialect.stopped(id, stopped, status)).await,
            Err(problem) => self.error(&problem, None).await,
        }
    }

    /// Shows a reply again from a piece on, in the place of what is shown of it now.
    async fn resume(&mut self, step: Option<StepId>, seen: u32) -> Result<(), Farewell> {
        let resumed = async {
            let id = match step {
                Some(id) => id,
                None => reply::newest(&self.app, self.owner(), self.session_id()).await?,
            };
            reply::resume(&self.app, self.owner(), id, seen).await
        };
        match resumed.await {
            Ok(reply) => {
                let id = reply.step().id;
                self.showing.take_if(|shown| shown.reply.step().id == id);
                self.waiting.retain(|shown| shown.reply.step().id != id);
                self.line_up(reply, false);
                Ok(())
            }
            Err(problem) => self.error(&problem, None).await,
        }
    }

    /// Ends the conversation, and the socket.
    async fn close(&mut self, request: EndRequest) -> Result<(), Farewell> {
        let ended = async {
            let notes = Notes::try_from(request)?;
            end::finish(&self.app, &self.talk, notes, self.locale).await
        };
        match ended.await {
            Ok(_ended) => {
                self.send(self.dialect.only_typed(&TypedFrame::CloseOk)).await?;
                Err(Farewell::because(CloseCode::Normal, "the session has ended"))
            }
            Err(problem) => self.error(&problem, None).await,
        }
    }

    /// Shows what a reply has brought.
    async fn show(&mut self, event: Event) -> Result<(), Farewell> {
        let Some(shown) = &mut self.showing else { return Ok(()) };
        let (step, about) = (shown.reply.step(), shown.reply.about());
        if !std::mem::replace(&mut shown.has_begun, true) {
            let begins = self.dialect.begins(step, &about, shown.is_duplicate);
            send(&mut self.socket, begins).await?;
        }
        match event {
            Event::Piece(seq, piece) => {
                // The card is the first piece of the reply that it opens.
                let safety = about.safety.as_ref().filter(|_| seq == 1);
                send(&mut self.socket, self.dialect.piece(&piece, Some(seq), Some(step.id), safety)).await
            }
            Event::Ended(end) => {
                let (seq, is_duplicate) = (shown.reply.seen(), shown.is_duplicate);
                self.showing = None;
                if end == reply::End::Interrupted {
                    self.error(&INTERRUPTED.into(), Some(step.id)).await?;
                }
                self.send(self.dialect.ended(step, &about, end, seq, is_duplicate)).await?;
                if about.suggests_closing && end == reply::End::Complete {
                    self.send(self.dialect.only_typed(&TypedFrame::SuggestClose)).await?;
                }
                Ok(())
            }
        }
    }

    async fn error(&mut self, problem: &Problem, step: Option<StepId>) -> Result<(), Farewell> {
        self.send(self.dialect.error(problem, self.locale, step)).await
    }

    async fn send(&mut self, frame: Frame) -> Result<(), Farewell> {
        send(&mut self.socket, frame).await
    }
}

async fn send(socket: &mut Socket, frame: Frame) -> Result<(), Farewell> {
    match frame? {
        Some(text) => socket.send(text).await,
        None => Ok(()),
    }
}

/// Waits for the next event of a reply, for ever when there is none.
async fn next(app: &App, showing: &mut Option<Showing>) -> Event {
    match showing {
        Some(shown) => shown.reply.next(&app.ground.pg).await,
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
