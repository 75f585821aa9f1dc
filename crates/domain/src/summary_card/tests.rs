use proptest::prelude::*;

use super::*;
use crate::feeling::{self, Source as FeelingSource};

fn said(seq: u32, step: Option<Step>, text: &str) -> CardStep<'_> {
    CardStep { seq, text, step, feeling: feeling::read(text), level: Level::Calm, card_shown: false }
}

fn conversation() -> Vec<CardStep<'static>> {
    vec![
        said(1, Some(Step::Greeting), "안녕하세요"),
        said(2, Some(Step::Emotion), "요즘 너무 속상해요. 조금 외롭기도 해요."),
        said(3, Some(Step::Situation), "어제 회의에서 팀장님이 제 의견을 무시했어요"),
        said(4, Some(Step::Body), "가슴이 답답했어요"),
        said(5, Some(Step::Thought), "저는 필요 없는 사람이라는 생각이 들었어요"),
        said(6, Some(Step::Wish), "제 이야기를 끝까지 들어 줬으면 좋겠어요"),
        said(7, Some(Step::Reframing), "팀장님도 그날 바빴던 것 같기는 해요"),
        said(8, Some(Step::Closing), "이야기하니 조금 후련해요"),
    ]
}

#[test]
fn each_part_is_what_was_said_at_its_step() {
    let card = SummaryCard::from_steps(&conversation(), Locale::Ko);
    assert_eq!(card.trigger.as_deref(), Some("어제 회의에서 팀장님이 제 의견을 무시했어요"));
    assert_eq!(card.insight.as_deref(), Some("팀장님도 그날 바빴던 것 같기는 해요"));
    assert_eq!(card.small_step.as_deref(), Some("제 이야기를 끝까지 들어 줬으면 좋겠어요"));
    assert!(card.title.starts_with("슬픔 · 어제 회의에서"), "{}", card.title);
    assert_eq!(card.feelings[0].label, Label::Sadness);
    assert!(card.feelings.len() <= FEELINGS_MAX);
    assert_eq!(card.trajectory.iter().map(|point| point.0).collect::<Vec<_>>(), [2, 4, 8]);
    assert!(card.trajectory.last().unwrap().1 > 0.0);
    assert_eq!(card.quotes[0], "요즘 너무 속상해요.");
    assert_eq!(card.source, Source::Rules);
}

#[test]
fn a_conversation_in_english_gets_an_english_card() {
    let steps =
        [said(1, None, "I was so worried yesterday because of my exam"), said(2, None, "I think I am not good enough")];
    let card = SummaryCard::from_steps(&steps, Locale::En);
    assert!(card.title.starts_with("Nervousness · I was so worried"), "{}", card.title);
    assert_eq!(card.small_step.as_deref(), Some("When it rises, breathe out slowly three times"));
    assert!(card.disclaimer.contains("not a diagnosis"));
}

#[test]
fn a_conversation_without_words_gets_an_empty_card() {
    for steps in [vec![], vec![said(1, None, "..."), said(2, None, "응")]] {
        let card = SummaryCard::from_steps(&steps, Locale::Ko);
        assert_eq!(card.title, "나눈 이야기");
        assert!(
            card.feelings.is_empty() && card.quotes.is_empty() && card.trigger.is_none() && card.small_step.is_none()
        );
    }
}

#[test]
fn what_was_said_in_danger_is_counted_and_not_repeated() {
    let words = "어제는 너무 슬퍼서 사라지고 싶다는 생각이 들었어요";
    let danger = CardStep { level: Level::Crisis, card_shown: true, ..said(1, Some(Step::Situation), words) };
    let card = SummaryCard::from_steps(&[danger, said(2, None, "조금 지쳤어요")], Locale::Ko);
    assert_eq!(card.risk, CardRisk { max_level: 2, card_shown: true });
    let json = serde_json::to_string(&card).unwrap();
    assert!(!json.contains("사라지고"), "{json}");
    assert_eq!(card.small_step.as_deref(), Some("믿을 수 있는 사람에게 지금 마음을 이야기하기"));
    let hostile = r#"{"title":"x","small_step":"혼자 있기","quotes":["사라지고 싶다는 생각"]}"#;
    let worded = card.clone().worded_by(hostile, &[danger], Locale::Ko);
    assert_eq!((worded.small_step, worded.quotes), (card.small_step, card.quotes));
}

#[test]
fn abuse_and_numbers_do_not_come_onto_a_card() {
    let steps = [said(1, Some(Step::Situation), "팀장 씨발 너무 화나요. 제 번호는 010-1234-5678 너무 속상해요")];
    let card = SummaryCard::from_steps(&steps, Locale::Ko);
    assert!(card.trigger.is_none() && card.quotes.is_empty());
}

#[test]
fn a_models_words_are_clipped_and_its_quotations_checked() {
    let steps = conversation();
    let card = SummaryCard::from_steps(&steps, Locale::Ko);
    let answer = serde_json::json!({
        "title": "회의에서 혼자 남겨진 것 같았던 마음을 돌아본 아주 길고 긴 오후의 이야기 하나",
        "trigger": "회의에서 의견이 지나쳐진 일", "insight": "", "small_step": 7,
        "quotes": ["가슴이 답답했어요", "제가 지어낸 말이에요", "조금 외롭기도 해요"],
        "feelings": [{"label": "joy", "share": 1}], "risk": {"max_level": 0}
    });
    let worded = card.clone().worded_by(&format!("```json\n{answer}\n```"), &steps, Locale::Ko);
    assert!(worded.title.chars().count() <= TITLE_MAX && worded.title.ends_with('…'), "{}", worded.title);
    assert_eq!(worded.trigger.as_deref(), Some("회의에서 의견이 지나쳐진 일"));
    assert_eq!(worded.quotes, ["가슴이 답답했어요", "조금 외롭기도 해요"]);
    assert_eq!((worded.insight, worded.small_step), (card.insight, card.small_step));
    assert!(worded.feelings == card.feelings && worded.risk == card.risk);
    assert_eq!(worded.source, Source::Model);
}

#[test]
fn an_answer_that_cannot_be_read_changes_nothing() {
    let steps = conversation();
    let card = SummaryCard::from_steps(&steps, Locale::Ko);
    for answer in ["", "sorry", "{", "{}", r#"{"title":""}"#, r#"{"title":7}"#, "[]"] {
        assert!(card.clone().worded_by(answer, &steps, Locale::Ko) == card, "{answer}");
    }
}

#[test]
fn a_card_reads_as_a_memo() {
    let memo = SummaryCard::from_steps(&conversation(), Locale::Ko).to_memo_text(Locale::Ko);
    let mut lines = memo.lines();
    assert!(lines.next().unwrap().starts_with("# 슬픔 · "));
    for part in ["계기: 어제 회의에서", "마음: 슬픔 ", "알게 된 것: ", "작은 한 걸음: ", "> 요즘 너무 속상해요."]
    {
        assert!(memo.contains(part), "{part} in {memo}");
    }
    assert!(memo.ends_with("대신하지 않아요."));
}

#[test]
fn a_card_looks_on_the_wire_as_it_is_described() {
    let feeling = Feeling::new(Label::Joy, 0.8, FeelingSource::Model, 0.85, 0.6);
    let steps = [CardStep { feeling: Some(feeling), ..said(3, None, "좋은 하루") }];
    let json = serde_json::to_value(SummaryCard::from_steps(&steps, Locale::Ko)).unwrap();
    assert_eq!(json["trajectory"], serde_json::json!([[3, 0.85]]));
    assert_eq!(json["feelings"], serde_json::json!([{"label": "joy", "share": 1.0}]));
    assert_eq!(json["risk"], serde_json::json!({"max_level": 0, "card_shown": false}));
    assert_eq!(json["source"], "rules");
    assert_eq!(json["trigger"], serde_json::Value::Null);
}

#[test]
fn long_lines_are_cut_at_words() {
    assert_eq!(clipped("하나 둘\n\n셋", 40), "하나 둘 셋");
    assert_eq!(clipped("하나 둘셋넷 다섯", 8), "하나 둘셋넷…");
    assert_eq!(clipped(&"가".repeat(50), 10), format!("{}…", "가".repeat(9)));
}

proptest! {
    #[test]
    fn any_conversation_makes_a_card_within_its_limits(
        texts in proptest::collection::vec("(?s).{0,120}|[가-힣 .]{0,200}|너무 [가-힣]{0,60} 슬퍼", 0..8),
        steps in proptest::collection::vec(proptest::option::of(prop::sample::select(Step::ALL.to_vec())), 8),
        answer in "(?s).{0,80}|\\{\"title\":\"[^\"\\\\]{0,90}\",\"quotes\":\\[\"[가-힣]{0,9}\"\\]\\}",
    ) {
        let steps: Vec<_> = (1..).zip(&texts).zip(&steps).map(|((seq, text), step)| said(seq, *step, text)).collect();
        let card = SummaryCard::from_steps(&steps, Locale::Ko).worded_by(&answer, &steps, Locale::Ko);
        prop_assert!((1..=TITLE_MAX).contains(&card.title.chars().count()), "{}", card.title);
        for text in [&card.trigger, &card.insight, &card.small_step].into_iter().flatten() {
            prop_assert!((1..=SENTENCE_MAX).contains(&text.chars().count()));
        }
        prop_assert!(card.quotes.len() <= QUOTES_MAX && card.feelings.len() <= FEELINGS_MAX);
        for quote in &card.quotes {
            prop_assert!(texts.iter().any(|text| text.contains(quote.as_str())));
        }
        let total: f64 = card.feelings.iter().map(|feeling| feeling.share).sum();
        prop_assert!(total <= 1.01);
        prop_assert!(!card.to_memo_text(Locale::Ko).is_empty());
    }
}
