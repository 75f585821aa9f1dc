//! The offline companion's sentences, and the words it recognises a feeling by.

use crate::locale::Text;

/// A feeling the companion can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feeling {
    Anger,
    Anxiety,
    Guilt,
    Joy,
    Loneliness,
    Sadness,
    Tiredness,
    Unclear,
}

/// Cues in the order they are looked for: the more exact feeling first. Korean cues stand anywhere in the text, English
/// ones at the start of a word.
const CUES: [(Feeling, &[&str]); 7] = [
    (Feeling::Loneliness, &["외로", "외롭", "쓸쓸", "혼자", "lonel", "alone", "isolated"]),
    (
        Feeling::Anxiety,
        &["불안", "걱정", "초조", "긴장", "무서", "두려", "anxi", "worr", "afraid", "scared", "nervous"],
    ),
    (Feeling::Anger, &["화가", "화나", "짜증", "억울", "열받", "답답", "angry", "anger", "furious", "annoy", "unfair"]),
    (Feeling::Guilt, &["죄책", "후회", "미안", "창피", "부끄", "guilt", "asham", "regret", "sorry"]),
    (
        Feeling::Tiredness,
        &["지쳐", "지친", "지쳤", "피곤", "번아웃", "무기력", "힘들", "힘든", "tired", "exhaust", "burn"],
    ),
    (
        Feeling::Sadness,
        &["슬프", "슬퍼", "우울", "눈물", "서러", "서럽", "속상", "별로", "sad", "depress", "cry", "cried"],
    ),
    (Feeling::Joy, &["기뻐", "기쁘", "행복", "즐거", "신나", "뿌듯", "happy", "glad", "excited", "proud"]),
];

/// Signs that a pleasant word is meant the other way round.
const NEGATIONS: [&str; 7] = ["않", "안 ", "못 ", "없", "not ", "n't ", "never "];

impl Feeling {
    /// Returns the feeling whose words stand in `text`; unclear when there are none.
    pub(super) fn heard_in(text: &str) -> Self {
        let text = text.to_lowercase();
        let negated = NEGATIONS.iter().any(|sign| text.contains(sign));
        let heard = CUES.iter().find(|(feeling, cues)| {
            let meant = *feeling != Self::Joy || !negated;
            meant && cues.iter().any(|cue| stands_in(&text, cue))
        });
        heard.map_or(Self::Unclear, |(feeling, _)| *feeling)
    }

    /// Returns the sentences that name this feeling.
    pub(super) const fn reflections(self) -> &'static [Text] {
        match self {
            Self::Anger => &ANGER,
            Self::Anxiety => &ANXIETY,
            Self::Guilt => &GUILT,
            Self::Joy => &JOY,
            Self::Loneliness => &LONELINESS,
            Self::Sadness => &SADNESS,
            Self::Tiredness => &TIREDNESS,
            Self::Unclear => &UNCLEAR,
        }
    }
}

fn stands_in(text: &str, cue: &str) -> bool {
    if cue.is_ascii() {
        text.split(|c: char| !c.is_alphanumeric()).any(|word| word.starts_with(cue))
    } else {
        text.contains(cue)
    }
}

/// Words of somebody who may be in danger. Deliberately few and plain: a missed idiom costs a needless kindness.
const DYING: [&str; 10] = [
    "죽고 싶",
    "죽고싶",
    "자살",
    "자해",
    "목숨을 끊",
    "kill myself",
    "killing myself",
    "suicid",
    "end my life",
    "want to die",
];

/// Returns whether `text` speaks of dying or of hurting oneself.
pub(super) fn speaks_of_dying(text: &str) -> bool {
    let text = text.to_lowercase();
    DYING.iter().any(|words| text.contains(words))
}

/// Said to somebody who may be in danger, in place of an ordinary reply.
pub(super) const IN_DANGER: Text = Text::new(
    "그런 생각이 들 만큼 견디기 힘드셨군요. 지금 스스로를 해치고 싶은 마음이 있으신가요? 혼자 견디지 않으셔도 됩니다. \
     자살예방상담전화 109는 24시간 열려 있고, 급한 상황이라면 112나 119로 바로 연락해 주세요. \
     가까이에 믿을 수 있는 분이 계시다면 그분께도 알려 주세요. 저는 여기서 계속 듣고 있을게요.",
    "It sounds as if this has become very hard to bear. Are you thinking about hurting yourself? You do not have to carry \
     this alone. In the US you can call or text 988 at any hour, findahelpline.com lists lines elsewhere, and in an \
     emergency please call your local emergency number. If someone you trust is near, please tell them too. \
     I am still here to listen.",
);

const ANGER: [Text; 2] = [
    Text::new("화가 날 만큼 속상한 일이었군요.", "That sounds like something worth being angry about."),
    Text::new("참고 넘기기 어려우셨나 봐요.", "It sounds hard to just let that pass."),
];
const ANXIETY: [Text; 2] = [
    Text::new("마음이 놓이지 않으셨군요.", "It sounds as if worry has been following you."),
    Text::new("불안한 마음이 쉽게 가라앉지 않으셨나 봐요.", "That sounds like an uneasy place to be."),
];
const GUILT: [Text; 2] = [
    Text::new("스스로에게 엄격해지는 순간이었군요.", "It sounds as if you are being hard on yourself."),
    Text::new("그 일이 마음에 오래 남아 있나 봐요.", "It sounds as if this has stayed with you."),
];
const JOY: [Text; 2] = [
    Text::new("기쁜 마음이 전해져요.", "I can hear the joy in that."),
    Text::new("마음이 환해지는 일이 있으셨군요.", "That sounds like a bright moment."),
];
const LONELINESS: [Text; 2] = [
    Text::new("곁에 아무도 없는 것처럼 느껴지셨군요.", "It sounds as if nobody was beside you."),
    Text::new("혼자라는 느낌이 컸나 봐요.", "That sounds lonely."),
];
const SADNESS: [Text; 2] = [
    Text::new("마음이 많이 가라앉아 있었군요.", "It sounds as if your heart has been heavy."),
    Text::new("슬픈 마음을 안고 계셨네요.", "There is sadness in what you say."),
];
const TIREDNESS: [Text; 2] = [
    Text::new("많이 지치셨겠어요.", "That sounds exhausting."),
    Text::new("버티느라 애를 많이 쓰셨군요.", "It sounds as if holding on has taken a lot out of you."),
];
const UNCLEAR: [Text; 2] = [
    Text::new("들려주셔서 고마워요.", "Thank you for telling me."),
    Text::new("그 말에 여러 마음이 담겨 있는 것 같아요.", "There seems to be more than one feeling in that."),
];

/// Open questions; none suggests its own answer.
pub(super) const QUESTIONS: [Text; 6] = [
    Text::new("그 마음이 가장 크게 느껴진 순간은 언제였나요?", "When did you feel that the most?"),
    Text::new("그때 몸에서는 어떤 느낌이 있었나요?", "What did you notice in your body then?"),
    Text::new("그 순간 어떤 생각이 스쳐 지나갔나요?", "What went through your mind at that moment?"),
    Text::new("그 일이 어떤 의미였는지 조금 더 들려주시겠어요?", "Would you tell me more about what it meant to you?"),
    Text::new("지금 가장 필요한 것은 무엇이라고 느끼세요?", "What do you feel you need most right now?"),
    Text::new(
        "비슷한 때에 조금이라도 도움이 되었던 것이 있나요?",
        "Has anything helped, even a little, at a time like this?",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feelings_are_heard_in_both_languages() {
        let cases = [
            ("요즘 기분이 별로야", Feeling::Sadness),
            ("내일 발표라 너무 긴장돼", Feeling::Anxiety),
            ("I am so ANGRY with him", Feeling::Anger),
            ("오늘은 정말 행복했어", Feeling::Joy),
            ("하나도 행복하지 않아", Feeling::Unclear),
            ("I'm not happy at all", Feeling::Unclear),
            ("the ambassador called", Feeling::Unclear),
            ("점심에 국수를 먹었어", Feeling::Unclear),
        ];
        for (text, feeling) in cases {
            assert_eq!(Feeling::heard_in(text), feeling, "{text}");
        }
    }
}
