//! Feelings: what they are called, how pleasant and how stirring each is, and how one is found in a message.
//!
//! The labels are the 28 of GoEmotions, with numbers of valence and arousal of our own. A feeling comes from a model
//! ([`from_model`]), or from a Korean and English lexicon ([`read`]) that never claims more than [`LEXICON_CEILING`]. Where
//! nothing was found there is no feeling, which is not the same as a neutral one. The same text always reads the same.

mod context;
mod label;
mod lexicon;
pub(crate) mod model;

#[cfg(test)]
mod tests;

pub use label::{Basic, Label};
pub use lexicon::{Heard, heard, normalised};
pub use model::{from_model, model_instruction, model_schema};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most confidence the lexicon has. Models that were trained for it reach an F1 of 0.55 on Korean; words alone know less.
pub const LEXICON_CEILING: f64 = 0.5;

/// Who found a feeling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = FeelingSource)]
pub enum Source {
    /// A language model.
    Model,
    /// The words of the lexicon.
    Lexicon,
}

/// The feeling of one message.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Feeling {
    /// Which one, the strongest of several.
    pub label: Label,
    /// How sure that is, from 0 to 1.
    pub confidence: f64,
    /// Who found it.
    pub source: Source,
    /// From unpleasant (-1) to pleasant (1).
    pub valence: f64,
    /// From still (0) to stirred (1).
    pub arousal: f64,
}

impl Feeling {
    /// Puts a feeling together; numbers beyond their range are brought back into it.
    pub fn new(label: Label, confidence: f64, source: Source, valence: f64, arousal: f64) -> Self {
        Self {
            label,
            confidence: within(confidence, 0.0, 1.0),
            source,
            valence: within(valence, -1.0, 1.0),
            arousal: within(arousal, 0.0, 1.0),
        }
    }
}

/// Finds the feeling of a message by its words; nothing when no word tells one.
pub fn read(text: &str) -> Option<Feeling> {
    heard(text).map(|heard| heard.feeling)
}

/// Returns the feeling that a conversation is filed under: the one that its messages were surest of, all together.
///
/// A neutral message counts only when there is nothing else, and of two that weigh the same the later one holds.
pub fn session_label(feelings: &[Feeling]) -> Option<Label> {
    let weight = |label: Label| -> f64 { feelings.iter().filter(|f| f.label == label).map(|f| f.confidence).sum() };
    let named = feelings.iter().map(|feeling| feeling.label).filter(|label| *label != Label::Neutral);
    let heaviest = named.max_by(|a, b| weight(*a).total_cmp(&weight(*b)));
    heaviest.or_else(|| feelings.last().map(|feeling| feeling.label))
}

/// Brings a number into a range, to three places; what is no number becomes the number of the range nearest to zero.
pub(crate) fn within(number: f64, low: f64, high: f64) -> f64 {
    let number = if number.is_finite() { number } else { 0.0 };
    // Adding zero turns -0 into 0, which would look odd in an answer.
    (number.clamp(low, high) * 1_000.0).round() / 1_000.0 + 0.0
}
