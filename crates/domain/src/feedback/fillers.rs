//! Filler words in what was said.
//!
//! A word counts only when it stands alone: `저는` and `그것` have a filler's syllable and are words of their own, and so
//! is anything with a particle. Punctuation and letter case do not matter, and a drawn-out `음음`, `어어어` or `ummm` is
//! one filler. Which of the words that stand alone are meant as fillers (`그 사람`) only the speaker knows: the list is
//! theirs.

use std::collections::HashSet;

/// A person's filler words, made ready to be looked for.
pub(super) struct Words {
    single: HashSet<String>,
    /// Such as `you know`.
    phrases: Vec<Vec<String>>,
}

impl Words {
    pub(super) fn new(words: &[String]) -> Self {
        let (mut single, mut phrases) = (HashSet::new(), Vec::new());
        for word in words {
            let mut tokens = tokens(word);
            if tokens.len() > 1 {
                phrases.push(tokens);
            } else {
                single.extend(tokens.pop());
            }
        }
        Self { single, phrases }
    }

    /// Counts the filler words of a text.
    pub(super) fn count(&self, text: &str) -> usize {
        let tokens = tokens(text);
        let single = tokens.iter().filter(|token| self.single.contains(*token)).count();
        let phrases = self.phrases.iter().map(|phrase| {
            let places = tokens.windows(phrase.len());
            places.filter(|place| *place == phrase.as_slice()).count()
        });
        single + phrases.sum::<usize>()
    }
}

/// Cuts a text into words of small letters, without the repetitions at their ends.
fn tokens(text: &str) -> Vec<String> {
    let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| shortened(&word.to_lowercase())).collect()
}

/// Leaves one of the letters that a word ends with several of.
fn shortened(word: &str) -> String {
    let Some(last) = word.chars().next_back() else { return String::new() };
    let mut short = word.trim_end_matches(last).to_owned();
    short.push(last);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(words: &[&str], text: &str) -> usize {
        Words::new(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).count(text)
    }

    #[test]
    fn a_filler_counts_where_it_stands_alone() {
        let korean = ["음", "그", "어", "저", "뭐", "아", "그니까", "그러니까"];
        assert_eq!(count(&korean, "음... 그, 저는 어 그러니까 발표를"), 4);
        assert_eq!(count(&korean, "저는 그것을 어제 음식점에서 아주 뭐든지 그래서"), 0);
        assert_eq!(count(&korean, "음음, 어어어! 아~~ \"뭐\" (그니까)"), 5);
        assert_eq!(count(&korean, ""), 0);
    }

    #[test]
    fn letter_case_does_not_matter_and_phrases_count_as_one() {
        assert_eq!(count(&["um", "You know"], "Um, ummm. You know, it is, YOU KNOW umbrella knowledge"), 4);
        assert_eq!(count(&["hmm"], "hm hmmmm hum"), 2);
        assert_eq!(count(&["...", ""], "... 음"), 0);
    }
}
