//! A message as the rules see it: only letters, each once, and what stood between them.
//!
//! People part the letters of what they dare not say (`자.살`, `k i l l`), put digits into it (`자1살`, `su1cide`), draw it
//! out (`싶어어어`) or write it in single jamo (`ㅈㅏ살`). So a text is reduced to its bare letters, and the gap before each
//! is kept beside it: whether `살` follows `자` inside a word or only across a space decides if it is a word at all
//! (`혼자 살고 싶어` holds no `자살`). Rules pass through the same reduction, so the two always fit.

#[cfg(test)]
mod tests;

use unicode_normalization::{UnicodeNormalization, char::decompose_canonical, is_nfkc_quick};

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
        if matches!(is_nfkc_quick(text.chars()), unicode_normalization::IsNormalized::Yes) {
            normal.read(text.chars());
        } else {
            normal.read(text.nfkc());
        }
        normal
    }

    fn read(&mut self, letters: impl Iterator<Item = char>) {
        let mut letters = letters.flat_map(char::to_lowercase).filter(|letter| !is_ignorable(*letter)).peekable();
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

/// Puts syllables together that were written in single jamo (`ㅈㅏㅅㅏㄹ`); nothing when there are none.
///
/// The normal form does half of it: it never makes a final consonant of one. A syllable that was written whole takes no
/// final, or the laugh in `죽을까ㅋㅋ` would change the word before it.
fn compose_jamo(text: &str) -> Option<String> {
    const LEADS: &str = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ";
    const FINALS: &str = "ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ";
    let place = |list: &str, jamo: char| list.chars().zip(0_u32..).find(|(at, _)| *at == jamo).map(|(_, index)| index);
    let vowel = |jamo: char| ('ㅏ'..='ㅣ').contains(&jamo).then(|| u32::from(jamo) - u32::from('ㅏ'));
    if !text.chars().any(|letter| vowel(letter).is_some()) {
        return None;
    }
    let mut composed = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        // Laughter and weeping (`ㅎㅠ`) are no syllable.
        let lead = if matches!(letter, 'ㄱ'..='ㅊ' | 'ㅌ' | 'ㅍ') { place(LEADS, letter) } else { None };
        // `ㅈ ㅏ 살`: one space does not part what stands alone anyway.
        let spaced = lead.is_some() && letters.peek() == Some(&' ');
        let mut ahead = letters.clone();
        let next = if spaced { ahead.nth(1) } else { ahead.next() };
        let (Some(lead), Some(middle)) = (lead, next.and_then(vowel)) else {
            composed.push(letter);
            continue;
        };
        letters = ahead;
        let mut after = letters.clone();
        let final_jamo = after.next().and_then(|jamo| place(FINALS, jamo).map(|index| index + 1));
        let is_final = final_jamo.is_some() && after.next().is_none_or(|next| vowel(next).is_none());
        let last = if is_final { final_jamo.unwrap_or(0) } else { 0 };
        if is_final {
            letters.next();
        }
        composed.extend(char::from_u32(0xAC00 + (lead * 21 + middle) * 28 + last));
    }
    Some(composed)
}

/// Returns whether a character is invisible or only decorates the one before it.
fn is_ignorable(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}' | '\u{300}'..='\u{36f}' | '\u{20d0}'..='\u{20ff}'
        // Apostrophes: `don't` is one word.
        | '\'' | '’' | '‘' | '`' | '´' | 'ʼ' | '′')
}

/// Returns the letter that a character counts as, if it counts as one.
fn kept_letter(previous: char, letter: char, next: char, last: Option<char>) -> Option<char> {
    match letter {
        'a'..='z' | '가'..='힣' => Some(letter),
        // Laughter and weeping are no letters; other lone consonants may be initials (`ㅈㅅ`).
        '\u{110f}' | '\u{1112}' | '\u{1161}'..='\u{1175}' => None,
        '0'..='9' | '@' | '$' | '!' | '|' | '€' => leet(previous, letter, next, last),
        _ if letter.is_ascii() || !letter.is_alphabetic() => None,
        _ => Some(latin(letter)),
    }
}

/// Reads a digit or a sign inside a Latin word as the letter it looks like.
fn leet(previous: char, sign: char, next: char, last: Option<char>) -> Option<char> {
    let touches = previous.is_ascii_alphabetic() || next.is_ascii_alphabetic();
    let within = previous.is_ascii_alphanumeric() && next.is_ascii_alphabetic();
    match sign {
        '0' if touches => Some('o'),
        // After `e` and `i` it is rather an l: `se1f`, `ki11`.
        '1' | '|' if touches || (previous == sign && last.is_some_and(|last| last.is_ascii())) => {
            Some(if matches!(last, Some('e' | 'i')) || previous == sign { 'l' } else { 'i' })
        }
        '3' | '€' if touches => Some('e'),
        '4' | '@' if touches => Some('a'),
        '5' | '$' if touches => Some('s'),
        '7' if touches => Some('t'),
        '!' if within => Some('i'),
        _ => None,
    }
}

/// Reads a letter of another script as the Latin one it imitates, and drops its accents.
fn latin(letter: char) -> char {
    match letter {
        'а' => return 'a',
        'е' | 'ё' => return 'e',
        'о' | 'ο' => return 'o',
        'р' => return 'p',
        'с' => return 'c',
        'у' => return 'y',
        'х' => return 'x',
        'і' | 'ı' | 'ι' => return 'i',
        'ѕ' => return 's',
        'к' | 'κ' => return 'k',
        'м' => return 'm',
        'т' => return 't',
        _ => {}
    }
    let mut base = letter;
    let mut first = true;
    decompose_canonical(letter, |part| {
        if first && part.is_ascii_alphabetic() {
            base = part;
        }
        first = false;
    });
    base
}

fn gap_of(previous: char, sign: char, next: char) -> Gap {
    let open = next.is_whitespace();
    match sign {
        '\n' | '\r' | '\u{2028}' | '\u{2029}' => Gap::Line,
        _ if sign.is_whitespace() => Gap::Space,
        // Dots that trail off part no sentences: `죽고.. 싶어..`
        '.' if previous == '.' || next == '.' => Gap::Pause,
        '.' | '!' | '?' | '。' | ';' if open => Gap::Stop,
        ',' | '、' if open => Gap::Pause,
        _ => Gap::Sign,
    }
}
