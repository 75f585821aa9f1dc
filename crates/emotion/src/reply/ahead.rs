//! Asking the companion while the database is still asked, or still makes the step durable.
//!
//! Both take longer than all else before the first word, and the model takes longer than both; nothing of what it says is
//! shown before the step is there. A step that does not come to be ends the question with it.

use std::{convert::Infallible, future::pending};

use chassis::problem::Outcome;
use domain::{arc::Place, context_budget::Pair, listener, safety::Level};
use futures_util::{StreamExt, stream};
use tokio::{sync::oneshot, time::Instant};

use super::Draft;
use crate::{
    app::App,
    companion::{Companion, OfflineCompanion, Piece, Pieces, Prepared, Prompt},
    context::{self, Material},
    conversation::Conversation,
};

/// What somebody is asked. It has no `Debug`.
#[derive(Clone, PartialEq)]
pub(super) struct Question {
    prompt: Prompt,
    /// Whether prepared sentences answer, whoever could.
    is_by_rules: bool,
}

/// Where a message stands, as far as that decides what is asked. It has no `Debug`.
pub(super) struct Scene<'a> {
    pub(super) conversation: &'a Conversation,
    /// Where the conversation is with this message.
    pub(super) place: Place,
    /// How much the conversation worries, this message included.
    pub(super) level: Level,
    /// The message's place in it, from 1.
    pub(super) order: u32,
    /// What was said since the rolling summary, the oldest first.
    pub(super) turns: Vec<Pair<'a>>,
    /// How the person would like to be answered.
    pub(super) wish: Option<&'a str>,
    pub(super) is_by_rules: bool,
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
    pub(super) fn new(app: &App, draft: &Draft, scene: &Scene<'_>) -> Outcome<(Self, Size)> {
        let locale = draft.opening.locale;
        let (_, seed) = scene.conversation.id.as_u64_pair();
        let elapsed = app.ground.clock.now() - scene.conversation.started_at;
        let hint = scene.place.hint(elapsed, scene.level);
        let turn = listener::Turn { locale, seed, order: scene.order, step: scene.place.step, hint };
        let mut prompt = Prompt {
            messages: Vec::new(),
            shorter: None,
            max_tokens: draft.max_tokens,
            temperature: draft.temperature,
            prepared: Prepared { turn, said: draft.message.user_input.clone() },
        };
        let Some(window) = app.companion.window().filter(|_| !scene.is_by_rules) else {
            return Ok((Self { prompt, is_by_rules: scene.is_by_rules }, Size::default()));
        };
        let material = Material {
            conversation: scene.conversation,
            place: scene.place,
            hint,
            wish: scene.wish,
            system_prompt: draft.message.system_prompt.as_deref(),
            turns: &scene.turns,
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

/// How to ask; each once.
pub(super) struct Asking {
    /// What is asked most likely.
    pub(super) guess: oneshot::Sender<Question>,
    /// What is asked.
    pub(super) question: oneshot::Sender<Question>,
}

/// What comes of a question while something else is done.
pub(super) struct Ahead {
    guess: Option<oneshot::Receiver<Question>>,
    question: Option<oneshot::Receiver<Question>>,
    /// What was asked before it was known whether that is the question.
    guessed: Option<Question>,
    is_sure: bool,
    asked_at: Instant,
    pieces: Option<Pieces>,
    /// Up to the first text.
    early: Vec<Outcome<Piece>>,
    has_begun: bool,
}

impl Ahead {
    /// Returns how to ask, and what comes of it.
    pub(super) fn new() -> (Asking, Self) {
        let ((guess, guess_of), (question, question_of)) = (oneshot::channel(), oneshot::channel());
        let ahead = Self {
            guess: Some(guess_of),
            question: Some(question_of),
            guessed: None,
            is_sure: false,
            asked_at: Instant::now(),
            pieces: None,
            early: Vec::new(),
            has_begun: false,
        };
        (Asking { guess, question }, ahead)
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
        loop {
            tokio::select! {
                biased;
                question = asked(&mut self.question) => self.ask(question, companion),
                guess = asked(&mut self.guess) => self.guess(guess, companion),
                piece = next(&mut self.pieces), if !self.has_begun => {
                    self.has_begun = !matches!(piece, Some(Ok(Piece::By(_))));
                    self.early.extend(piece);
                }
            }
        }
    }

    fn guess(&mut self, guess: Question, companion: &dyn Companion) {
        if !self.is_sure {
            self.begin(guess.clone(), companion);
            self.guessed = Some(guess);
        }
    }

    fn ask(&mut self, question: Question, companion: &dyn Companion) {
        self.is_sure = true;
        let Some(guessed) = self.guessed.take() else { return self.begin(question, companion) };
        let is_right = guessed == question;
        metrics::counter!("emotion_guesses_total", "is_right" => is_right.to_string()).increment(1);
        if !is_right {
            self.begin(question, companion);
        }
    }

    fn begin(&mut self, question: Question, companion: &dyn Companion) {
        self.early.clear();
        (self.asked_at, self.has_begun) = (Instant::now(), false);
        self.pieces = Some(question.ask(companion));
    }

    /// Returns all pieces, and since when they are waited for; nothing when nobody was asked.
    pub(super) fn into_pieces(mut self, companion: &dyn Companion) -> Option<(Pieces, Instant)> {
        if let Some(question) = self.question.take().and_then(|mut question| question.try_recv().ok()) {
            self.ask(question, companion);
        }
        let pieces = self.pieces.filter(|_| self.is_sure)?;
        let pieces = if self.early.is_empty() { pieces } else { stream::iter(self.early).chain(pieces).boxed() };
        Some((pieces, self.asked_at))
    }
}

/// Waits for what is asked, for ever when nothing is.
async fn asked(waiting: &mut Option<oneshot::Receiver<Question>>) -> Question {
    if let Some(receiver) = waiting {
        let question = receiver.await;
        *waiting = None;
        if let Ok(question) = question {
            return question;
        }
    }
    pending().await
}

/// Waits for the next piece, for ever while nobody was asked.
async fn next(pieces: &mut Option<Pieces>) -> Option<Outcome<Piece>> {
    match pieces {
        Some(pieces) => pieces.next().await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use domain::{arc::Step, locale::Locale};
    use futures_util::future::ready;

    use super::*;
    use crate::companion::{Finish, Window};

    /// Says back what it is asked, and remembers what that was.
    #[derive(Default)]
    struct Echo(Mutex<Vec<String>>);

    impl Companion for Echo {
        fn provider(&self) -> &'static str {
            "echo"
        }

        fn model(&self) -> Option<&str> {
            None
        }

        fn window(&self) -> Option<Window> {
            None
        }

        fn health_part(&self) -> &'static str {
            "echo"
        }

        fn reply(&self, prompt: Prompt) -> Pieces {
            let said = prompt.prepared.said;
            self.0.lock().unwrap().push(said.clone());
            stream::iter([Ok(Piece::Text(said)), Ok(Piece::Over(Finish::default()))]).boxed()
        }
    }

    impl Echo {
        fn asked(&self) -> Vec<String> {
            self.0.lock().unwrap().clone()
        }
    }

    fn question(said: &str) -> Question {
        let turn = listener::Turn { locale: Locale::Ko, seed: 0, order: 1, step: Step::default(), hint: None };
        let prepared = Prepared { turn, said: said.to_owned() };
        let prompt = Prompt { messages: Vec::new(), shorter: None, max_tokens: None, temperature: None, prepared };
        Question { prompt, is_by_rules: false }
    }

    /// Asks these while something is done, and returns what is told in the end.
    async fn told(echo: &Echo, guess: Option<&str>, asked: Option<&str>) -> Option<Vec<String>> {
        let (Asking { guess: guessing, question: asking }, mut ahead) = Ahead::new();
        let work = async {
            if let Some(guess) = guess {
                assert!(guessing.send(question(guess)).is_ok());
                tokio::task::yield_now().await;
            }
            if let Some(asked) = asked {
                assert!(asking.send(question(asked)).is_ok());
            }
        };
        ahead.during(echo, work).await;
        let (pieces, _) = ahead.into_pieces(echo)?;
        let texts = pieces.filter_map(|piece| {
            ready(match piece {
                Ok(Piece::Text(text)) => Some(text),
                _ => None,
            })
        });
        Some(texts.collect().await)
    }

    #[tokio::test]
    async fn a_right_guess_is_asked_once_and_a_wrong_one_leaves_nothing_behind() {
        let echo = Echo::default();
        assert_eq!(told(&echo, Some("a"), Some("a")).await.unwrap(), ["a"]);
        assert_eq!(echo.asked(), ["a"]);
        assert_eq!(told(&echo, Some("b"), Some("c")).await.unwrap(), ["c"]);
        assert_eq!(echo.asked(), ["a", "b", "c"]);
        assert_eq!(told(&echo, None, Some("d")).await.unwrap(), ["d"]);
        assert_eq!(echo.asked(), ["a", "b", "c", "d"]);
    }

    #[tokio::test]
    async fn a_guess_alone_tells_nothing() {
        let echo = Echo::default();
        assert!(told(&echo, Some("a"), None).await.is_none());
        assert!(told(&echo, None, None).await.is_none());
    }
}
