//! The rules' files and how their phrases are found.

use super::*;

fn found(text: &str) -> Vec<Class> {
    let (hits, _) = RULES.find(&Normal::new(text));
    hits.iter().map(|hit| hit.class).collect()
}

#[test]
fn every_line_of_the_rules_can_be_read() {
    for (name, file) in [("ko", include_str!("ko.txt")), ("en", include_str!("en.txt"))] {
        for (number, line) in (1..).zip(file.lines()) {
            let bare = line.split('#').next().unwrap().trim();
            assert!(bare.is_empty() || parse_line(bare).is_some(), "{name} {number}: {line}");
            if let Some((_, parts)) = parse_line(bare) {
                // A part of a sequence may be short, for the other part stands beside it.
                let least = if parts.len() > 1 { 1 } else { 2 };
                for phrase in parts.into_iter().flatten() {
                    let letters = Phrase::parse(&phrase).map_or(0, |phrase| phrase.text().chars().count());
                    assert!(letters >= least, "{name} {number}: {phrase} would be found everywhere");
                }
            }
        }
    }
    // Alternatives multiply: many more than this, and the start and the memory are felt.
    assert!((1_000..30_000).contains(&RULES.phrases.len()), "{}", RULES.phrases.len());
    assert!(RULES.automaton.is_some());
}

#[test]
fn alternatives_are_written_out() {
    assert_eq!(expand("(a|b) c(d|)").unwrap(), ["a cd", "a c", "b cd", "b c"]);
    assert_eq!(expand("a (b"), None);
    assert_eq!(expand("a) b"), None);
    assert_eq!(expand("a|b"), None);
}

#[test]
fn a_word_across_a_space_is_none_unless_it_is_spelled_out() {
    assert!(!found("혼자 살고").contains(&Class::Term));
    assert!(!found("여자 살림").contains(&Class::Term));
    assert!(found("자 살 하고").contains(&Class::Term));
    assert!(found("자.살").contains(&Class::Term));
    assert!(found("s u i c i d e").contains(&Class::Term));
}

#[test]
fn latin_phrases_are_whole_words() {
    assert!(!found("i want to diet").contains(&Class::Ideation));
    assert!(found("i want to die").contains(&Class::Ideation));
    assert!(found("i really just wanttodie").contains(&Class::Ideation));
}
