//! The summary card of a conversation: what set it off, what was felt, what was seen, and one small step.
//!
//! A card is made by rules ([`SummaryCard::from_steps`]); a model's words may take the place of the prepared ones
//! ([`SummaryCard::worded_by`]), never of the facts: feelings, their course and the risk are always counted here, and a
//! quotation stands in what the person wrote or not at all. What was said in danger is not quoted.

mod model;
mod rules;

#[cfg(test)]
mod tests;

pub use model::{card_instruction, card_schema};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    arc::Step,
    feeling::{Feeling, Label},
    locale::{Locale, Text},
    safety::Level,
};

/// Most characters of a title.
pub const TITLE_MAX: usize = 40;
/// Most characters of the trigger, the insight and the small step.
pub const SENTENCE_MAX: usize = 160;
/// Most quotations.
pub const QUOTES_MAX: usize = 2;
/// Most characters of a quotation.
pub const QUOTE_MAX: usize = 80;
/// Most feelings that are named.
pub const FEELINGS_MAX: usize = 3;

const DISCLAIMER: Text = Text::new(
    "AI 대화를 정리한 기록이며 진단이나 상담을 대신하지 않아요.",
    "A record of a conversation with an AI; it is not a diagnosis and does not replace care.",
);

/// One step of a conversation, as the card sees it. It has no `Debug`, so that no log line can show it.
#[derive(Clone, Copy)]
pub struct CardStep<'a> {
    /// The step's place in its conversation.
    pub seq: u32,
    /// What the person wrote.
    pub text: &'a str,
    /// The step of the arc that the message answered, if that is known.
    pub step: Option<Step>,
    /// The feeling that was found.
    pub feeling: Option<Feeling>,
    /// How much it worried.
    pub level: Level,
    /// Whether the card with the lines of help was shown.
    pub card_shown: bool,
}

/// Who worded a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = CardSource)]
pub enum Source {
    /// A language model.
    Model,
    /// The rules.
    Rules,
}

/// A feeling's part of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FeelingShare {
    /// Which one.
    pub label: Label,
    /// Its part of all that was felt, from 0 to 1.
    pub share: f64,
}

/// How dangerous a conversation became.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CardRisk {
    /// The highest level, from 0 to 3.
    pub max_level: u8,
    /// Whether the card with the lines of help was shown.
    pub card_shown: bool,
}

/// The card. It has no `Debug`, so that no log line can show it.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SummaryCard {
    /// What it was about, in a few words.
    pub title: String,
    /// What set the feelings off.
    pub trigger: Option<String>,
    /// The strongest feelings, at most three.
    pub feelings: Vec<FeelingShare>,
    /// How pleasant it was over time: the step's place and its valence.
    pub trajectory: Vec<(u32, f64)>,
    /// What the person came to see.
    pub insight: Option<String>,
    /// One small thing to do.
    pub small_step: Option<String>,
    /// At most two sentences of the person's, word by word.
    pub quotes: Vec<String>,
    /// How dangerous it became.
    pub risk: CardRisk,
    /// Who worded it.
    pub source: Source,
    /// What a card is not.
    pub disclaimer: String,
}

impl SummaryCard {
    /// Makes the card of a conversation by rules; one without messages gets an empty card.
    pub fn from_steps(steps: &[CardStep<'_>], locale: Locale) -> Self {
        rules::card(steps, locale)
    }

    /// Takes over a model's words, as far as they are sound: clipped, harmless, and quotations only if they are the
    /// person's. What is missing or unsound stays as the rules have it; an answer that cannot be read changes nothing.
    #[must_use]
    pub fn worded_by(self, answer: &str, steps: &[CardStep<'_>], locale: Locale) -> Self {
        model::worded(self, answer, steps, locale)
    }

    /// Returns the card as the text of a memo.
    pub fn to_memo_text(&self, locale: Locale) -> String {
        const TRIGGER: Text = Text::new("계기", "What set it off");
        const FEELINGS: Text = Text::new("마음", "Feelings");
        const INSIGHT: Text = Text::new("알게 된 것", "What I saw");
        const SMALL_STEP: Text = Text::new("작은 한 걸음", "One small step");
        let feelings: Vec<_> = self
            .feelings
            .iter()
            .map(|feeling| format!("{} {:.0}%", feeling.label.name(locale), feeling.share * 100.0))
            .collect();
        let line = |name: Text, text: &str| format!("{}: {text}", name.in_locale(locale));
        let mut lines = vec![format!("# {}", self.title), String::new()];
        lines.extend(self.trigger.as_deref().map(|text| line(TRIGGER, text)));
        lines.extend((!feelings.is_empty()).then(|| line(FEELINGS, &feelings.join(", "))));
        lines.extend(self.insight.as_deref().map(|text| line(INSIGHT, text)));
        lines.extend(self.small_step.as_deref().map(|text| line(SMALL_STEP, text)));
        if !self.quotes.is_empty() {
            lines.push(String::new());
            lines.extend(self.quotes.iter().map(|quote| format!("> {quote}")));
        }
        lines.extend([String::new(), self.disclaimer.clone()]);
        lines.join("\n")
    }
}

/// Returns a text on one line, cut at a word where it is longer than `max` characters.
pub(crate) fn clipped(text: &str, max: usize) -> String {
    let words = text.split_whitespace().map(|word| word.chars().filter(|c| !c.is_control()).collect::<String>());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if line.chars().count() <= max {
        return line;
    }
    let cut: String = line.chars().take(max.saturating_sub(1)).collect();
    // Half of it at least: one endless word is cut where it stands.
    let at = cut.rfind(' ').filter(|at| cut.get(..*at).is_some_and(|head| head.chars().count() * 2 >= max));
    format!("{}…", at.and_then(|at| cut.get(..at)).unwrap_or(&cut).trim_end_matches([' ', ',']))
}
