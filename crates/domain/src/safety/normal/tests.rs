//! What hides words, and what must not change them.

use super::*;

fn letters(text: &str) -> String {
    Normal::new(text).text
}

#[test]
fn what_hides_a_word_is_taken_away() {
    for hidden in [
        "자살",
        "자.살",
        "자 1 살",
        "자1살",
        "ㅈㅏ살",
        "ㅈㅏㅅㅏㄹ",
        "자\u{200b}살",
        "자~~살",
        "자ㅋㅋ살",
        "자\u{3164}살",
        "자🙂살",
    ] {
        assert_eq!(letters(hidden), "자살", "{hidden}");
    }
    for hidden in [
        "suicide",
        "SUICIDE",
        "su1c1de",
        "$u1cid3",
        "s u i c i d e",
        "s-u-i-c-i-d-e",
        "ｓｕｉｃｉｄｅ",
        "suïcíde",
        "suiciiiide",
        "ѕuiсidе",
        "s\u{ad}uicide",
    ] {
        assert_eq!(letters(hidden), "suicide", "{hidden}");
    }
    assert_eq!(letters("I don’t, don't"), "idontdont");
    assert_eq!(letters("kill"), "kil");
    assert_eq!(letters("ki11 mys3lf"), "kilmyself");
}

#[test]
fn a_decomposed_text_is_the_same_as_a_composed_one() {
    let decomposed: String = unicode_normalization::UnicodeNormalization::nfd("죽고 싶어".chars()).collect();
    assert_ne!(decomposed, "죽고 싶어");
    assert_eq!(letters(&decomposed), letters("죽고 싶어"));
}

#[test]
fn laughter_is_no_letter_and_changes_no_syllable() {
    let normal = Normal::new("죽을까ㅋㅋㅋ 아니ㅎㅎ ㅠㅠ");
    assert_eq!(normal.text, "죽을까아니");
    assert!(normal.laughs().len() >= 2);
    assert!(Normal::new("죽을까ㅠㅠ").laughs().is_empty());
}

#[test]
fn initials_stay() {
    assert_eq!(letters("ㅈㅅ"), letters("ㅈ ㅅ"));
    assert_eq!(letters("ㅈㅅ").chars().count(), 2);
}

#[test]
fn gaps_are_kept_beside_the_letters() {
    let normal = Normal::new("나 가.다, 라\n마. 바... 사");
    let gaps: Vec<_> = normal.text.char_indices().map(|(place, _)| normal.before(place)).collect();
    assert_eq!(gaps, [Gap::None, Gap::Space, Gap::Sign, Gap::Pause, Gap::Line, Gap::Stop, Gap::Pause]);
    assert_eq!(normal.sentence_count(), 3);
    assert_eq!(normal.sentence_of(0), 0);
    assert_eq!(normal.sentence_of(normal.text.len() - 1), 2);
}

#[test]
fn equal_letters_across_a_space_keep_the_words_apart() {
    let normal = Normal::new("want to");
    assert_eq!(normal.text, "wanto");
    assert_eq!(normal.between(3, 4), Gap::Space);
    assert!(normal.begins_word(3) && normal.ends_word(3, 4));
}

#[test]
fn any_text_is_taken() {
    for text in ["", " ", "\0", "ㅏㅏㅏ", "ㄱ", "가ㅏ", "1", "!", "ﷺ", "👨‍👩‍👧"] {
        let normal = Normal::new(text);
        assert_eq!(normal.sentence_of(normal.text.len()), normal.sentence_count() - 1);
    }
}
