//! The texts of the steps, from data files: what a model is told, and what the offline listener asks.

use super::{Hint, Step};
use crate::locale::{Locale, Text};

macro_rules! prompt {
    ($step:literal) => {
        Text::new(
            include_str!(concat!("prompts/ko/", $step, ".txt")),
            include_str!(concat!("prompts/en/", $step, ".txt")),
        )
    };
}

/// One line a question: the step's name, a colon, the question. Lines that begin with `#` are notes.
const QUESTIONS: Text = Text::new(include_str!("questions/ko.txt"), include_str!("questions/en.txt"));

pub(super) fn prompt(step: Step, locale: Locale) -> &'static str {
    let text = match step {
        Step::Greeting => prompt!("greeting"),
        Step::Emotion => prompt!("emotion"),
        Step::Situation => prompt!("situation"),
        Step::Body => prompt!("body"),
        Step::Thought => prompt!("thought"),
        Step::Standard => prompt!("standard"),
        Step::Consequence => prompt!("consequence"),
        Step::Summary => prompt!("summary"),
        Step::Wish => prompt!("wish"),
        Step::Reframing => prompt!("reframing"),
        Step::Closing => prompt!("closing"),
    };
    text.in_locale(locale).trim()
}

pub(super) fn questions(step: Step, locale: Locale) -> impl Iterator<Item = &'static str> {
    QUESTIONS.in_locale(locale).lines().filter_map(move |line| {
        let (name, question) = line.split_once(':')?;
        (name == step.name()).then(|| question.trim())
    })
}

pub(super) const fn hint(hint: Hint) -> Text {
    match hint {
        Hint::AskAnotherWay => Text::new(
            "같은 질문에 아직 답이 나오지 않았습니다. 더 작고 쉬운 질문으로 바꾸거나, 대답하지 않아도 괜찮다고 말해 주세요.",
            "The question has been asked and not answered. Ask something smaller and easier, or say that it need not be answered.",
        ),
        Hint::LongConversation => Text::new(
            "대화가 길어졌습니다. 지치지 않았는지 살피고, 더 이야기할지 여기서 정리할지 그 사람이 고르게 해 주세요.",
            "The conversation has become long. Notice tiredness, and let the person choose between going on and gathering it up.",
        ),
        Hint::SuggestClosing => Text::new(
            "마무리를 권하되 결정은 그 사람에게 맡기세요. 더 이야기하고 싶어 하면 기꺼이 이어 가세요.",
            "Offer to close and leave the choice to the person. If they want to go on, gladly go on.",
        ),
        Hint::SayGoodbye => Text::new(
            "그 사람이 작별 인사를 했습니다. 따뜻하게 한두 문장으로 인사하고 아무것도 묻지 마세요.",
            "The person has taken leave. Say goodbye warmly in one or two sentences and ask nothing.",
        ),
        Hint::StayWithThem => Text::new(
            "위험할 수 있는 상황입니다. 단계의 질문은 하지 말고, 지금의 안전을 직접 묻고 곁에 있는 사람과 전문가의 도움으로 이어 주세요.",
            "The person may be in danger. Ask no question of the step; ask plainly whether they are safe now, and lead them to people near them and to professionals.",
        ),
    }
}
