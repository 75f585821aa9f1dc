use proptest::prelude::*;

use super::*;

fn said<'a>(step_type: &'a str, text: &str) -> Turn<'a> {
    Turn { step_type, held: Held::of(text), level: Level::Calm }
}

fn talked(texts: &[&str]) -> Place {
    Place::replayed(texts.iter().map(|text| said("normal", text)))
}

#[test]
fn steps_have_names_that_are_legal_step_types() {
    for (index, step) in Step::ALL.into_iter().enumerate() {
        assert_eq!(Step::parse(step.name()), Some(step));
        assert_eq!(usize::from(step.number()), index + 1);
        assert_eq!(serde_json::to_value(step).unwrap(), step.name());
        assert!(crate::companion::is_step_type(step.name()));
    }
    assert_eq!(Step::parse("normal"), None);
    assert_eq!(Step::Closing.next(), Step::Closing);
}

#[test]
fn every_step_has_prompts_and_open_questions_in_both_languages() {
    for step in Step::ALL {
        for locale in [Locale::Ko, Locale::En] {
            assert!(step.prompt(locale).lines().count() >= 3, "{step:?}");
            let questions: Vec<_> = step.questions(locale).collect();
            assert!(questions.len() >= 3, "{step:?}");
            assert!(questions.iter().all(|question| question.len() > 10), "{questions:?}");
        }
        assert!(step.prompt(Locale::Ko).chars().any(|c| matches!(c, '가'..='힣')));
        assert!(step.prompt(Locale::En).is_ascii());
    }
}

#[test]
fn a_greeting_is_greeted_and_a_trouble_is_taken_up_at_once() {
    assert_eq!(talked(&["안녕하세요"]).step, Step::Greeting);
    assert_eq!(talked(&["hi"]).step, Step::Greeting);
    assert_eq!(talked(&["안녕, 요즘 기분이 별로야"]).step, Step::Situation);
    assert_eq!(talked(&["이상한 하루를 보냈다"]).step, Step::Emotion);
}

#[test]
fn what_was_told_unasked_is_not_asked_again() {
    let place = talked(&["어제 회의에서 팀장님이 나한테만 화를 내서 너무 속상했어. 가슴이 두근거렸어"]);
    assert_eq!(place.step, Step::Thought);
}

#[test]
fn a_whole_conversation_walks_the_arc_to_its_end() {
    let texts = [
        "안녕하세요",
        "요즘 너무 우울해요",
        "어제 회의에서 발표를 망쳤어요",
        "심장이 빨리 뛰고 손이 떨렸어요",
        "다들 나를 무시한다는 생각이 들었어요",
        "완벽하게 해야 한다는 기준이 있어요",
        "그래서 집에 와서 계속 누워 있었어요",
        "네 그게 맞는 것 같아요",
        "조금 쉬고 싶어요",
        "친구라면 괜찮다고 말해 줄 것 같아요",
    ];
    let mut place = Place::default();
    let mut seen = Vec::new();
    for text in texts {
        place = place.after(said("normal", text));
        seen.push(place.step);
    }
    assert_eq!(seen, Step::ALL[..1].iter().chain(&Step::ALL[2..]).copied().collect::<Vec<_>>());
    assert!(place.suggests_closing() && !place.is_ended);
    let left = place.after(said("normal", "오늘 고마웠어요, 안녕히 계세요"));
    assert!(left.is_ended);
    assert_eq!(left.hint(TimeDelta::zero(), Level::Calm), Some(Hint::SayGoodbye));
}

#[test]
fn a_question_that_is_not_answered_is_asked_another_way_and_then_left() {
    let mut place = talked(&["요즘 너무 우울해요"]);
    assert_eq!((place.step, place.hint(TimeDelta::zero(), Level::Calm)), (Step::Situation, None));
    place = place.after(said("normal", "글쎄요"));
    assert_eq!(place.step, Step::Situation);
    assert_eq!(place.hint(TimeDelta::zero(), Level::Calm), Some(Hint::AskAnotherWay));
    place = place.after(said("normal", "모르겠어"));
    place = place.after(said("normal", "몰라"));
    assert_eq!(place.step, Step::Body);
}

#[test]
fn who_tells_of_other_things_is_asked_about_the_body_only_twice() {
    let mut place = talked(&["시험을 망쳐서 너무 속상해요"]);
    place = place.after(said("normal", "어제 학교에서 있었던 일이에요"));
    assert_eq!((place.step, place.turns_in_step), (Step::Body, 2));
    place = place.after(said("normal", "친구들은 다 잘 봤대요"));
    assert_eq!(place.step, Step::Thought);
}

#[test]
fn a_wish_in_passing_does_not_take_the_place_of_the_wish() {
    let place = talked(&["집에 가고 싶어. 회의에서 혼나서 너무 속상해"]).after(said("summary", "네"));
    assert_eq!(place.after(said("normal", "맞아요")).step, Step::Wish);
}

#[test]
fn a_nod_answers_a_summary() {
    let place = talked(&["요즘 우울해요"]).after(said("summary", "네"));
    assert_eq!(place.after(said("normal", "응 맞아")).step, Step::Wish);
}

#[test]
fn the_client_leads_when_it_names_a_step() {
    let place = talked(&["요즘 너무 우울해요"]).after(said("wish", "잘 모르겠어"));
    assert_eq!((place.step, place.turns_in_step), (Step::Wish, 1));
    let back = place.after(said("body", "가슴이 답답해요"));
    assert_eq!(back.step, Step::Body);
    assert_eq!(back.after(said("analysis", "어깨도 무거워요")).step, Step::Thought);
}

#[test]
fn nobody_in_danger_is_led_on_or_towards_the_end() {
    let before = talked(&["요즘 너무 우울해요"]);
    for (step_type, text) in
        [("normal", "이제 그만할게, 안녕히"), ("closing", "잘 있어"), ("normal", "어제 회의에서 혼났어")]
    {
        let place = before.after(Turn { level: Level::Crisis, ..said(step_type, text) });
        assert_eq!((place.step, place.is_ended), (before.step, false));
        assert_eq!(place.hint(TimeDelta::zero(), Level::Crisis), Some(Hint::StayWithThem));
    }
}

#[test]
fn something_new_at_the_door_opens_another_round() {
    let closing = talked(&["요즘 우울해요"]).after(said("closing", "네"));
    for answer in ["네 좋아요", "처음보다 조금 후련해졌어요", "덕분에 마음이 놓여요"] {
        assert_eq!(closing.after(said("normal", answer)).step, Step::Closing, "{answer}");
    }
    let again = closing.after(said("normal", "그런데 사실 친구 때문에 화나는 일이 하나 더 있어요"));
    assert_eq!((again.step, again.told.body), (Step::Body, false));
}

#[test]
fn leave_can_be_taken_anywhere_and_a_long_story_is_none() {
    assert!(talked(&["요즘 우울해요", "오늘은 여기까지 할게요"]).is_ended);
    let story = format!("친구가 {} 나중에 또 보자고 했는데 연락이 없어", "아주 길게 이야기를 하면서 ".repeat(6));
    assert!(!talked(&["요즘 우울해요", &story]).is_ended);
}

#[test]
fn a_long_conversation_is_noticed_by_turns_or_by_time() {
    let place = |turns| Place { turns, ..talked(&["요즘 우울해요"]) };
    let old = TimeDelta::minutes(LONG_MINUTES);
    assert_eq!(place(5).hint(old, Level::Calm), Some(Hint::LongConversation));
    assert_eq!(place(5).hint(TimeDelta::zero(), Level::Calm), None);
    assert_eq!(place(LONG_TURNS).hint(TimeDelta::zero(), Level::Calm), Some(Hint::LongConversation));
    assert_eq!(place(LONG_TURNS + 1).hint(old, Level::Calm), None, "it was said a turn ago");
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "(?s).{0,40}",
        prop::sample::select(vec![
            "글쎄",
            "네",
            "슬퍼",
            "어제 혼났어",
            "i don't know",
            "hello",
            "가슴이 답답해",
            "ㅋㅋ"
        ])
        .prop_map(ToOwned::to_owned),
    ]
}

proptest! {
    #[test]
    fn a_conversation_is_never_stuck(texts in proptest::collection::vec(any_text(), 40)) {
        let mut place = Place::default();
        let mut reached = false;
        for text in &texts {
            let before = place;
            place = place.after(said("normal", text));
            prop_assert!(place.turns_in_step >= 1);
            prop_assert!(place.step >= before.step || before.step == Step::Closing, "only a new round goes back");
            prop_assert!(place.step == Step::Closing || place.turns_in_step <= PATIENCE);
            reached |= place.step == Step::Closing;
        }
        // Eleven steps, and no more than PATIENCE replies in each.
        prop_assert!(reached);
    }

    #[test]
    fn only_taking_leave_ends_a_conversation(
        texts in proptest::collection::vec(any_text(), 0..30),
        types in proptest::collection::vec("[a-z_]{1,32}|closing|summary", 30),
    ) {
        let mut place = Place::default();
        for (text, step_type) in texts.iter().zip(&types) {
            let turn = said(step_type, text);
            place = place.after(turn);
            prop_assert_eq!(place.is_ended, turn.held.farewell && place.step == Step::Closing);
        }
        prop_assert_eq!(place.turns as usize, texts.len());
        let kept: Place = serde_json::from_value(serde_json::to_value(place).unwrap()).unwrap();
        prop_assert_eq!(kept, place);
    }
}
