//! The prepared sentences. `{}` takes the phrase or the feeling; `{이}` and `{으로}` take a feeling with its particle.

use crate::locale::Text;

/// Around a phrase that is retold.
pub(super) const RETOLD: [Text; 4] = [
    Text::new("{}다고 하셨지요.", "You said that {}."),
    Text::new("{}다는 말씀이시군요.", "It sounds like {}."),
    Text::new("{}다는 말이 마음에 남아요.", "What stays with me is that {}."),
    Text::new("{}다는 이야기, 잘 들었어요.", "I hear that {}."),
];
/// Around a phrase that is quoted.
pub(super) const QUOTED: [Text; 4] = [
    Text::new("“{}”라고 하셨지요.", "You said, “{}”."),
    Text::new("“{}”라는 말이 마음에 남아요.", "“{}”: those words stay with me."),
    Text::new("“{}”라는 말씀, 잘 들었어요.", "I heard you say, “{}”."),
    Text::new("“{}”라는 말에 잠시 머물게 되네요.", "I would like to stay a moment with “{}”."),
];
/// A feeling, tentatively.
pub(super) const FEELING: [Text; 5] = [
    Text::new("그 말 속에서 {이} 느껴지는 것 같아요.", "I think I hear {} in that."),
    Text::new(
        "제게는 {으로} 들리는데, 다르다면 편하게 고쳐 주세요.",
        "To me it sounds like {}; please correct me if it is not.",
    ),
    Text::new("{}에 가깝지 않을까 싶어요.", "Perhaps it is close to {}."),
    Text::new("{이} 꽤 컸을 것 같아요.", "There may have been quite some {} in it."),
    Text::new("그 마음에 이름을 붙인다면 {}일까 조심스럽게 헤아려 봅니다.", "I wonder whether {} is a word for it."),
];
/// A pleasant feeling, tentatively.
pub(super) const PLEASANT: [Text; 3] = [
    Text::new("{이} 여기까지 전해지는 것 같아요.", "I think I hear {} in that."),
    Text::new("말씀에서 {이} 묻어나는 것 같아요.", "There seems to be {} in your words."),
    Text::new("{}에 가까운 순간이었던 것 같네요.", "That sounds close to {}."),
];
/// Where no feeling shows.
pub(super) const THANKS: [Text; 4] = [
    Text::new("이렇게 들려주셔서 고마워요.", "Thank you for telling me."),
    Text::new("천천히, 하고 싶은 만큼만 말씀해 주세요.", "Take your time, and tell only as much as you like."),
    Text::new("그 말에 여러 마음이 담겨 있는 것 같아요.", "There seems to be more than one thing in that."),
    Text::new("말로 꺼내기까지 쉽지 않으셨을지도 모르겠어요.", "It may not have been easy to put that into words."),
];
/// At the door.
pub(super) const WELCOME: [Text; 3] = [
    Text::new("안녕하세요, 와 주셔서 반가워요.", "Hello, it is good that you are here."),
    Text::new("반가워요. 여기서는 서두르지 않으셔도 돼요.", "Welcome. There is no hurry here."),
    Text::new("어서 오세요. 편하게 이야기해 주세요.", "Hello. Please feel free to talk."),
];
/// To a nod.
pub(super) const NODDED: [Text; 3] = [
    Text::new("네, 그러셨군요.", "I see."),
    Text::new("네, 듣고 있어요.", "Yes, I am listening."),
    Text::new("알려 주셔서 고마워요.", "Thank you for saying so."),
];
/// Where there are no words.
pub(super) const WORDLESS: [Text; 2] = [
    Text::new(
        "말로 옮기기 어려운 순간도 있지요. 서두르지 않으셔도 돼요.",
        "Some moments are hard to put into words. There is no hurry.",
    ),
    Text::new("잠시 그대로 있어도 괜찮아요.", "It is all right to stay like this for a moment."),
];
/// Before a question that was asked already.
pub(super) const NO_HURRY: [Text; 3] = [
    Text::new("바로 떠오르지 않아도 괜찮아요.", "It is all right if nothing comes to mind."),
    Text::new("대답하기 어려우면 넘어가도 괜찮아요.", "If this is hard to answer, we can leave it."),
    Text::new("꼭 맞는 말이 아니어도 돼요.", "It does not have to be the exact word."),
];
/// When it has become long.
pub(super) const LONG: [Text; 2] = [
    Text::new(
        "꽤 오래 이야기를 나누었네요. 조금 더 이어 갈까요, 아니면 여기서 한번 정리해 볼까요?",
        "We have been talking for quite a while. Shall we go on a little, or gather up what we have?",
    ),
    Text::new(
        "긴 이야기를 해 주셨어요. 지금 쉬어 가고 싶으세요, 아니면 더 나누고 싶은 것이 있으세요?",
        "You have told me a lot. Would you like to rest here, or is there more you would like to share?",
    ),
];
/// Leave-taking.
pub(super) const GOODBYE: [Text; 3] = [
    Text::new(
        "오늘 마음을 나누어 주셔서 고마워요. 편안한 시간 보내시고, 생각나면 언제든 또 들러 주세요.",
        "Thank you for sharing this today. Be gentle with yourself, and come back whenever you like.",
    ),
    Text::new(
        "여기까지 이야기해 주셔서 고마워요. 오늘은 스스로에게 조금 너그러운 하루가 되길 바라요.",
        "Thank you for coming this far. I hope you can be a little kind to yourself today.",
    ),
    Text::new("이야기 나누어 주셔서 고마웠어요. 다음에 또 만나요.", "Thank you for talking with me. Until next time."),
];
/// To somebody who may be in danger. The card stands before it. One plain question each, and another one each turn.
pub(super) const STAY: [Text; 4] = [
    Text::new(
        "말해 주셔서 고마워요. 그만큼 견디기 힘드셨다는 뜻으로 들려요. 지금 안전한 곳에 계신가요?",
        "Thank you for telling me. I hear how hard it has become to bear. Are you somewhere safe right now?",
    ),
    Text::new(
        "혼자 감당하지 않으셔도 돼요. 지금 곁에 있어 줄 수 있는 사람은 누구일까요?",
        "You do not have to carry this alone. Who could be with you right now?",
    ),
    Text::new(
        "여기서 계속 듣고 있을게요. 위에 적힌 곳에 연락해 보는 것은 어떻게 느껴지세요?",
        "I will keep listening. How does it feel to think of calling one of the lines above?",
    ),
    Text::new(
        "지금 이 순간을 넘기는 것이 가장 중요해요. 가까이에 위험한 것이 있다면 멀리 둘 수 있을까요?",
        "Getting through this moment matters most. If something dangerous is near you, could you put it out of reach?",
    ),
];
