//! The rules: phrases in data files, each of a class, found all at once.
//!
//! A line is `class: phrase`. `(a|b|)` stands for each of its alternatives, `#` begins a comment. A space in a phrase
//! may be missing from a text and the other way round it may not, except where every letter stands alone (`죽 고 싶 어`).
//! A phrase in Latin letters is made of whole words, `*` at its end lets the last word go on. A Korean phrase may stand
//! anywhere inside a word, for particles and endings cling to it; `_` at its start asks for a word's beginning.
//! `a ~ b` is `a` and soon after it, in the same sentence, `b`.

mod class;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::LazyLock,
};

use aho_corasick::AhoCorasick;

pub(super) use class::Class;

use super::normal::{Gap, Normal};

/// Most bytes of letters between two parts of a sequence: eight Korean syllables, or some five Latin words.
const APART_MAX: usize = 24;

/// The same where a sequence takes something away: `생각은 전혀 없어`, and not `생각이 들어. 희망이 없어`.
const APART_MAX_OF_DENIAL: usize = 12;

/// Bytes of a phrase up to which the machine goes on with a single look: the first Korean syllable, and the byte after it.
/// That far nearly all of a text gets.
const DENSE_DEPTH: usize = 4;

/// Fewest letters of a Korean phrase in which spaces may stand anywhere.
const FREE_MIN: usize = 4;

/// A phrase that stands in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) class: Class,
    pub(super) begin: usize,
    pub(super) end: usize,
}

/// What a found phrase counts as.
#[derive(Clone, Copy)]
enum Use {
    /// It tells a class by itself.
    Whole(Class),
    /// It is a part of a sequence: the sequence's number and the part's place in it.
    Part(usize, usize),
}

struct Rule {
    phrase: Phrase,
    uses: Vec<Use>,
}

/// Phrases that tell a class when they follow each other closely in one sentence.
struct Sequence {
    class: Class,
    parts: usize,
}

/// A phrase in the reduced form of a text, with where its words may part.
struct Phrase {
    letters: Normal,
    begins_word: bool,
    ends_word: bool,
    /// Spaces may stand anywhere in it. Korean spacing is free, and few long phrases arise from the ends of words by
    /// chance; `자살` does (`의자 살 생각`).
    is_free: bool,
}

impl Phrase {
    fn parse(phrase: &str) -> Option<Self> {
        let phrase = phrase.trim();
        let (asks_begin, phrase) = phrase.strip_prefix('_').map_or((false, phrase), |rest| (true, rest));
        let (goes_on, phrase) = phrase.strip_suffix('*').map_or((false, phrase), |rest| (true, rest));
        let letters = Normal::new(phrase);
        let latin = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii());
        let begins_word = asks_begin || latin(letters.text.chars().next());
        let ends_word = !goes_on && latin(letters.text.chars().next_back());
        let is_free =
            letters.text.chars().count() >= FREE_MIN && !letters.text.starts_with("자살") && !letters.text.is_ascii();
        (!letters.text.is_empty()).then_some(Self { letters, begins_word, ends_word, is_free })
    }

    fn text(&self) -> &str {
        &self.letters.text
    }

    /// What tells it from another phrase: its letters, where they may part, and whether it asks for whole words.
    fn identity(&self) -> (String, Vec<bool>, bool, bool) {
        let places = self.letters.text.char_indices().zip(self.letters.text.char_indices().skip(1));
        let parts = places.map(|((left, _), (right, _))| self.letters.between(left, right) >= Gap::Space).collect();
        (self.letters.text.clone(), parts, self.begins_word, self.ends_word)
    }

    /// Returns whether the phrase, whose letters stand at `begin` of `text`, is there in whole words.
    ///
    /// Each letter is looked at once.
    fn stands_at(&self, text: &Normal, begin: usize) -> bool {
        let (mut joined, mut spelled) = (true, true);
        let (mut left, mut count) = (0, 0);
        for (right, _) in self.letters.text.char_indices().skip(1) {
            let gap = if left == 0 { text.before(begin + right) } else { text.between(begin + left, begin + right) };
            let parts = self.letters.between(left, right) >= Gap::Space && gap <= Gap::Line;
            joined &= gap <= Gap::Sign || parts || (self.is_free && gap == Gap::Space);
            spelled &= gap > Gap::None;
            (left, count) = (right, count + 1);
        }
        let begins = text.begins_word(begin);
        let ends = text.ends_word(begin + left, begin + self.letters.text.len());
        (begins || !self.begins_word) && (ends || !self.ends_word) && (joined || (spelled && begins && count > 0))
    }
}

/// Phrases and the machine that finds them all in one pass.
pub(super) struct Rules {
    automaton: Option<AhoCorasick>,
    phrases: Vec<Rule>,
    sequences: Vec<Sequence>,
}

/// The rules for what people write.
pub(super) static RULES: LazyLock<Rules> =
    LazyLock::new(|| Rules::parse(&[include_str!("rules/ko.txt"), include_str!("rules/en.txt")]));

impl Rules {
    fn parse(files: &[&str]) -> Self {
        let mut parsed = Self { automaton: None, phrases: Vec::new(), sequences: Vec::new() };
        let mut known = HashMap::new();
        for (class, parts) in files.iter().flat_map(|file| file.lines()).filter_map(parse_line) {
            let (sequence, length) = (parsed.sequences.len(), parts.len());
            for (place, phrases) in parts.into_iter().enumerate() {
                let used = if length == 1 { Use::Whole(class) } else { Use::Part(sequence, place) };
                for phrase in phrases.iter().filter_map(|phrase| Phrase::parse(phrase)) {
                    parsed.add(phrase, used, &mut known);
                }
            }
            if length > 1 {
                parsed.sequences.push(Sequence { class, parts: length });
            }
        }
        // Refused only beyond billions of states. A test looks that it is there.
        let phrases = parsed.phrases.iter().map(|rule| rule.phrase.text());
        parsed.automaton = AhoCorasick::builder().dense_depth(DENSE_DEPTH).build(phrases).ok();
        parsed
    }

    fn add(&mut self, phrase: Phrase, used: Use, known: &mut HashMap<(String, Vec<bool>, bool, bool), usize>) {
        match known.entry(phrase.identity()) {
            Entry::Occupied(at) => self.phrases.get_mut(*at.get()).into_iter().for_each(|rule| rule.uses.push(used)),
            Entry::Vacant(at) => {
                at.insert(self.phrases.len());
                self.phrases.push(Rule { phrase, uses: vec![used] });
            }
        }
    }

    /// Finds every phrase in a text, by where it begins, the longer of two first; and how many candidates were looked at.
    pub(super) fn find(&self, text: &Normal) -> (Vec<Hit>, usize) {
        let mut candidates = 0;
        let (mut hits, mut parts) = (Vec::new(), Vec::new());
        for found in self.automaton.iter().flat_map(|automaton| automaton.find_overlapping_iter(&text.text)) {
            candidates += 1;
            let Some(rule) = self.phrases.get(found.pattern().as_usize()) else { continue };
            if !rule.phrase.stands_at(text, found.start()) {
                continue;
            }
            for used in &rule.uses {
                match *used {
                    Use::Whole(class) => hits.push(Hit { class, begin: found.start(), end: found.end() }),
                    Use::Part(sequence, place) => parts.push((found.start(), found.end(), sequence, place)),
                }
            }
        }
        parts.sort_unstable();
        self.follow(text, &parts, &mut hits);
        // Of two that stand in the same place the weaker reading comes last.
        hits.sort_by_key(|hit| (hit.begin, usize::MAX - hit.end, hit.class.is_weak()));
        (hits, candidates)
    }

    /// Puts parts, by where they begin, together to sequences. Each part is looked at once.
    fn follow(&self, text: &Normal, parts: &[(usize, usize, usize, usize)], hits: &mut Vec<Hit>) {
        // For each sequence how far it has come: where it began, and where the part at each place ended last.
        let mut come: HashMap<(usize, usize), (usize, usize)> = HashMap::new();
        for &(begin, end, sequence, place) in parts {
            let Some(Sequence { class, parts }) = self.sequences.get(sequence) else { continue };
            let apart_max = if matches!(class, Class::Denied | Class::Mask) { APART_MAX_OF_DENIAL } else { APART_MAX };
            let first = match place.checked_sub(1) {
                None => begin,
                Some(before) => match come.get(&(sequence, before)) {
                    Some(&(first, ended))
                        if ended <= begin + text.shared(begin)
                            && begin.saturating_sub(ended) <= apart_max
                            && text.sentence_of(ended.saturating_sub(1)) == text.sentence_of(begin) =>
                    {
                        first
                    }
                    _ => continue,
                },
            };
            come.insert((sequence, place), (first, end));
            if place + 1 == *parts {
                hits.push(Hit { class: *class, begin: first, end });
            }
        }
    }
}

/// Reads a line into its class and the phrases of each part; nothing for an empty line, a comment or a broken one.
fn parse_line(line: &str) -> Option<(Class, Vec<Vec<String>>)> {
    let line = line.split('#').next()?.trim();
    let (class, parts) = line.split_once(':')?;
    let parts: Option<Vec<_>> = parts.split(" ~ ").map(|part| expand(part.trim())).collect();
    Some((Class::parse(class.trim())?, parts?))
}

/// Writes out a phrase's alternatives; nothing when its brackets do not match.
pub(super) fn expand(phrase: &str) -> Option<Vec<String>> {
    let Some((before, rest)) = phrase.split_once('(') else {
        return (!phrase.contains([')', '|'])).then(|| vec![phrase.to_owned()]);
    };
    let (group, after) = rest.split_once(')')?;
    let tails = expand(after)?;
    let heads = group.split('|').map(|alternative| format!("{before}{alternative}"));
    Some(heads.flat_map(|head| tails.iter().map(move |tail| format!("{head}{tail}"))).collect())
}
