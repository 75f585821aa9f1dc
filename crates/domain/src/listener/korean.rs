//! Giving back Korean: the end of a sentence, where its verb stands.

use super::{
    josa::{SSANGSIOT, final_consonant},
    phrase::{KOREAN_MAX, Phrase, WORDS_MAX},
};

/// Returns the end of a sentence as a phrase: retold where its verb shows how, quoted elsewhere.
pub(super) fn phrase(words: &[&str], is_question: bool) -> Option<Phrase> {
    let tail = tail_of(words);
    let joined = tail.join(" ");
    let joined = joined.trim_matches([',', ' ']);
    if joined.is_empty() {
        return None;
    }
    let retold = (!is_question).then(|| retold_in_korean(&tail)).flatten();
    Some(retold.map_or_else(|| Phrase::Quoted(joined.to_owned()), Phrase::Retold))
}

/// Returns the last words that make a phrase; after a comma if there is enough behind it.
fn tail_of<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut tail = Vec::new();
    let mut length = 0;
    for word in words.iter().rev() {
        length += word.chars().count() + 1;
        let is_clause_before = word.ends_with(',') && tail.len() >= 2;
        if !tail.is_empty() && (length > KOREAN_MAX + 1 || tail.len() >= WORDS_MAX || is_clause_before) {
            break;
        }
        tail.push(*word);
    }
    tail.reverse();
    tail
}

/// First persons that a retelling leaves out, and persons that it would have to turn round.
const DROPPED: [&str; 12] = ["나는", "난", "저는", "내가", "제가", "나", "저", "내", "제", "우리", "저희", "전"];
const PERSONS: [&str; 28] = [
    "나한테",
    "나에게",
    "나를",
    "나만",
    "나도",
    "나랑",
    "나보다",
    "나보고",
    "나에",
    "나와",
    "내게",
    "내꺼",
    "저한테",
    "저에게",
    "저를",
    "저만",
    "저도",
    "저랑",
    "저보다",
    "저에",
    "저와",
    "제게",
    "너는",
    "넌",
    "네가",
    "니가",
    "너한테",
    "당신",
];
/// Those of one letter, which begin other words too.
const SHORT_PERSONS: [&str; 4] = ["날", "절", "네", "너"];
/// Adjectives and the like whose stem shows: 없어 is 없다고.
const PLAIN_STEMS: [char; 6] = ['없', '싶', '같', '많', '좋', '싫'];

/// Retells a Korean clause up to the stem before 다고: 팀장님한테 혼났어요 is 팀장님한테 혼났.
fn retold_in_korean(tail: &[&str]) -> Option<String> {
    let (last, before) = tail.split_last()?;
    let stem = stem_of(last)?;
    let mut retold: Vec<&str> = Vec::with_capacity(tail.len());
    for (index, word) in before.iter().enumerate() {
        let bare = word.trim_end_matches(',');
        if SHORT_PERSONS.contains(&bare) || PERSONS.iter().any(|person| bare.starts_with(person)) {
            return None;
        }
        // 전 is also "before", except where a sentence begins with it.
        if DROPPED.contains(&bare) && (bare != "전" || index == 0) {
            continue;
        }
        retold.push(word);
    }
    retold.push(stem);
    Some(retold.join(" "))
}

/// Returns what of a verb stands before 다고, for endings that show it.
fn stem_of(word: &str) -> Option<&str> {
    const ENDINGS: [&str; 9] = ["습니다", "거든", "는데", "어", "아", "다", "네", "지", "음"];
    let word = word.trim_end_matches(',');
    let word = word.strip_suffix('요').unwrap_or(word);
    let stem = ENDINGS.iter().find_map(|ending| word.strip_suffix(ending))?;
    let last = stem.chars().next_back()?;
    let is_past = final_consonant(last) == Some(SSANGSIOT);
    (is_past || PLAIN_STEMS.contains(&last) || stem.ends_with("힘들")).then_some(stem)
}
