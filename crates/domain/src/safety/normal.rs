//! A message as the rules see it: only letters, each once, and what stood between them.
//!
//! People part the letters of what they dare not say (`자.살`, `k i l l`), put digits into it (`자1살`, `su1cide`), draw it
//! out (`싶어어어`) or write it in single jamo (`ㅈㅏ살`). So a text is reduced to its bare letters, and the gap before each
//! is kept beside it: whether `살` follows `자` inside a word or only across a space decides if it is a word at all
//! (`혼자 살고 싶어` holds no `자살`). Rules pass through the same reduction, so the two always fit.

mod letters;
#[cfg(test)]
mod tests;

use letters::{compose_jamo, gap_of, is_ignorable, is_syllable, kept_letter, small};
use unicode_normalization::{UnicodeNormalization, is_nfkc_quick};

/// Words that say nothing about what is meant and stand anywhere (`i just really want to die`), in their reduced form.
const FILLERS: [&str; 14] = [
    "just",
    "realy",
    "fucking",
    "fuckin",
    "literaly",
    "kinda",
    "actualy",
    "honestly",
    "seriously",
    "simply",
    "basicaly",
    "ever",
    "even",
    "freaking",
];

/// What stands between two letters, by how much it parts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gap {
    /// Nothing.
    #[default]
    None,
    /// Signs or digits, no space.
    Sign,
    /// A space.
    Space,
    /// A pause: a comma, dots that trail off.
    Pause,
    /// A new line.
    Line,
    /// The end of a sentence.
    Stop,
}

/// A text reduced to its letters.
pub(super) struct Normal {
    /// The letters: small, no two neighbours the same, nothing else.
    pub(super) text: String,
    /// The gap before the letter that begins at a byte of `text`.
    before: Vec<Gap>,
    /// The widest gap among the equal letters that became this one (`want to` is `wanto`).
    inside: Vec<Gap>,
    /// Where sentences begin in `text`, the first at 0.
    sentences: Vec<usize>,
    /// Where somebody laughed (`ㅋㅋ`).
    laughs: Vec<usize>,
}

impl Normal {
    /// Reduces a text, in one pass over it after the normal form.
    pub(super) fn new(text: &str) -> Self {
        let composed = compose_jamo(text);
        let text = composed.as_deref().unwrap_or(text);
        let mut normal = Self {
            text: String::with_capacity(text.len()),
            before: Vec::with_capacity(text.len()),
            inside: Vec::with_capacity(text.len()),
            sentences: vec![0],
            laughs: Vec::new(),
        };
        // Most of what people write is in the normal form by the look of each letter.
        let is_plain = text.chars().all(|letter| letter.is_ascii() || is_syllable(letter));
        if is_plain || matches!(is_nfkc_quick(text.chars()), unicode_normalization::IsNormalized::Yes) {
            normal.read(text.chars());
        } else {
            normal.read(text.nfkc());
        }
        normal
    }

    fn read(&mut self, letters: impl Iterator<Item = char>) {
        let mut letters = letters.map(small).filter(|letter| !is_ignorable(*letter)).peekable();
        let (mut previous, mut last, mut gap) = (' ', None, Gap::None);
        // Where the Latin word that is being read begins.
        let mut word = 0;
        while let Some(letter) = letters.next() {
            let next = letters.peek().copied().unwrap_or(' ');
            if gap == Gap::None
                && letter.is_whitespace()
                && self.text.get(word..).is_some_and(|word| FILLERS.contains(&word))
            {
                gap = self.before(word);
                self.text.truncate(word);
                self.before.truncate(word);
                self.inside.truncate(word);
                last = self.text.chars().next_back();
            }
            if gap > Gap::None && self.text.len() > word {
                word = self.text.len();
            }
            if let Some(kept) = kept_letter(previous, letter, next, last) {
                self.keep(kept, last, gap);
                (last, gap) = (Some(kept), Gap::None);
            } else {
                if matches!(letter, '\u{110f}' | '\u{1112}') && previous == letter {
                    self.laughs.push(self.text.len().saturating_sub(1));
                }
                gap = gap.max(gap_of(previous, letter, next));
            }
            previous = letter;
        }
    }

    fn keep(&mut self, letter: char, last: Option<char>, gap: Gap) {
        if last == Some(letter) {
            let begin = self.text.len() - letter.len_utf8();
            if let Some(inside) = self.inside.get_mut(begin) {
                *inside = gap.max(*inside);
            }
            if gap >= Gap::Line {
                self.sentences.push(begin);
            }
            return;
        }
        let begin = self.text.len();
        if gap >= Gap::Line && self.sentences.last() != Some(&begin) {
            self.sentences.push(begin);
        }
        self.text.push(letter);
        self.before.resize(self.text.len(), Gap::None);
        self.inside.resize(self.text.len(), Gap::None);
        if let Some(before) = self.before.get_mut(begin) {
            *before = gap;
        }
    }

    /// Returns the gap between the letter at `left` and the next one, at `right`.
    pub(super) fn between(&self, left: usize, right: usize) -> Gap {
        self.before(right).max(self.inside(left))
    }

    /// Returns the gap before the letter at `place`.
    pub(super) fn before(&self, place: usize) -> Gap {
        self.before.get(place).copied().unwrap_or_default()
    }

    /// Returns the bytes of the letter at `place` when two words share it (`would be easier`), and else none.
    pub(super) fn shared(&self, place: usize) -> usize {
        let letter = self.text.get(place..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        if self.inside(place) > Gap::None { letter } else { 0 }
    }

    fn inside(&self, place: usize) -> Gap {
        self.inside.get(place).copied().unwrap_or_default()
    }

    /// Returns whether a word can begin with the letter at `place`.
    pub(super) fn begins_word(&self, place: usize) -> bool {
        place == 0
            || self.before(place) > Gap::None
            || self.inside(place) > Gap::None
            || self.text.as_bytes().get(place - 1).is_some_and(u8::is_ascii)
                != self.text.as_bytes().get(place).is_some_and(u8::is_ascii)
    }

    /// Returns whether a word can end before `end`, its last letter beginning at `last`.
    pub(super) fn ends_word(&self, last: usize, end: usize) -> bool {
        end >= self.text.len()
            || self.between(last, end) > Gap::None
            || self.text.as_bytes().get(last).is_some_and(u8::is_ascii)
                != self.text.as_bytes().get(end).is_some_and(u8::is_ascii)
    }

    /// Returns the number of the sentence that holds `place`.
    pub(super) fn sentence_of(&self, place: usize) -> usize {
        self.sentences.partition_point(|begin| *begin <= place).saturating_sub(1)
    }

    /// Returns how many sentences there are.
    pub(super) fn sentence_count(&self) -> usize {
        self.sentences.len()
    }

    /// Returns where somebody laughed.
    pub(super) fn laughs(&self) -> &[usize] {
        &self.laughs
    }
}
