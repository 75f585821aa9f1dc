//! The arc of a conversation: eleven steps from a greeting to a farewell, each with one thing to ask about.
//!
//! It owns where a conversation is ([`Place`]), where it goes after a turn ([`Place::after`]) and what a model or the
//! offline listener is told to ask there ([`Step::prompt`], [`Step::questions`]). It promises: a person is never held in
//! a step (after [`PATIENCE`] fruitless replies the next one comes), what was told unasked is not asked again, nothing
//! ends unless the person takes leave, and nobody in danger is led on or towards the end.
//!
//! A place is a function of the turns so far, so it can be kept or counted again from the stored steps
//! ([`Place::replayed`]).

mod held;
mod texts;

#[cfg(test)]
mod tests;

use chrono::TimeDelta;
pub use held::Held;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    locale::{Locale, Text},
    safety::Level,
};

/// Replies that ask about one step before the next one comes although nothing was told.
pub const PATIENCE: u32 = 3;
/// Replies in one step after which it is asked another way.
const STALLED: u32 = 2;
/// Turns after which a conversation is called long.
pub const LONG_TURNS: u32 = 20;
/// Turns from one mention of the length to the next.
const LONG_EVERY: u32 = 5;
/// Minutes after which a conversation is called long: some tiredness is sure by then.
pub const LONG_MINUTES: i64 = 40;

/// One step of the arc.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ArcStep)]
pub enum Step {
    /// Saying hello.
    #[default]
    Greeting,
    /// Which feeling it is.
    Emotion,
    /// What happened.
    Situation,
    /// What the body felt.
    Body,
    /// What went through the mind.
    Thought,
    /// The belief or measure beneath the thought.
    Standard,
    /// What the person did then, and what followed.
    Consequence,
    /// Saying back what was heard, for the person to put right.
    Summary,
    /// What the person wishes for.
    Wish,
    /// Looking at it another way.
    Reframing,
    /// Taking leave.
    Closing,
}

impl Step {
    /// All steps in their order.
    pub const ALL: [Self; 11] = [
        Self::Greeting,
        Self::Emotion,
        Self::Situation,
        Self::Body,
        Self::Thought,
        Self::Standard,
        Self::Consequence,
        Self::Summary,
        Self::Wish,
        Self::Reframing,
        Self::Closing,
    ];

    /// Returns the step's name as it stands in `step_type` and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Emotion => "emotion",
            Self::Situation => "situation",
            Self::Body => "body",
            Self::Thought => "thought",
            Self::Standard => "standard",
            Self::Consequence => "consequence",
            Self::Summary => "summary",
            Self::Wish => "wish",
            Self::Reframing => "reframing",
            Self::Closing => "closing",
        }
    }

    /// Reads a step's name; every other `step_type`, such as `normal`, names none.
    pub fn parse(step_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == step_type)
    }

    /// Returns the step's place in the arc, from 1.
    pub const fn number(self) -> u8 {
        self as u8 + 1
    }

    /// Returns the step that follows; the last one follows itself.
    #[must_use]
    pub fn next(self) -> Self {
        Self::ALL.into_iter().find(|step| *step > self).unwrap_or(Self::Closing)
    }

    /// Returns what people call the step.
    pub const fn title(self, locale: Locale) -> &'static str {
        let title = match self {
            Self::Greeting => Text::new("인사", "Greeting"),
            Self::Emotion => Text::new("감정", "Feeling"),
            Self::Situation => Text::new("상황", "Situation"),
            Self::Body => Text::new("몸의 느낌", "Body"),
            Self::Thought => Text::new("생각", "Thought"),
            Self::Standard => Text::new("생각 아래의 기준", "Belief beneath"),
            Self::Consequence => Text::new("그 뒤의 일", "What followed"),
            Self::Summary => Text::new("돌아보기", "Looking back"),
            Self::Wish => Text::new("바람", "Wish"),
            Self::Reframing => Text::new("다르게 보기", "Another view"),
            Self::Closing => Text::new("마무리", "Closing"),
        };
        title.in_locale(locale)
    }

    /// Returns what a model is told to do in this step.
    pub fn prompt(self, locale: Locale) -> &'static str {
        texts::prompt(self, locale)
    }

    /// Returns the open questions of this step, several wordings of the same one.
    pub fn questions(self, locale: Locale) -> impl Iterator<Item = &'static str> {
        texts::questions(self, locale)
    }
}

/// One turn, as the arc sees it.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// What the client says the step is; only a name of [`Step`] leads.
    pub step_type: &'a str,
    /// What the message tells.
    pub held: Held,
    /// How much the message, or the conversation still, worries.
    pub level: Level,
}

/// Where a conversation is: the step whose question the next reply asks, or has just asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = ArcPlace)]
pub struct Place {
    /// The step.
    pub step: Step,
    /// Replies in this step, this turn's included.
    pub turns_in_step: u32,
    /// Turns of the whole conversation.
    pub turns: u32,
    /// Whether the person has taken leave: the conversation may be ended.
    pub is_ended: bool,
    /// What was told so far in this round, asked or not.
    pub told: Held,
}

/// What a reply does beside asking the step's question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ArcHint)]
pub enum Hint {
    /// The question was asked and not answered: ask it more simply, or offer to leave it.
    AskAnotherWay,
    /// The conversation is long: ask whether to go on or to gather it up.
    LongConversation,
    /// Offer to close; the person decides.
    SuggestClosing,
    /// The person took leave: say goodbye and ask nothing.
    SayGoodbye,
    /// The person may be in danger: stay with that, ask no question of the arc.
    StayWithThem,
}

impl Hint {
    /// Returns what a model is told by this hint.
    pub const fn prompt(self, locale: Locale) -> &'static str {
        texts::hint(self).in_locale(locale)
    }
}

impl Place {
    /// Returns where the conversation is after a turn: the step that the reply to it belongs to.
    #[must_use]
    pub fn after(self, turn: Turn<'_>) -> Self {
        let turns = self.turns.saturating_add(1);
        let mut place = Self { turns, is_ended: false, told: self.told.and(turn.held), ..self };
        if turn.level.needs_card() {
            // Nobody in danger is led on: the count stands still, so that the question is asked anew afterwards.
            return place;
        }
        let step = match Step::parse(turn.step_type) {
            Some(named) => named,
            None => self.led_by(turn.held),
        };
        place.is_ended = step == Step::Closing && turn.held.farewell;
        if self.step == Step::Closing && step < Step::Closing {
            // Something new came up at the door: another round, of which only this is told.
            place.told = turn.held;
        }
        place.turns_in_step = if step == self.step { self.turns_in_step.saturating_add(1) } else { 1 };
        place.step = step;
        place
    }

    /// Counts a conversation's place again from its turns, oldest first.
    pub fn replayed<'a>(turns: impl IntoIterator<Item = Turn<'a>>) -> Self {
        turns.into_iter().fold(Self::default(), Self::after)
    }

    /// Returns what the reply does beside the step's question. `elapsed` is the conversation's age.
    pub fn hint(self, elapsed: TimeDelta, level: Level) -> Option<Hint> {
        let is_long = self.turns >= LONG_TURNS || elapsed >= TimeDelta::minutes(LONG_MINUTES);
        // Now and then, for who wants to go on has heard it.
        let is_time_to_say = is_long && self.turns.is_multiple_of(LONG_EVERY);
        if level.needs_card() {
            Some(Hint::StayWithThem)
        } else if self.is_ended {
            Some(Hint::SayGoodbye)
        } else if self.step == Step::Closing {
            Some(Hint::SuggestClosing)
        } else if is_time_to_say {
            Some(Hint::LongConversation)
        } else if self.turns_in_step >= STALLED {
            Some(Hint::AskAnotherWay)
        } else {
            None
        }
    }

    /// Returns whether the client may be told that this is a good place to close.
    pub const fn suggests_closing(self) -> bool {
        matches!(self.step, Step::Closing)
    }

    /// Chooses the step where the arc leads of its own accord.
    fn led_by(self, held: Held) -> Step {
        if held.farewell {
            return Step::Closing;
        }
        if self.step == Step::Closing {
            return if held.is_news() { Self::opening(held) } else { Step::Closing };
        }
        let is_answered = held.answers(self.step, self.turns_in_step);
        if !is_answered && self.turns_in_step < PATIENCE {
            return self.step;
        }
        self.step.next_untold(self.told.and(held))
    }

    /// Returns the step that a new round begins with.
    fn opening(held: Held) -> Step {
        Step::Greeting.next_untold(held)
    }
}

impl Step {
    /// Returns the next step that `told` does not answer yet. From the summary on every step is taken.
    fn next_untold(self, told: Held) -> Self {
        Self::ALL
            .into_iter()
            .find(|step| *step > self && (*step >= Self::Summary || !told.has(*step)))
            .unwrap_or(Self::Closing)
    }
}
