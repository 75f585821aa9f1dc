//! Giving back English: a clause, with you in place of I.

use super::phrase::{PHRASE_MAX, Phrase, WORDS_MAX};
use crate::feeling;

/// Returns a clause as a phrase: retold with you in place of I, quoted elsewhere.
pub(super) fn phrase(words: &[&str], is_question: bool) -> Option<Phrase> {
    let clauses: Vec<&[&str]> = clauses_of(words);
    let told = clauses.iter().rev().find(|clause| feeling::read(&clause.join(" ")).is_some());
    let clause = told.or_else(|| clauses.iter().rev().find(|clause| clause.len() > 2)).or_else(|| clauses.last())?;
    let is_short = clause.len() <= WORDS_MAX && clause.join(" ").chars().count() <= PHRASE_MAX;
    if is_short
        && !is_question
        && let Some(retold) = retold_in_english(clause)
    {
        return Some(Phrase::Retold(retold));
    }
    let mut quoted = String::new();
    for word in clause.iter().take(WORDS_MAX) {
        if !quoted.is_empty() && quoted.chars().count() + word.chars().count() >= PHRASE_MAX {
            break;
        }
        quoted.push_str(word);
        quoted.push(' ');
    }
    let cut = quoted.split_whitespace().count() < clause.len();
    let quoted = quoted.trim_end().trim_end_matches(',');
    (!quoted.is_empty()).then(|| Phrase::Quoted(if cut { format!("{quoted}…") } else { quoted.to_owned() }))
}

/// Splits words at commas and before the words that begin a clause.
fn clauses_of<'a, 'b>(words: &'b [&'a str]) -> Vec<&'b [&'a str]> {
    const JOINTS: [&str; 9] = ["because", "but", "and", "so", "when", "since", "although", "while", "then"];
    let is_joint = |word: &str| JOINTS.contains(&word.to_lowercase().as_str());
    let is_subject = |word: &str| {
        let word = word.to_lowercase().replace('’', "'");
        matches!(
            word.split('\'').next(),
            Some("i" | "my" | "he" | "she" | "they" | "we" | "it" | "nobody" | "everyone")
        )
    };
    let mut clauses = Vec::new();
    let mut rest = words;
    while !rest.is_empty() {
        let end = rest.iter().enumerate().position(|(at, word)| {
            let next = rest.get(at + 1).copied().unwrap_or_default();
            // "so tired" and "black and blue" go on.
            word.ends_with(',') || (at > 0 && is_joint(next) && rest.get(at + 2).is_some_and(|word| is_subject(word)))
        });
        let (clause, tail) = rest.split_at_checked(end.map_or(rest.len(), |end| end + 1)).unwrap_or((rest, &[]));
        let clause = match clause.split_first() {
            Some((first, after)) if is_joint(first) => after,
            _ => clause,
        };
        if !clause.is_empty() {
            clauses.push(clause);
        }
        rest = tail;
    }
    clauses
}

/// Retells an English clause that begins with I or my, with you in its place.
fn retold_in_english(clause: &[&str]) -> Option<String> {
    let lower: Vec<String> =
        clause.iter().map(|word| word.to_lowercase().replace('’', "'").trim_end_matches(',').to_owned()).collect();
    let first = lower.first()?;
    let starts = matches!(first.as_str(), "i" | "my") || first.starts_with("i'");
    if !starts || lower.len() < 3 || lower.iter().any(|word| word.starts_with("you") || word == "u") {
        return None;
    }
    let mut retold = Vec::with_capacity(clause.len());
    let mut before = "";
    for (word, said) in lower.iter().zip(clause) {
        let turned = match (before, word.as_str()) {
            ("i", "am") => "are",
            ("i", "was") => "were",
            ("i", "wasn't") => "weren't",
            (_, "i" | "me") => "you",
            (_, "i'm" | "im") => "you're",
            (_, "i've" | "ive") => "you've",
            (_, "i'd") => "you'd",
            (_, "i'll") => "you'll",
            (_, "my") => "your",
            (_, "mine") => "yours",
            (_, "myself") => "yourself",
            _ => said.trim_end_matches(','),
        };
        retold.push(turned);
        before = word;
    }
    Some(retold.join(" "))
}
