//! The lexicon: words that tell a feeling, with what turns them round and what makes them stronger.
//!
//! Korean is compared letter by letter (jamo), because an ending grows into the syllable of its stem (슬프다, 슬픈). All
//! senses are found in one pass, so the work is linear in the text.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use unicode_normalization::UnicodeNormalization;

use super::{
    Feeling, LEXICON_CEILING, Label, Source,
    context::{Surroundings, is_glued_on},
};
use crate::locale::Text;

/// What the lexicon heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard {
    /// The feeling.
    pub feeling: Feeling,
    /// What the very sense is called, more exact than its label: loneliness, where the label says sadness.
    pub name: Text,
}

/// A pleasant word that was denied; which unpleasant feeling is there instead cannot be known.
const UNEASE: Text = Text::new("편치 않은 마음", "something that does not feel right");
/// The most that is believed of a pleasant word that was denied.
const UNEASE_CEILING: f64 = 0.25;
/// How much a word counts beside a stronger or a weaker one.
const STRONG: f64 = 1.6;
const WEAK: f64 = 0.6;

/// The sense of what only covers another word.
const NO_SENSE: usize = usize::MAX;

#[derive(Debug)]
struct Sense {
    label: Label,
    name: Text,
    arousal: f64,
}

#[derive(Debug)]
struct Entry {
    sense: usize,
    /// Whether the word may go on after what is written of it.
    goes_on: bool,
}

struct Lexicon {
    automaton: Option<AhoCorasick>,
    senses: Vec<Sense>,
    entries: Vec<Entry>,
}

static LEXICON: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::parse(include_str!("lexicon.txt")));

impl Lexicon {
    fn parse(file: &'static str) -> Self {
        let mut lexicon = Self { automaton: None, senses: Vec::new(), entries: Vec::new() };
        let mut patterns = Vec::new();
        for line in file.lines().filter(|line| !line.starts_with('#')) {
            let mut columns = line.split('|').map(str::trim);
            let mut column = || columns.next().unwrap_or_default();
            let label = Label::parse(column());
            let name = Text::new(column(), column());
            let (korean, english) = (column(), column());
            let arousal = column().parse().ok();
            let sense = label.map_or(NO_SENSE, |_| lexicon.senses.len());
            lexicon.senses.extend(label.map(|label| {
                let arousal = arousal.unwrap_or(label.arousal());
                Sense { label, name, arousal }
            }));
            for stem in words_of(korean) {
                let tight: String = stem.split(' ').collect();
                let has_space = tight != stem;
                patterns.push(decomposed(stem));
                lexicon.entries.push(Entry { sense, goes_on: true });
                if has_space {
                    patterns.push(decomposed(&tight));
                    lexicon.entries.push(Entry { sense, goes_on: true });
                }
            }
            for word in words_of(english) {
                patterns.push(word.trim_end_matches('*').to_owned());
                lexicon.entries.push(Entry { sense, goes_on: word.ends_with('*') });
            }
        }
        // Refused only beyond billions of states. A test looks that it is there.
        lexicon.automaton = AhoCorasick::new(patterns).ok();
        lexicon
    }

    /// Finds every word that stands as one, from left to right, the longest where several begin; what covers a word
    /// that is not meant has no sense.
    fn find(&self, text: &str) -> Vec<(usize, usize, Option<&Sense>)> {
        let matches = self.automaton.iter().flat_map(|automaton| automaton.find_overlapping_iter(text));
        let mut hits: Vec<_> = matches
            .filter_map(|found| {
                let entry = self.entries.get(found.pattern().as_usize())?;
                let begins = !continues(text.get(..found.start())?) || is_glued_on(text.get(..found.start())?);
                let ends = entry.goes_on || !text.get(found.end()..)?.starts_with(char::is_alphanumeric);
                (begins && ends).then(|| (found.start(), found.end(), self.senses.get(entry.sense)))
            })
            .collect();
        hits.sort_by_key(|(begin, end, _)| (*begin, usize::MAX - end));
        let mut free_from = 0;
        hits.retain(|(begin, end, _)| {
            let is_free = *begin >= free_from;
            if is_free {
                free_from = *end;
            }
            is_free
        });
        hits
    }
}

fn words_of(column: &str) -> impl Iterator<Item = &str> {
    column.split(',').map(str::trim).filter(|word| !word.is_empty())
}

fn continues(before: &str) -> bool {
    before.ends_with(char::is_alphanumeric)
}

/// Returns a text in the form in which words are looked for: composed, small letters, plain apostrophes, no letters
/// that cannot be seen.
pub fn normalised(text: &str) -> String {
    let letters = text.nfc().filter(|c| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}'));
    letters.flat_map(char::to_lowercase).map(|c| if matches!(c, '’' | '‘') { '\'' } else { c }).collect()
}

/// Takes Korean syllables apart into their letters.
fn decomposed(text: &str) -> String {
    text.nfd().collect()
}

/// What was found of one sense.
struct Weighed {
    weight: f64,
    label: Label,
    name: Text,
    valence: f64,
    arousal: f64,
    ceiling: f64,
}

/// Finds the strongest feeling of a text, and what its sense is called.
pub fn heard(text: &str) -> Option<Heard> {
    let text = decomposed(&normalised(text));
    let mut found: Vec<Weighed> = Vec::new();
    for (begin, end, sense) in LEXICON.find(&text) {
        let Some(sense) = sense else { continue };
        let surroundings = Surroundings::of(&text, begin, end);
        let weight = match surroundings.strength {
            1.. => STRONG,
            0 => 1.0,
            _ => WEAK,
        };
        let Some(weighed) = sense.weighed(weight, surroundings.is_negated) else { continue };
        match found.iter_mut().find(|known| known.name == weighed.name) {
            Some(known) => known.weight += weighed.weight,
            None => found.push(weighed),
        }
    }
    let total: f64 = found.iter().map(|sense| sense.weight).sum();
    let mean = |of: fn(&Weighed) -> f64| found.iter().map(|sense| of(sense) * sense.weight).sum::<f64>() / total;
    let label_weight =
        |label: Label| found.iter().filter(|sense| sense.label == label).map(|sense| sense.weight).sum::<f64>();
    // Hurt and lonely are both sad: the label that weighs most, and its strongest sense. The later of two that weigh
    // the same: people come to the point.
    let heaviest =
        found.iter().map(|sense| sense.label).max_by(|a, b| label_weight(*a).total_cmp(&label_weight(*b)))?;
    let senses = found.iter().filter(|sense| sense.label == heaviest);
    let strongest = senses.max_by(|a, b| a.weight.total_cmp(&b.weight))?;
    let weight = label_weight(heaviest);
    let share = weight / total;
    let certainty = LEXICON_CEILING * share * (0.5 + weight / 3.0).min(1.0);
    let stirred = 1.0 + 0.15 * (weight.min(STRONG) - 1.0);
    Some(Heard {
        feeling: Feeling::new(
            strongest.label,
            certainty.min(strongest.ceiling),
            Source::Lexicon,
            mean(|sense| sense.valence),
            mean(|sense| sense.arousal) * stirred,
        ),
        name: strongest.name,
    })
}

impl Sense {
    /// Returns what this sense adds: an unpleasant feeling that is denied adds nothing.
    fn weighed(&self, weight: f64, is_negated: bool) -> Option<Weighed> {
        if !is_negated {
            let (label, valence) = (self.label, self.label.valence());
            return Some(Weighed {
                weight,
                label,
                name: self.name,
                valence,
                arousal: self.arousal,
                ceiling: LEXICON_CEILING,
            });
        }
        let label = Label::Disappointment;
        (self.label.valence() > 0.2).then_some(Weighed {
            weight: WEAK,
            label,
            name: UNEASE,
            valence: label.valence() / 2.0,
            arousal: label.arousal(),
            ceiling: UNEASE_CEILING,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_and_every_label_has_words() {
        let lexicon = &*LEXICON;
        assert!(lexicon.automaton.is_some());
        let is_sense = |line: &&str| !line.starts_with('#') && !line.starts_with("none ");
        let lines = include_str!("lexicon.txt").lines().filter(is_sense).count();
        assert_eq!(lexicon.senses.len(), lines);
        for label in Label::ALL {
            assert!(lexicon.senses.iter().any(|sense| sense.label == label), "{label:?}");
        }
        for sense in &lexicon.senses {
            assert!(!sense.name.ko.is_empty() && !sense.name.en.is_empty(), "{sense:?}");
            assert!((0.0..=1.0).contains(&sense.arousal));
        }
    }
}
