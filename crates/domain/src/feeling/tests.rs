use proptest::prelude::*;

use super::*;
use crate::locale::Locale;

fn label(text: &str) -> Option<Label> {
    read(text).map(|feeling| feeling.label)
}

#[test]
fn feelings_are_heard_in_both_languages() {
    let cases = [
        ("요즘 기분이 별로야.", Label::Sadness),
        ("내일 발표라 너무 긴장돼", Label::Nervousness),
        ("팀장님이 나한테만 그래서 진짜 화났어", Label::Anger),
        ("화가 나서 잠이 안 와", Label::Anger),
        ("슬픈 하루였어", Label::Sadness),
        ("너무슬퍼", Label::Sadness),
        ("외로움이 커졌어요", Label::Sadness),
        ("힘든 일이 있었어요", Label::Sadness),
        ("그 애가 부러워", Label::Desire),
        ("오늘은 정말 행복했어", Label::Joy),
        ("할머니가 돌아가셨어", Label::Grief),
        ("다 내 잘못 같아", Label::Remorse),
        ("들어줘서 고마워", Label::Gratitude),
        ("ㅠㅠ", Label::Sadness),
        ("I am so ANGRY with him", Label::Anger),
        ("I’m worried about tomorrow", Label::Nervousness),
        ("I can't stop crying", Label::Sadness),
        ("I was so embarrassed", Label::Embarrassment),
        ("I have never felt so alone", Label::Sadness),
        ("I'm really proud of it", Label::Pride),
    ];
    for (text, expected) in cases {
        assert_eq!(label(text), Some(expected), "{text}");
    }
}

#[test]
fn where_no_word_tells_a_feeling_there_is_none() {
    for text in [
        "점심에 국수를 먹었어",
        "the ambassador called",
        "대화나누자",
        "충분하다고 봐",
        "버거킹 갔다",
        "사랑니를 뺐어",
        "희망퇴직 공고가 났대",
        "공포영화 봤어",
        "it worked thanks to you",
        "",
        "🙂",
        "12345",
    ] {
        assert_eq!(label(text), None, "{text}");
    }
}

#[test]
fn a_denied_unpleasant_feeling_is_none() {
    for text in [
        "슬프지 않아",
        "슬프지는 않았어요",
        "화난 건 아니야",
        "걱정은 없어",
        "안 슬퍼",
        "안슬퍼",
        "I'm not angry",
        "I am not really sad",
        "no worries",
    ] {
        assert_eq!(label(text), None, "{text}");
    }
}

#[test]
fn a_denied_pleasant_feeling_is_an_unpleasant_one_that_nobody_is_sure_of() {
    for text in ["하나도 행복하지 않아", "별로 안 기뻐", "I'm not happy at all", "nothing makes me happy"]
    {
        let feeling = read(text).unwrap();
        assert_eq!(feeling.label, Label::Disappointment, "{text}");
        assert!(feeling.confidence <= 0.25 && feeling.valence < 0.0, "{feeling:?}");
    }
}

#[test]
fn a_denial_of_something_else_does_not_turn_a_feeling_round() {
    for text in
        ["너무 슬퍼서 밥을 먹지 않았어", "우울해서 말할 힘이 없어", "슬프지 않을 수 없었어", "너무 서운하지 않아?"]
    {
        assert!(read(text).is_some_and(|feeling| feeling.valence < 0.0), "{text}");
    }
}

#[test]
fn stress_makes_surer_and_playing_down_makes_less_sure() {
    let sure = |text| read(text).unwrap().confidence;
    assert!(sure("조금 슬퍼") < sure("슬퍼") && sure("슬퍼") < sure("너무 슬퍼"));
    assert!(sure("a bit sad") < sure("sad") && sure("sad") < sure("so sad"));
    assert!(read("힘들어 죽겠어").unwrap().arousal > read("힘들어").unwrap().arousal);
}

#[test]
fn a_sense_has_a_name_of_its_own() {
    assert_eq!(heard("요즘 너무 외로워").unwrap().name.ko, "외로움");
    assert_eq!(heard("I feel so lonely").unwrap().name.en, "loneliness");
    assert!(heard("너무 지쳤어").unwrap().feeling.arousal < Label::Sadness.arousal());
}

#[test]
fn decomposed_letters_read_like_composed_ones() {
    use unicode_normalization::UnicodeNormalization;
    let apart: String = "너무 외로워".nfd().collect();
    assert_eq!(read(&apart), read("너무 외로워"));
    assert_eq!(read("외\u{200b}로워"), read("외로워"));
}

#[test]
fn labels_have_ids_names_and_numbers_of_their_own() {
    for label in Label::ALL {
        assert_eq!(Label::parse(label.id()), Some(label));
        assert_eq!(serde_json::to_value(label).unwrap(), label.id());
        assert!(!label.name(Locale::Ko).is_empty() && !label.name(Locale::En).is_empty());
        assert!((-1.0..=1.0).contains(&label.valence()) && (0.0..=1.0).contains(&label.arousal()));
        let same = Label::ALL.iter().filter(|other| other.name(Locale::Ko) == label.name(Locale::Ko)).count();
        assert_eq!(same, 1, "{label:?}");
    }
    assert_eq!(Label::parse(" SADNESS "), Some(Label::Sadness));
    assert_eq!(Label::parse("unknown"), None);
    assert_eq!(Label::Remorse.basic(), Basic::Sadness);
}

#[test]
fn a_feeling_looks_on_the_wire_as_the_contract_says() {
    let feeling = Feeling::new(Label::Sadness, 0.41, Source::Lexicon, -0.7, 0.3);
    let json = serde_json::to_value(feeling).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "label": "sadness", "confidence": 0.41, "source": "lexicon", "valence": -0.7, "arousal": 0.3
        })
    );
    assert_eq!(serde_json::from_value::<Feeling>(json).unwrap(), feeling);
}

#[test]
fn a_models_answer_is_clamped() {
    let answer = r#"Sure! ```json
        {"labels":[{"id":"joy","score":0.2},{"id":"Grief","score":7},{"id":"nonsense","score":9}],"valence":-3,"arousal":0.4}
    ```"#;
    let feeling = from_model(answer).unwrap();
    assert_eq!(feeling, Feeling::new(Label::Grief, 1.0, Source::Model, -1.0, 0.4));
    let bare = from_model(r#"{"labels":["pride"],"valence":"high"}"#).unwrap();
    assert_eq!(bare, Feeling::new(Label::Pride, 0.5, Source::Model, 0.7, 0.5));
}

#[test]
fn a_models_answer_without_a_known_label_is_none() {
    for answer in ["", "{}", "null", "[]", "}{", r#"{"labels":[{"id":"hunger","score":1}]}"#, r#"{"labels":7}"#] {
        assert_eq!(from_model(answer), None, "{answer}");
    }
    assert_eq!(from_model(&format!(r#"{{"labels":["joy"]}}{}"#, " ".repeat(20_000))), None);
}

#[test]
fn the_schema_names_every_label_and_leaves_nothing_open() {
    let schema = model_schema();
    let ids = schema.pointer("/properties/labels/items/properties/id/enum").unwrap().as_array().unwrap();
    assert_eq!(ids.len(), 28);
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn a_session_is_filed_under_the_feeling_its_messages_were_surest_of() {
    let feeling = |label, confidence| Feeling::new(label, confidence, Source::Model, 0.0, 0.0);
    let feelings = [
        feeling(Label::Anger, 0.5),
        feeling(Label::Sadness, 0.3),
        feeling(Label::Sadness, 0.3),
        feeling(Label::Neutral, 1.0),
    ];
    assert_eq!(session_label(&feelings), Some(Label::Sadness));
    assert_eq!(session_label(&[feeling(Label::Joy, 0.4), feeling(Label::Fear, 0.4)]), Some(Label::Fear));
    assert_eq!(session_label(&[feeling(Label::Neutral, 0.4)]), Some(Label::Neutral));
    assert_eq!(session_label(&[]), None);
}

proptest! {
    #[test]
    fn any_text_reads_without_harm_and_within_range(text in "(?s).{0,200}") {
        if let Some(feeling) = read(&text) {
            prop_assert!((0.0..=LEXICON_CEILING).contains(&feeling.confidence) && feeling.confidence > 0.0);
            prop_assert!((-1.0..=1.0).contains(&feeling.valence) && (0.0..=1.0).contains(&feeling.arousal));
        }
    }

    #[test]
    fn words_of_the_lexicon_in_any_order_read_within_range(
        words in proptest::collection::vec(prop::sample::select(vec![
            "너무", "안", "슬퍼", "행복하지", "않아", "건", "아니야", "없어", "화가", "나", "?", ".", "not", "so", "sad", "happy",
            "걱정", "조금", "죽겠어", "힘들", "지",
        ]), 0..12),
        spaced: bool,
    ) {
        let text = words.join(if spaced { " " } else { "" });
        if let Some(feeling) = read(&text) {
            prop_assert!((0.0..=LEXICON_CEILING).contains(&feeling.confidence));
        }
    }

    #[test]
    fn any_answer_of_a_model_is_read_without_harm(answer in "(?s).{0,200}") {
        let _ = from_model(&answer);
    }
}
