//! The labels and their numbers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::locale::{Locale, Text};

/// A feeling's label: the 28 of GoEmotions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = FeelingLabel)]
#[expect(missing_docs, reason = "each label is its own name, see `Label::name`")]
pub enum Label {
    Admiration,
    Amusement,
    Anger,
    Annoyance,
    Approval,
    Caring,
    Confusion,
    Curiosity,
    Desire,
    Disappointment,
    Disapproval,
    Disgust,
    Embarrassment,
    Excitement,
    Fear,
    Gratitude,
    Grief,
    Joy,
    Love,
    Nervousness,
    Optimism,
    Pride,
    Realization,
    Relief,
    Remorse,
    Sadness,
    Surprise,
    Neutral,
}

/// The seven basic feelings that the labels belong to: Ekman's six, and none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = BasicFeeling)]
#[expect(missing_docs, reason = "each feeling is its own name")]
pub enum Basic {
    Anger,
    Disgust,
    Fear,
    Joy,
    Sadness,
    Surprise,
    Neutral,
}

/// What is known of a label.
struct Facts {
    id: &'static str,
    name: Text,
    valence: f64,
    arousal: f64,
    basic: Basic,
}

const fn facts(id: &'static str, name: Text, valence: f64, arousal: f64, basic: Basic) -> Facts {
    Facts { id, name, valence, arousal, basic }
}

impl Label {
    /// All labels, in the order of their ids.
    pub const ALL: [Self; 28] = [
        Self::Admiration,
        Self::Amusement,
        Self::Anger,
        Self::Annoyance,
        Self::Approval,
        Self::Caring,
        Self::Confusion,
        Self::Curiosity,
        Self::Desire,
        Self::Disappointment,
        Self::Disapproval,
        Self::Disgust,
        Self::Embarrassment,
        Self::Excitement,
        Self::Fear,
        Self::Gratitude,
        Self::Grief,
        Self::Joy,
        Self::Love,
        Self::Nervousness,
        Self::Optimism,
        Self::Pride,
        Self::Realization,
        Self::Relief,
        Self::Remorse,
        Self::Sadness,
        Self::Surprise,
        Self::Neutral,
    ];

    /// Returns the label's id as it stands in answers and tables.
    pub const fn id(self) -> &'static str {
        self.facts().id
    }

    /// Reads an id, in any case.
    pub fn parse(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|label| label.id().eq_ignore_ascii_case(id.trim()))
    }

    /// Returns what people call it.
    pub const fn name(self, locale: Locale) -> &'static str {
        self.facts().name.in_locale(locale)
    }

    /// Returns how pleasant it is by itself, from -1 to 1.
    pub const fn valence(self) -> f64 {
        self.facts().valence
    }

    /// Returns how stirring it is by itself, from 0 to 1.
    pub const fn arousal(self) -> f64 {
        self.facts().arousal
    }

    /// Returns the basic feeling it belongs to.
    pub const fn basic(self) -> Basic {
        self.facts().basic
    }

    // The order of pleasantness is common ground; the numbers are estimates of our own, not measurements.
    const fn facts(self) -> Facts {
        match self {
            Self::Admiration => facts("admiration", Text::new("감탄", "Admiration"), 0.65, 0.45, Basic::Joy),
            Self::Amusement => facts("amusement", Text::new("재미", "Amusement"), 0.7, 0.55, Basic::Joy),
            Self::Anger => facts("anger", Text::new("분노", "Anger"), -0.7, 0.8, Basic::Anger),
            Self::Annoyance => facts("annoyance", Text::new("짜증", "Annoyance"), -0.5, 0.55, Basic::Anger),
            Self::Approval => facts("approval", Text::new("인정", "Approval"), 0.45, 0.3, Basic::Joy),
            Self::Caring => facts("caring", Text::new("아끼는 마음", "Caring"), 0.55, 0.35, Basic::Joy),
            Self::Confusion => facts("confusion", Text::new("혼란", "Confusion"), -0.25, 0.5, Basic::Surprise),
            Self::Curiosity => facts("curiosity", Text::new("궁금함", "Curiosity"), 0.25, 0.5, Basic::Surprise),
            Self::Desire => facts("desire", Text::new("바람", "Desire"), 0.3, 0.55, Basic::Joy),
            Self::Disappointment => {
                facts("disappointment", Text::new("실망", "Disappointment"), -0.55, 0.35, Basic::Sadness)
            }
            Self::Disapproval => facts("disapproval", Text::new("못마땅함", "Disapproval"), -0.45, 0.45, Basic::Anger),
            Self::Disgust => facts("disgust", Text::new("혐오감", "Disgust"), -0.65, 0.55, Basic::Disgust),
            Self::Embarrassment => {
                facts("embarrassment", Text::new("부끄러움", "Embarrassment"), -0.5, 0.6, Basic::Sadness)
            }
            Self::Excitement => facts("excitement", Text::new("설렘", "Excitement"), 0.75, 0.85, Basic::Joy),
            Self::Fear => facts("fear", Text::new("두려움", "Fear"), -0.7, 0.85, Basic::Fear),
            Self::Gratitude => facts("gratitude", Text::new("고마움", "Gratitude"), 0.75, 0.4, Basic::Joy),
            Self::Grief => facts("grief", Text::new("깊은 슬픔", "Grief"), -0.85, 0.45, Basic::Sadness),
            Self::Joy => facts("joy", Text::new("기쁨", "Joy"), 0.85, 0.6, Basic::Joy),
            Self::Love => facts("love", Text::new("사랑", "Love"), 0.85, 0.5, Basic::Joy),
            Self::Nervousness => facts("nervousness", Text::new("불안", "Nervousness"), -0.5, 0.75, Basic::Fear),
            Self::Optimism => facts("optimism", Text::new("희망", "Optimism"), 0.6, 0.5, Basic::Joy),
            Self::Pride => facts("pride", Text::new("뿌듯함", "Pride"), 0.7, 0.5, Basic::Joy),
            Self::Realization => facts("realization", Text::new("깨달음", "Realization"), 0.15, 0.4, Basic::Surprise),
            Self::Relief => facts("relief", Text::new("안도감", "Relief"), 0.6, 0.2, Basic::Joy),
            Self::Remorse => facts("remorse", Text::new("후회", "Remorse"), -0.6, 0.4, Basic::Sadness),
            Self::Sadness => facts("sadness", Text::new("슬픔", "Sadness"), -0.7, 0.3, Basic::Sadness),
            Self::Surprise => facts("surprise", Text::new("놀람", "Surprise"), 0.1, 0.8, Basic::Surprise),
            Self::Neutral => facts("neutral", Text::new("담담함", "Neutral"), 0.0, 0.2, Basic::Neutral),
        }
    }
}
