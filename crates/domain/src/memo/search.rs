//! Finding memos by what stands in them, in Korean and English.
//!
//! Text and query are folded alike: composed (NFC), in lower case, every white space a border between words. A query is
//! some words, all of which must be found, in the text or in a tag. A consonant of a query also stands for every
//! syllable that begins with it (초성), so `ㅎㅇ`, `회ㅇ` and `회의` all find `회의실`. A word of one letter is found
//! where a word begins with it.
//!
//! [`Sought::matches`] alone decides. An index cannot ask it, so every memo carries the keys of its neighbouring letters
//! and every query names the keys that a memo must have to match: what has them is a candidate, and nothing else can be
//! one. Keys are digests of two letters and their owner, so the entries of an index are one person's each.

use std::collections::HashSet;

use unicode_normalization::UnicodeNormalization;

use crate::{fault::Violations, ids::UserId};

/// Most characters of a query.
pub const QUERY_MAX: usize = 200;
/// Most words of a query.
pub const WORDS_MAX: usize = 10;
/// Most keys of one memo. One with more gets a single key that makes it a candidate of every query: 100,000 characters
/// of prose have about 15,000.
pub const KEYS_MAX: usize = 20_000;

/// Stands between words, and before the first.
const BORDER: char = ' ';
/// A pair that no two letters make.
const TOO_VARIED: u64 = u64::MAX;
/// The first and the last Hangul syllable.
const SYLLABLES: std::ops::RangeInclusive<char> = '\u{ac00}'..='\u{d7a3}';
/// Consonants and vowels as they are typed alone.
const CONSONANTS_AND_VOWELS: std::ops::RangeInclusive<char> = 'ㄱ'..='ㅣ';
/// Syllables that begin with the same consonant.
const PER_INITIAL: u32 = 588;
/// The consonants a syllable may begin with, in the order of the syllables.
const INITIALS: [char; 19] =
    ['ㄱ', 'ㄲ', 'ㄴ', 'ㄷ', 'ㄸ', 'ㄹ', 'ㅁ', 'ㅂ', 'ㅃ', 'ㅅ', 'ㅆ', 'ㅇ', 'ㅈ', 'ㅉ', 'ㅊ', 'ㅋ', 'ㅌ', 'ㅍ', 'ㅎ'];
/// The first of the same consonants as parts of syllables; what is left of a syllable typed in part.
const FIRST_PART: char = '\u{1100}';

/// A memo's folded text.
// No `Debug`: no log line may show what somebody wrote.
pub struct Searchable(Vec<char>);

impl Searchable {
    /// Folds what stands in a memo.
    pub fn of<T: AsRef<str>>(content: &str, tags: &[T]) -> Self {
        let mut letters = vec![BORDER];
        fold(content, &mut letters);
        for tag in tags {
            letters.push(BORDER);
            fold(tag.as_ref(), &mut letters);
        }
        Self(letters)
    }

    /// Returns the keys of a memo of `owner`, each once, in order.
    pub fn keys(&self, owner: UserId) -> Vec<i32> {
        let mut pairs = HashSet::new();
        for (a, b) in neighbours(&self.0).filter(|&(_, b)| b != BORDER) {
            pairs.insert(pair(a, b));
            pairs.insert(pair(initial(a), initial(b)));
            if pairs.len() > KEYS_MAX {
                return vec![too_varied(owner)];
            }
        }
        keys(owner, pairs)
    }
}

/// What somebody looks for.
// No `Debug`, for the same reason.
pub struct Sought(Vec<Vec<char>>);

impl Sought {
    /// Reads a query, recording a violation at `?q`.
    pub fn parse(text: &str, violations: &mut Violations) -> Option<Self> {
        let mut letters = Vec::new();
        if text.chars().count() <= QUERY_MAX && !text.contains('\0') {
            fold(text, &mut letters);
        }
        let words: Vec<Vec<char>> =
            letters.split(|&c| c == BORDER).filter(|word| !word.is_empty()).map(placed).collect();
        let sound = (1..=WORDS_MAX).contains(&words.len());
        violations.require(
            sound,
            "?q",
            "length",
            "검색어는 200자, 10단어 이내로 입력해 주세요.",
            "A query has at least one word, at most 10 of them, and at most 200 characters.",
        );
        sound.then_some(Self(words))
    }

    /// Returns whether every word is found.
    pub fn matches(&self, text: &Searchable) -> bool {
        self.0.iter().all(|word| text.0.windows(word.len()).any(|place| stands_at(word, place)))
    }

    /// Returns the keys that a memo of `owner` has when it matches, unless it has the key [`too_varied`].
    pub fn keys(&self, owner: UserId) -> Vec<i32> {
        let needed = self
            .0
            .iter()
            .flat_map(|word| neighbours(word))
            .map(|(a, b)| if is_initial(a) || is_initial(b) { pair(initial(a), initial(b)) } else { pair(a, b) });
        keys(owner, needed.collect())
    }
}

/// Returns the one key of a memo of `owner` that has too many.
pub fn too_varied(owner: UserId) -> i32 {
    digest(seed(owner), TOO_VARIED)
}

/// Puts a word of one letter where words begin.
fn placed(word: &[char]) -> Vec<char> {
    match word {
        [letter] => vec![BORDER, *letter],
        _ => word.to_vec(),
    }
}

fn stands_at(word: &[char], place: &[char]) -> bool {
    word.iter().zip(place).all(|(&sought, &found)| sought == found || (is_initial(sought) && initial(found) == sought))
}

fn fold(text: &str, letters: &mut Vec<char>) {
    let spaced = |c: char| if c.is_whitespace() { BORDER } else { c };
    if text.chars().all(is_plain) {
        letters.extend(text.chars().map(|c| spaced(c.to_ascii_lowercase())));
        return;
    }
    letters.extend(text.nfc().flat_map(char::to_lowercase).nfc().map(|c| {
        let part = u32::from(c).checked_sub(u32::from(FIRST_PART)).and_then(|place| usize::try_from(place).ok());
        part.and_then(|place| INITIALS.get(place)).copied().unwrap_or_else(|| spaced(c))
    }));
}

/// Returns whether a letter is composed, whatever stands beside it among its likes, and only ASCII has another case: what
/// nearly all memos are made of, and ten times as fast to fold.
fn is_plain(c: char) -> bool {
    c.is_ascii() || SYLLABLES.contains(&c) || CONSONANTS_AND_VOWELS.contains(&c)
}

fn neighbours(letters: &[char]) -> impl Iterator<Item = (char, char)> {
    letters.iter().copied().zip(letters.iter().copied().skip(1))
}

fn is_initial(c: char) -> bool {
    INITIALS.contains(&c)
}

/// Returns the consonant that a syllable begins with; anything else as it is.
fn initial(c: char) -> char {
    if !SYLLABLES.contains(&c) {
        return c;
    }
    let place = (u32::from(c) - u32::from(*SYLLABLES.start())) / PER_INITIAL;
    usize::try_from(place).ok().and_then(|place| INITIALS.get(place)).copied().unwrap_or(c)
}

/// Writes two letters as one number; a letter has 21 bits.
fn pair(a: char, b: char) -> u64 {
    (u64::from(a) << 21) | u64::from(b)
}

fn keys(owner: UserId, pairs: HashSet<u64>) -> Vec<i32> {
    let seed = seed(owner);
    let mut keys: Vec<i32> = pairs.into_iter().map(|pair| digest(seed, pair)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn seed(owner: UserId) -> u64 {
    let (high, low) = owner.0.as_u64_pair();
    mix(high ^ mix(low))
}

/// Changing this changes every key: the memos that are there must then get new ones.
fn digest(seed: u64, pair: u64) -> i32 {
    let [a, b, c, d, ..] = mix(seed ^ mix(pair)).to_be_bytes();
    i32::from_be_bytes([a, b, c, d])
}

/// The finaliser of `SplitMix64`: every bit of the number moves every bit of the answer.
fn mix(number: u64) -> u64 {
    let once = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let twice = (once ^ (once >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    twice ^ (twice >> 31)
}

#[cfg(test)]
mod tests;
