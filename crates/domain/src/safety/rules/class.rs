//! What phrases tell: some decide a level, some only tell about what surrounds them.

/// What a phrase tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::safety) enum Class {
    // Phrases that decide a level, with their surroundings.
    /// An idiom, a title, a name: whatever it covers is not meant.
    Mask,
    /// Words of distress, and of dying that are mostly hyperbole.
    Distress,
    /// A word for suicide or self-harm and nothing said about whom.
    Term,
    /// A thought of dying that the person says they do not have.
    Denied,
    /// A thought of dying in the past tense.
    Wished,
    /// A wish to die, to be gone, not to go on.
    Ideation,
    /// The will to do it.
    Intent,
    /// An attempt that was made.
    Attempt,
    /// Preparation, a farewell, an act that goes on.
    Plan,
    /// A question for a method.
    Method,
    /// Hurting oneself.
    SelfHarm,
    /// A wish to die in words about somebody, if somebody is named.
    Third,
    /// A wish to die in words that can only be about somebody else.
    Hearsay,
    /// A suicide that happened.
    Bereaved,
    /// A wish to hurt somebody.
    HarmWish,
    /// The will to hurt somebody.
    HarmPlan,
    /// Being hurt by somebody, said outright.
    Abused,
    /// An act of violence; by whom and against whom, the surroundings tell.
    Violence,
    // Phrases that only tell about the surroundings.
    /// Somebody close is spoken of.
    Subject,
    /// The person speaks of themselves.
    Own,
    /// A thing people die by.
    Means,
    /// Today, now, tonight.
    Time,
    /// News, statistics, teaching, research.
    News,
    /// A film, a book, a song, a character.
    Fiction,
    /// A game.
    Game,
    /// Long ago.
    Past,
    /// It is better now.
    Better,
    /// It is back, or never went.
    Again,
    /// A reason nobody dies of.
    Light,
    /// Laughter in words.
    Laugh,
    /// Somebody who lives with the person or has power over them.
    Abuser,
    /// A mishap, or a harmless purpose.
    Accident,
}

impl Class {
    const ALL: [(&str, Self); 32] = [
        ("mask", Self::Mask),
        ("distress", Self::Distress),
        ("term", Self::Term),
        ("denied", Self::Denied),
        ("wished", Self::Wished),
        ("ideation", Self::Ideation),
        ("intent", Self::Intent),
        ("attempt", Self::Attempt),
        ("plan", Self::Plan),
        ("method", Self::Method),
        ("self_harm", Self::SelfHarm),
        ("third", Self::Third),
        ("hearsay", Self::Hearsay),
        ("bereaved", Self::Bereaved),
        ("harm_wish", Self::HarmWish),
        ("harm_plan", Self::HarmPlan),
        ("abused", Self::Abused),
        ("subject", Self::Subject),
        ("own", Self::Own),
        ("means", Self::Means),
        ("time", Self::Time),
        ("news", Self::News),
        ("fiction", Self::Fiction),
        ("game", Self::Game),
        ("past", Self::Past),
        ("better", Self::Better),
        ("again", Self::Again),
        ("light", Self::Light),
        ("laugh", Self::Laugh),
        ("abuser", Self::Abuser),
        ("violence", Self::Violence),
        ("accident", Self::Accident),
    ];

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, class)| *class)
    }

    /// Returns the class's own bit in a set of classes.
    pub(in crate::safety) const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Returns whether another class that stands in the same place is the one that counts.
    pub(super) const fn is_weak(self) -> bool {
        matches!(self, Self::Distress | Self::Term | Self::Denied)
    }

    /// Returns whether a phrase of the class decides a level.
    pub(in crate::safety) const fn decides(self) -> bool {
        (self as u32) < (Self::Subject as u32)
    }
}
