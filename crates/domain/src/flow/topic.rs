//! What is spoken of, by letters alone: pairs of neighbouring letters compare Korean well, whose endings change.

use std::collections::HashMap;

use crate::{feeling::normalised, listener::is_speakable};

/// Messages of fewer letters are about whatever the one before was about.
const LETTERS_MIN: usize = 12;
/// How alike a message and the messages before must be to be about the same, as the cosine of their pairs.
const ALIKE: f64 = 0.06;
/// How much what was said before fades with each message.
const FADING: f64 = 0.7;
/// Words that name a segment.
const WORDS_MAX: usize = 3;

/// Words that say nothing about a topic.
const EMPTY_WORDS: [&str; 60] = [
    "너무",
    "정말",
    "진짜",
    "그냥",
    "오늘",
    "어제",
    "요즘",
    "지금",
    "그런데",
    "근데",
    "그래서",
    "그리고",
    "나는",
    "내가",
    "저는",
    "제가",
    "그게",
    "이게",
    "것도",
    "같아요",
    "같아",
    "있어요",
    "있어",
    "없어요",
    "없어",
    "했어요",
    "했어",
    "많이",
    "계속",
    "자꾸",
    "이런",
    "그런",
    "때문에",
    "the",
    "and",
    "that",
    "this",
    "with",
    "have",
    "just",
    "really",
    "very",
    "feel",
    "feeling",
    "about",
    "because",
    "when",
    "what",
    "was",
    "were",
    "are",
    "for",
    "but",
    "not",
    "you",
    "she",
    "him",
    "her",
    "they",
    "i'm",
];

type Pairs = HashMap<(char, char), f64>;

fn pairs(text: &str) -> (usize, Pairs) {
    let letters: Vec<char> = normalised(text).chars().filter(|c| c.is_alphanumeric() || c.is_whitespace()).collect();
    let mut pairs = Pairs::new();
    for pair in letters.windows(2) {
        if let [first, second] = *pair
            && !first.is_whitespace()
            && !second.is_whitespace()
        {
            *pairs.entry((first, second)).or_default() += 1.0;
        }
    }
    (letters.iter().filter(|c| !c.is_whitespace()).count(), pairs)
}

fn cosine(a: &Pairs, b: &Pairs) -> f64 {
    let (small, large) = if a.len() < b.len() { (a, b) } else { (b, a) };
    let dot: f64 = small.iter().filter_map(|(pair, count)| Some(count * large.get(pair)?)).sum();
    let norm = |pairs: &Pairs| pairs.values().map(|count| count * count).sum::<f64>().sqrt();
    let norms = norm(a) * norm(b);
    if norms > 0.0 { dot / norms } else { 0.0 }
}

/// Returns for each message whether it is unlike what was said shortly before it; the first is never.
pub(super) fn changes(texts: &[&str]) -> Vec<bool> {
    let mut before = Pairs::new();
    let mut changes = Vec::with_capacity(texts.len());
    for text in texts {
        let (letters, pairs) = pairs(text);
        let is_long = letters >= LETTERS_MIN;
        let is_new = is_long && !before.is_empty() && cosine(&before, &pairs) < ALIKE;
        changes.push(is_new);
        if is_new {
            before.clear();
        }
        for count in before.values_mut() {
            *count *= FADING;
        }
        // Short answers belong to what they answer and do not change it.
        if is_long || before.is_empty() {
            for (pair, count) in pairs {
                *before.entry(pair).or_default() += count;
            }
        }
    }
    changes
}

/// Returns the words that come up most, the earlier of two; Korean words without the particle at their end.
pub(super) fn words(texts: &[&str]) -> String {
    // How often, and where first.
    let mut counted: HashMap<String, (usize, usize)> = HashMap::new();
    for text in texts.iter().filter(|text| is_speakable(text)) {
        let text = normalised(text);
        for word in text.split(|c: char| !c.is_alphanumeric() && c != '\'').map(without_particle) {
            if says_something(word) {
                let place = counted.len();
                counted.entry(word.to_owned()).or_insert((0, place)).0 += 1;
            }
        }
    }
    let merged: Vec<_> = counted.keys().filter_map(|word| Some((word.clone(), maybe_stem(word, &counted)?))).collect();
    for (word, stem) in merged {
        let more = counted.remove(&word).map_or(0, |(count, _)| count);
        counted.entry(stem).and_modify(|(count, _)| *count += more);
    }
    let mut counted: Vec<_> = counted.into_iter().collect();
    counted.sort_by_key(|(_, (count, place))| (usize::MAX - count, *place));
    let words: Vec<_> = counted.into_iter().take(WORDS_MAX).map(|(word, _)| word).collect();
    words.join(" ")
}

fn says_something(word: &str) -> bool {
    let length = word.chars().count();
    let least = if word.is_ascii() { 3 } else { 2 };
    (least..=12).contains(&length) && !EMPTY_WORDS.contains(&word) && !word.chars().all(|c| c.is_ascii_digit())
}

fn without_particle(word: &str) -> &str {
    const PARTICLES: [&str; 14] =
        ["에서는", "한테만", "에서", "한테", "에게", "까지", "부터", "처럼", "이랑", "은", "는", "을", "를", "에"];
    let stem = PARTICLES.iter().find_map(|particle| word.strip_suffix(particle));
    let stem = stem.or_else(|| word.strip_suffix('이').filter(|stem| stem.ends_with('님')));
    stem.filter(|stem| stem.chars().count() >= 2).unwrap_or(word)
}

/// Returns what is left of a word without 이 or 가, if that is a word of its own here: 회의가, but not 고양이.
fn maybe_stem(word: &str, counted: &HashMap<String, (usize, usize)>) -> Option<String> {
    let stem = word.strip_suffix(['이', '가'])?;
    counted.contains_key(stem).then(|| stem.to_owned())
}
