//! The phrase of a message that is given back.
//!
//! Korean keeps the end of a sentence, where its verb stands; English a clause. A clause whose verb shows it is retold
//! (혼났어: 혼났다고; I feel: you feel), any other is quoted, which is right in every grammar.

use super::{english, korean};
use crate::{feeling, locale::Locale};

/// Most characters of a message that a reply repeats in one piece.
pub const PHRASE_MAX: usize = 36;
/// Most characters of a Korean one, whose letters hold more.
pub(super) const KOREAN_MAX: usize = 26;
/// Characters that retelling may add: your for my, you're for i'm.
const RETELLING: usize = 12;
/// Most words of one.
pub(super) const WORDS_MAX: usize = 8;
/// Fewest letters: one word of agreement is not worth repeating.
const LETTERS_MIN: usize = 4;
/// A number of so many digits may be somebody's: a telephone, an account.
const DIGITS_MAX: usize = 4;

/// What is never repeated: abuse, and what looks like an address or the inside of a prompt.
const UNSPEAKABLE: [&str; 42] = [
    "씨발",
    "시발",
    "씨바",
    "시바",
    "ㅅㅂ",
    "ㅆㅂ",
    "병신",
    "ㅂㅅ",
    "새끼",
    "지랄",
    "ㅈㄹ",
    "좆",
    "존나",
    "졸라",
    "미친놈",
    "미친년",
    "미친 놈",
    "미친 년",
    "썅",
    "닥쳐",
    "꺼져",
    "개같",
    "엿같",
    "걸레",
    "찐따",
    "한남",
    "김치녀",
    "창녀",
    "fuck",
    "shit",
    "bitch",
    "asshole",
    "bastard",
    "cunt",
    "slut",
    "whore",
    "retard",
    "nigg",
    "faggot",
    "http",
    "www.",
    "@",
];
/// What people begin a sentence with while they look for words.
const OPENERS: [&str; 32] = [
    "그런데",
    "근데",
    "그래서",
    "그리고",
    "그러니까",
    "그니까",
    "아니",
    "음",
    "어",
    "그냥",
    "사실",
    "사실은",
    "솔직히",
    "뭐",
    "막",
    "진짜",
    "하아",
    "하",
    "아",
    "and",
    "but",
    "so",
    "well",
    "um",
    "uh",
    "like",
    "because",
    "then",
    "honestly",
    "actually",
    "yeah",
    "just",
];

/// A phrase, and how it stands in a sentence.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Phrase {
    /// Retold: Korean up to the stem of its verb, English with you in place of I.
    Retold(String),
    /// Word by word.
    Quoted(String),
}

impl Phrase {
    /// Returns the words, as the sentence takes them.
    pub(super) fn words(&self) -> &str {
        match self {
            Self::Retold(words) | Self::Quoted(words) => words,
        }
    }
}

/// Chooses what is given back of a message; nothing when there is nothing that should be.
pub(super) fn reflected(user_input: &str, locale: Locale) -> Option<Phrase> {
    let sentences = sentences_of(user_input);
    // Where a feeling is told, for that is what the person wants heard; else what was said last.
    let (sentence, is_question) =
        sentences.iter().rev().find(|(s, _)| feeling::read(s).is_some()).or_else(|| sentences.last())?;
    let words = words_of(sentence);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let phrase = match locale {
        Locale::Ko => korean::phrase(&words, *is_question),
        Locale::En => english::phrase(&words, *is_question),
    }?;
    (is_short(&phrase) && is_speakable(phrase.words())).then_some(phrase)
}

/// Splits a message into sentences with something in them, and whether each asks.
fn sentences_of(text: &str) -> Vec<(&str, bool)> {
    let ends = ['.', '!', '?', '…', '。', '~', ';', '\n', '\r', '？', '！'];
    text.split_inclusive(ends)
        .map(|sentence| (sentence.trim_end_matches(ends), sentence.contains(['?', '？'])))
        .filter(|(sentence, _)| sentence.chars().any(char::is_alphanumeric))
        .collect()
}

/// Splits a sentence into words without quotation marks, laughter and openers.
fn words_of(sentence: &str) -> Vec<String> {
    let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, '\'' | '’' | '-' | ',' | '%' | '/');
    let words = sentence.split_whitespace().map(|word| word.chars().filter(is_kept).collect::<String>());
    let words = words.map(|word| word.trim_matches(|c: char| c == '-' || is_lone_jamo(c)).to_owned());
    let words = words.filter(|word| word.chars().any(char::is_alphanumeric));
    words.skip_while(|word| OPENERS.contains(&word.trim_end_matches(',').to_lowercase().as_str())).collect()
}

/// ㅋㅋ, ㅠㅠ and the like.
fn is_lone_jamo(c: char) -> bool {
    matches!(c, 'ㄱ'..='ㆎ')
}

/// Returns whether a text says something and holds no abuse, long number or address: whether it may be given back.
pub(crate) fn is_speakable(text: &str) -> bool {
    let text = text.to_lowercase();
    let letters = text.chars().filter(|c| c.is_alphabetic() && !is_lone_jamo(*c)).count();
    let numbers = text.split(|c: char| !c.is_ascii_digit() && !matches!(c, '-' | ' '));
    let longest = numbers.map(|number| number.chars().filter(char::is_ascii_digit).count()).max().unwrap_or(0);
    let is_address = UNSPEAKABLE.iter().any(|unspeakable| text.contains(unspeakable));
    letters >= LETTERS_MIN && longest <= DIGITS_MAX && !is_address
}

/// Returns whether a phrase is short enough to be repeated.
fn is_short(phrase: &Phrase) -> bool {
    let words = phrase.words();
    let longest = words.split_whitespace().map(|word| word.chars().count()).max().unwrap_or(0);
    words.chars().count() <= PHRASE_MAX + RETELLING && longest <= KOREAN_MAX
}
