//! Asking the companion while the database still makes the step durable.
//!
//! The disk takes longer for that than all else before the first word, and the model takes longer than the disk; nothing of
//! what it says is shown before the step is there. A step that does not come to be ends the question with it.

use std::convert::Infallible;

use chassis::problem::Outcome;
use domain::listener;
use futures_util::{StreamExt, stream};
use tokio::{sync::oneshot, time::Instant};

use super::{Draft, begin::Fresh};
use crate::{
    app::App,
    companion::{Companion, OfflineCompanion, Piece, Pieces, Prepared, Prompt},
    context::{self, Material},
};

/// What somebody is asked. It has no `Debug`.
pub(super) struct Question {
    prompt: Prompt,
    /// Whether prepared sentences answer, whoever could.
    is_by_rules: bool,
}

/// How much a model is shown, by our count; nothing without one.
#[derive(Clone, Copy, Default)]
pub(super) struct Size {
    /// Tokens of the prompt.
    pub(super) tokens: Option<u32>,
    /// Tokens that turns may take.
    pub(super) turn_budget: Option<usize>,
}

impl Question {
    /// Puts it together.
    pub(super) fn new(app: &App, draft: &Draft, fresh: &Fresh) -> Outcome<(Self, Size)> {
        let locale = draft.opening.locale;
        let (_, seed) = fresh.conversation.id.as_u64_pair();
        let elapsed = app.ground.clock.now() - fresh.conversation.started_at;
        let hint = fresh.place.hint(elapsed, fresh.risk.level);
        let turn = listener::Turn { locale, seed, order: fresh.step.order, step: fresh.place.step, hint };
        let mut prompt = Prompt {
            messages: Vec::new(),
            shorter: None,
            max_tokens: draft.max_tokens,
            temperature: draft.temperature,
            prepared: Prepared { turn, said: draft.message.user_input.clone() },
        };
        let Some(window) = app.companion.window().filter(|_| !fresh.is_by_rules) else {
            return Ok((Self { prompt, is_by_rules: fresh.is_by_rules }, Size::default()));
        };
        let material = Material {
            conversation: &fresh.conversation,
            place: fresh.place,
            hint,
            wish: fresh.wish.as_ref().map(|wish| wish.text.as_str()),
            system_prompt: draft.message.system_prompt.as_deref(),
            steps: &fresh.steps,
            message: &draft.message.user_input,
            locale,
        };
        let assembled = context::assemble(app, window, &material)?;
        let size = Size { tokens: u32::try_from(assembled.tokens).ok(), turn_budget: Some(assembled.turn_budget) };
        (prompt.messages, prompt.shorter) = (assembled.messages, assembled.shorter);
        Ok((Self { prompt, is_by_rules: false }, size))
    }

    fn ask(self, companion: &dyn Companion) -> Pieces {
        if self.is_by_rules { OfflineCompanion::default().reply(self.prompt) } else { companion.reply(self.prompt) }
    }
}

/// What comes of a question while something else is done.
pub(super) struct Ahead {
    question: oneshot::Receiver<Question>,
    asked_at: Instant,
    pieces: Option<Pieces>,
    /// Up to the first text.
    early: Vec<Outcome<Piece>>,
}

impl Ahead {
    /// Returns how to ask, and what comes of it.
    pub(super) fn new() -> (oneshot::Sender<Question>, Self) {
        let (ask, question) = oneshot::channel();
        (ask, Self { question, asked_at: Instant::now(), pieces: None, early: Vec::new() })
    }

    /// Does `work`, and hears who answers meanwhile.
    pub(super) async fn during<T>(&mut self, companion: &dyn Companion, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            done = work => done,
            never = self.hear(companion) => match never {},
        }
    }

    async fn hear(&mut self, companion: &dyn Companion) -> Infallible {
        if let Ok(question) = (&mut self.question).await {
            self.asked_at = Instant::now();
            let pieces = self.pieces.insert(question.ask(companion));
            while let Some(piece) = pieces.next().await {
                let is_first = !matches!(piece, Ok(Piece::By(_)));
                self.early.push(piece);
                if is_first {
                    break;
                }
            }
        }
        std::future::pending().await
    }

    /// Returns all pieces, and since when they are waited for; nothing when nobody was asked.
    pub(super) fn into_pieces(mut self, companion: &dyn Companion) -> Option<(Pieces, Instant)> {
        let pieces = match self.pieces {
            Some(pieces) => pieces,
            None => self.question.try_recv().ok()?.ask(companion),
        };
        let pieces = if self.early.is_empty() { pieces } else { stream::iter(self.early).chain(pieces).boxed() };
        Some((pieces, self.asked_at))
    }
}
