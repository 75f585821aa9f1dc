//! What stands around a word: what denies it, and what makes it stronger or weaker. Texts are taken apart into jamo.

use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;

/// Most bytes that are looked at on either side of a word: some fifteen syllables in jamo.
const REACH: usize = 160;

/// What surrounds a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Surroundings {
    /// Whether it is denied.
    pub(super) is_negated: bool,
    /// 1 when it is stressed, -1 when it is played down.
    pub(super) strength: i8,
}

/// Lists of Korean words in jamo, as the texts are.
struct Korean {
    stronger: Vec<String>,
    weaker: Vec<String>,
    before: Vec<String>,
    beyond: Vec<String>,
    endings: Vec<String>,
    tight: Vec<String>,
    deniers: Vec<String>,
    nouns: Vec<String>,
    particles: Vec<String>,
    absent: Vec<String>,
    not: Vec<String>,
    except: String,
}

fn jamo(words: &str) -> Vec<String> {
    words.split(' ').map(|word| word.nfd().collect()).collect()
}

static KOREAN: LazyLock<Korean> = LazyLock::new(|| Korean {
    stronger: jamo(
        "너무 너무너무 넘 정말 정말로 진짜 진짜로 매우 엄청 되게 완전 많이 굉장히 몹시 무척 참 진심 훨씬 더 가장 제일 존나 개 \
         미치도록 너무나",
    ),
    weaker: jamo("조금 좀 약간 살짝 조금은 약간은 조금씩 그다지 왠지 은근"),
    before: jamo("안 못 별로"),
    // 죽겠어요, 미치겠어: said of what is felt beyond bearing.
    beyond: jamo("죽겠 미치겠 미칠 죽을"),
    endings: jamo("지 지는 지도 지가 진 질"),
    tight: jamo("지않 지는않 지도않 진않 지못 지안"),
    deniers: jamo("않 안 못 말"),
    nouns: jamo("건 것은 게 것이 것도 거 적이 적은 적도 적 줄 일이 필요 필요가 필요는 마음은 생각은"),
    particles: jamo("은 는 이 가 도 함은 함이 함도 음은 음이 한 할"),
    absent: jamo("없 아니 아닌 아닙"),
    not: jamo("수 밖에"),
    except: "없".nfd().collect(),
});

const ENGLISH_NOT: [&str; 16] = [
    "not", "never", "no", "hardly", "barely", "without", "nothing", "nobody", "cannot", "neither", "nor", "isnt",
    "dont", "didnt", "wasnt", "cant",
];
const ENGLISH_STRONGER: [&str; 16] = [
    "so",
    "very",
    "really",
    "extremely",
    "incredibly",
    "totally",
    "completely",
    "super",
    "truly",
    "deeply",
    "too",
    "absolutely",
    "terribly",
    "such",
    "most",
    "fucking",
];
const ENGLISH_WEAKER: [&str; 8] = ["slightly", "somewhat", "little", "bit", "kinda", "sorta", "rather", "fairly"];

/// Returns whether a Korean word may begin right behind `before` although no space is there: 너무슬퍼, 안행복해.
pub(super) fn is_glued_on(before: &str) -> bool {
    let last = last_word(reach_back(before));
    let korean = &*KOREAN;
    [&korean.stronger, &korean.before, &korean.weaker].into_iter().flatten().any(|word| word == last)
}

fn last_word(before: &str) -> &str {
    before.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default()
}

impl Surroundings {
    /// Looks around the word at `begin..end`.
    pub(super) fn of(text: &str, begin: usize, end: usize) -> Self {
        let before = reach_back(text.get(..begin).unwrap_or_default());
        let after = reach_on(text.get(end..).unwrap_or_default());
        let words: Vec<&str> = before.split_whitespace().rev().take(4).collect();
        let glued = if before.ends_with(char::is_whitespace) { "" } else { last_word(before) };
        let is_stressed = words
            .iter()
            .take(2)
            .any(|word| KOREAN.stronger.iter().any(|w| w == word) || ENGLISH_STRONGER.contains(word))
            || is_beyond_bearing(after);
        let is_played_down =
            words.iter().take(2).any(|word| KOREAN.weaker.iter().any(|w| w == word) || ENGLISH_WEAKER.contains(word));
        let is_negated = KOREAN.before.iter().any(|word| word == glued || words.first() == Some(&word.as_str()))
            || is_denied_in_korean(after)
            || is_denied_in_english(&words);
        Self { is_negated, strength: i8::from(is_stressed) - i8::from(is_played_down && !is_stressed) }
    }
}

/// The end of a text within reach, in the same sentence.
fn reach_back(before: &str) -> &str {
    let mut from = before.len().saturating_sub(REACH);
    while !before.is_char_boundary(from) {
        from += 1;
    }
    let near = before.get(from..).unwrap_or_default();
    near.rsplit(['.', ',', '!', '?', ';', '\n', '…']).next().unwrap_or_default()
}

/// The beginning of a text within reach, with the sign that ends its sentence.
fn reach_on(after: &str) -> &str {
    let mut to = after.len().min(REACH);
    while !after.is_char_boundary(to) {
        to -= 1;
    }
    let near = after.get(..to).unwrap_or_default();
    near.split_inclusive(['.', ',', '!', '?', ';', '\n', '…']).next().unwrap_or_default()
}

fn is_beyond_bearing(after: &str) -> bool {
    let mut words = after.split_whitespace();
    let next = if after.starts_with(char::is_whitespace) { words.next() } else { words.nth(1) };
    next.is_some_and(|word| KOREAN.beyond.iter().any(|beyond| word.starts_with(beyond.as_str())))
}

/// Reads what follows a Korean stem: 슬프지 않아, 화난 건 아니야, 걱정은 없어.
fn is_denied_in_korean(after: &str) -> bool {
    let korean = &*KOREAN;
    let begins = |word: &str, list: &[String]| list.iter().any(|start| word.starts_with(start.as_str()));
    let mut words = after.split(' ');
    let rest = words.next().unwrap_or_default();
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).take(3).collect();
    let word = |index: usize| words.get(index).copied().unwrap_or_default();
    let is_question = |word: &str| word.ends_with('?');
    if korean.tight.iter().any(|ending| rest.contains(ending.as_str())) {
        return !is_question(rest);
    }
    if korean.endings.iter().any(|ending| rest.ends_with(ending.as_str())) && begins(word(0), &korean.deniers) {
        // 슬프지 않아? asks for a yes, and 슬프지 않을 수 없다 is one.
        let is_twice = begins(word(1), &korean.not) && begins(word(2), std::slice::from_ref(&korean.except));
        return !is_question(word(0)) && !is_twice;
    }
    let is_noun = rest.is_empty() || korean.particles.iter().any(|particle| particle == rest);
    let is_said_of = korean.nouns.iter().any(|noun| noun == word(0)) && begins(word(1), &korean.absent);
    is_said_of && !is_question(word(1)) || is_noun && begins(word(0), &korean.absent) && !is_question(word(0))
}

/// Reads what goes before an English word, nearest first: not happy, never felt happy, but not: never felt so alone.
fn is_denied_in_english(words: &[&str]) -> bool {
    let is_not = |word: &&str| ENGLISH_NOT.contains(word) || word.ends_with("n't");
    let near = || words.iter().take_while(|word| **word != "but");
    let Some(at) = near().take(3).position(is_not) else { return false };
    let between = words.get(..at).unwrap_or_default();
    let is_more =
        between.iter().any(|word| matches!(*word, "so" | "this" | "more" | "only" | "just" | "stop" | "help"));
    !is_more
}
