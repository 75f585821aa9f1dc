//! Safety of a conversation: hearing that somebody may be in danger, what is said then, and what a reply may not say.
//!
//! It owns the levels of risk and the rules that find them in Korean and English ([`assess`]), how long a conversation
//! stays careful ([`StickyRisk`]), the card with the lines of help ([`card()`]), the watch over what a model writes
//! ([`OutputWatch`]), and the policy every model is given ([`policy()`], [`policy_tail`], [`disclosure`]).
//!
//! It promises: no model and no prompt takes part in a judgement, so none can switch it off; the same text is always
//! judged the same; the work grows linearly with the text; a negation lowers to [`Level::Distress`] and never to
//! nothing; and a card always holds at least one line of help.
//!
//! The rules are words and their surroundings, written and measured against a corpus of our own
//! (`crates/domain/tests/crisis`). They were **not validated clinically**: they find words, not people's states, and a
//! calm level is no sign that somebody is well.

mod card;
mod judge;
mod normal;
mod policy;
mod rules;
mod sticky;
mod watch;
mod words;

#[cfg(test)]
mod tests;

pub use card::{Card, Hotline, HotlineKind, card, hotlines_verified_on};
pub use policy::{disclosure, disclosure_is_due, policy, policy_tail};
pub use sticky::StickyRisk;
pub use watch::{Breach, OutputWatch, Watched};

use serde::{Deserialize, Serialize};

/// How much a message worries. Stored as a number, see [`Level::as_u8`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing was heard.
    #[default]
    Calm,
    /// Distress, or words of dying that are denied, past, reported or ambiguous.
    Distress,
    /// Thoughts of dying or of hurting oneself or others, somebody else's too: the card is due.
    Crisis,
    /// A plan, a means or a time; an act; harm to others; abuse that goes on: the card and a prepared reply are due.
    Danger,
}

impl Level {
    /// Returns the level as a number from 0 to 3.
    pub const fn as_u8(self) -> u8 {
        match self {
            Self::Calm => 0,
            Self::Distress => 1,
            Self::Crisis => 2,
            Self::Danger => 3,
        }
    }

    /// Reads a level's number.
    pub const fn from_u8(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Calm),
            1 => Some(Self::Distress),
            2 => Some(Self::Crisis),
            3 => Some(Self::Danger),
            _ => None,
        }
    }

    /// Returns whether the card goes out before anything a model says.
    pub const fn needs_card(self) -> bool {
        matches!(self, Self::Crisis | Self::Danger)
    }
}

/// Whom a worry is about. The first of two that weigh the same is the one that is answered.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Concern {
    /// Nobody, or nothing that has a name here.
    #[default]
    None,
    /// The person lost somebody to suicide.
    Bereavement,
    /// Somebody the person knows may want to die.
    SomebodyElse,
    /// The person may hurt others.
    HarmToOthers,
    /// The person is being hurt by somebody.
    AbuseNow,
    /// The person may want to die or to hurt themselves.
    OwnIdeation,
}

/// What was heard in a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Assessment {
    /// How much it worries.
    pub level: Level,
    /// Whom it is about.
    pub concern: Concern,
}

impl Assessment {
    /// Nothing was heard.
    pub const CALM: Self = Self { level: Level::Calm, concern: Concern::None };

    /// Pairs a level with whom it is about.
    pub const fn new(level: Level, concern: Concern) -> Self {
        Self { level, concern }
    }

    /// Returns whether the card goes out before anything a model says.
    pub const fn needs_card(self) -> bool {
        self.level.needs_card()
    }

    /// Raises the level to what another judge heard, such as a moderation endpoint; never lowers it.
    #[must_use]
    pub fn raised_to(self, other: Self) -> Self {
        self.max(other)
    }
}

/// Judges what a person wrote. Any text is taken; the work is linear in its length.
pub fn assess(text: &str) -> Assessment {
    judge::judge(&normal::Normal::new(text)).0
}
