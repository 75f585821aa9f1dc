//! Finding, tried.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const OWNER: UserId = UserId(Uuid::from_u128(7));

fn sought(query: &str) -> Sought {
    Sought::parse(query, &mut Violations::new()).unwrap()
}

fn finds(query: &str, content: &str) -> bool {
    finds_tagged(query, content, &[])
}

fn finds_tagged(query: &str, content: &str, tags: &[&str]) -> bool {
    sought(query).matches(&Searchable::of(content, tags))
}

#[test]
fn korean_and_english_are_found_inside_words_whatever_their_case() {
    for query in ["회의", "의실", "회의실에서", "MEET", "eeti", "주간 meeting", "meeting 주간"] {
        assert!(finds(query, "오늘 회의실에서 주간\nMeeting"), "{query}");
    }
    for query in ["의회", "회실", "회의 없음", "에서주간"] {
        assert!(!finds(query, "오늘 회의실에서 주간\nMeeting"), "{query}");
    }
}

#[test]
fn a_consonant_stands_for_every_syllable_that_begins_with_it() {
    for query in ["ㅎㅇ", "ㅎㅇㅅ", "회ㅇ", "ㅎ의", "ㅇㄴ ㅎㅇ", "ㅎ"] {
        assert!(finds(query, "오늘 회의실"), "{query}");
    }
    for query in ["ㅇㅎ", "ㅎㅇㅇ", "히ㅇ", "ㄴㅎ", "ㅅ"] {
        assert!(!finds(query, "오늘 회의실"), "{query}");
    }
    assert!(finds("ㅋㅋ", "그래 ㅋㅋㅋ") && finds("ㄲ", "꿈") && !finds("ㄱ", "꿈"));
}

#[test]
fn syllables_in_parts_are_the_same_as_whole_ones() {
    let parts: String = "회의".nfd().collect();
    assert_ne!(parts, "회의");
    assert!(finds(&parts, "회의실") && finds("회의", &format!("{parts}실")));
    assert!(finds("\u{1112}\u{110b}", "회의실"));
}

#[test]
fn a_single_letter_is_found_where_a_word_begins() {
    assert!(finds("책", "새 책을 샀다") && finds("책", "책") && finds("a", "an apple"));
    assert!(!finds("책", "만화책") && !finds("n", "an apple"));
}

#[test]
fn tags_are_looked_through_too_and_do_not_run_into_each_other() {
    assert!(finds_tagged("회의", "x", &["주간회의"]) && finds_tagged("x 회의", "x", &["주간회의"]));
    assert!(!finds_tagged("간회", "주간", &["회의"]) && !finds_tagged("간회", "x", &["주간", "회의"]));
}

#[test]
fn a_query_has_some_words_and_not_too_many() {
    let refused = |query: &str| Sought::parse(query, &mut Violations::new()).is_none();
    assert!(refused("") && refused(" \n\u{3000}") && refused("a\0b"));
    assert!(refused(&"가".repeat(QUERY_MAX + 1)) && !refused(&"가".repeat(QUERY_MAX)));
    assert!(refused(&"가 ".repeat(WORDS_MAX + 1)) && !refused(&"가 ".repeat(WORDS_MAX)));
}

#[test]
fn a_text_of_too_many_kinds_is_a_candidate_of_every_query() {
    let syllables: Vec<char> = SYLLABLES.collect();
    let varied: String = (1..6).flat_map(|step| syllables.iter().step_by(step)).collect();
    assert_eq!(Searchable::of::<&str>(&varied, &[]).keys(OWNER), [too_varied(OWNER)]);
}

#[test]
fn keys_are_of_one_person_and_stay_what_they_are() {
    let text = Searchable::of::<&str>("가나", &[]);
    let other = UserId(Uuid::from_u128(8));
    assert!(text.keys(OWNER).iter().all(|key| !text.keys(other).contains(key)));
    // They are in databases: a change needs new ones for every memo.
    assert_eq!(text.keys(OWNER), PINNED);
}

/// The keys of `가나`: its two syllables, their consonants, and the beginning of the word both ways.
const PINNED: [i32; 4] = [-1_124_925_538, -685_048_920, 1_372_995_292, 1_381_897_072];

fn letters() -> impl Strategy<Value = String> {
    // Few letters, so that much is found, and all the kinds that are treated apart.
    proptest::collection::vec(
        proptest::sample::select(vec![
            "가", "각", "까", "나", "ㄱ", "ㄴ", "ㄳ", "a", "A", "ß", "İ", " ", "\u{1100}", "\u{1161}", "🍂",
        ]),
        0..24,
    )
    .prop_map(|letters| letters.concat())
}

/// Looks at every place, letter by letter, and shares nothing with what is tried.
fn naive(query: &str, content: &str, tags: &[String]) -> bool {
    let fold = |text: &str| -> Vec<char> {
        let lower: String = text.nfc().collect::<String>().chars().flat_map(char::to_lowercase).collect();
        lower.nfc().map(|c| if c == '\u{1100}' { 'ㄱ' } else { c }).collect()
    };
    let begins_with = |syllable: char, consonant: char| {
        syllable.to_string().nfd().next().is_some_and(|first| {
            let parts = ['\u{1100}', '\u{1101}', '\u{1102}'];
            let consonants = ['ㄱ', 'ㄲ', 'ㄴ'];
            parts.iter().position(|&part| part == first).is_some_and(|place| consonants[place] == consonant)
        })
    };
    let words: Vec<Vec<char>> = std::iter::once(content)
        .chain(tags.iter().map(String::as_str))
        .flat_map(|text| fold(text).split(|c| c.is_whitespace()).map(<[char]>::to_vec).collect::<Vec<_>>())
        .collect();
    let folded = fold(query);
    folded.split(|c| c.is_whitespace()).filter(|sought| !sought.is_empty()).all(|sought| {
        words.iter().any(|word| {
            let last = if sought.len() == 1 { 1 } else { word.len() };
            (0..last).any(|from| {
                sought.iter().enumerate().all(|(at, &letter)| {
                    word.get(from + at).is_some_and(|&found| found == letter || begins_with(found, letter))
                })
            })
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_found_by_keys_is_what_a_look_at_everything_finds(
        query in letters(),
        memos in proptest::collection::vec((letters(), proptest::collection::vec(letters(), 0..3)), 1..12),
    ) {
        let Some(sought) = Sought::parse(&query, &mut Violations::new()) else { return Ok(()) };
        let needed = sought.keys(OWNER);
        for (content, tags) in &memos {
            let text = Searchable::of(content, tags);
            let has = text.keys(OWNER);
            let is_candidate = needed.iter().all(|key| has.contains(key));
            prop_assert_eq!(is_candidate && sought.matches(&text), naive(&query, content, tags));
        }
    }

    #[test]
    fn any_text_is_folded_without_a_panic(query in ".*", content in ".*") {
        let text = Searchable::of::<&str>(&content, &[]);
        _ = text.keys(OWNER);
        _ = Sought::parse(&query, &mut Violations::new()).map(|sought| sought.matches(&text));
    }
}
