//! What the card says. Plain words: what was heard, one direct question, where people help, and that the talk goes on.
//!
//! No diagnosis, no promise, no blame, and nothing that closes the conversation.

use super::{Assessment, Concern, Level};
use crate::locale::Text;

/// Heads the card.
pub(super) const fn title(assessment: Assessment) -> Text {
    match (assessment.concern, assessment.level) {
        (Concern::SomebodyElse, _) => Text::new("소중한 사람이 걱정될 때", "When you worry about somebody"),
        (Concern::Bereavement, _) => {
            Text::new("떠나보낸 마음을 혼자 견디지 않아도 돼요", "You do not have to grieve alone")
        }
        (Concern::HarmToOthers, _) => Text::new("잠시 멈추고 도움을 받을 수 있어요", "You can stop here and get help"),
        (Concern::AbuseNow, _) => Text::new("당신의 안전이 먼저예요", "Your safety comes first"),
        (_, Level::Danger) => Text::new("지금, 혼자 있지 마세요", "Please do not be alone right now"),
        _ => Text::new("지금 이야기할 수 있는 곳이 있어요", "There is somebody to talk to right now"),
    }
}

/// Comes first: what was heard, and a direct question.
pub(super) const fn opening(assessment: Assessment) -> Text {
    match (assessment.concern, assessment.level) {
        (Concern::SomebodyElse, Level::Danger) => Text::new(
            "그분이 지금 위험할 수 있을 것 같아 걱정돼요. 그분은 지금 어디에 있고, 곁에 누가 있나요? 바로 긴급전화에 알리고, \
             할 수 있다면 안전한 선에서 그분 곁에 있어 주세요.",
            "I am worried that they may be in danger right now. Where are they, and is anybody with them? Please call the \
             emergency number now and, if it is safe for you, stay with them or on the phone with them.",
        ),
        (Concern::SomebodyElse, _) => Text::new(
            "그분이 많이 걱정되시겠어요. 말해 주셔서 고마워요. 그분께 “혹시 죽고 싶다는 생각이 드니?” 하고 직접 물어봐도 괜찮아요. \
             물어본다고 더 위험해지지 않아요. 판단하지 말고 들어 주시고, 아래 번호에 함께 연락해 보세요. \
             지켜보는 분도 상담을 받을 수 있어요. 그분은 지금 안전한가요?",
            "You must be worried about them. Thank you for telling me. It is all right to ask them directly, “Are you \
             thinking about suicide?” Asking does not make it more likely. Listen without judging, and reach one of these \
             lines together; they help the people around somebody, too. Are they safe right now?",
        ),
        (Concern::Bereavement, _) => Text::new(
            "소중한 분을 그렇게 떠나보내셨군요. 그 마음이 얼마나 무거우실지요. 당신의 잘못이 아니에요. \
             혹시 지금 당신도 죽고 싶다는 생각이 드나요?",
            "I am so sorry that you lost somebody in this way. It is a heavy thing to carry, and it is not your fault. May I \
             ask directly: are you having thoughts of dying yourself?",
        ),
        (Concern::HarmToOthers, Level::Danger) => Text::new(
            "많이 화가 나고 몰려 있는 마음이 느껴져요. 지금은 그 사람과 거리를 두고, 손에 든 것이 있다면 내려놓고, \
             그 자리에서 벗어나 주세요. 누군가 다칠 것 같다면 바로 긴급전화로 도움을 청해 주세요. 지금 어디에 계세요?",
            "I hear how angry and cornered you feel. Please step away from them now, and put down anything that could hurt \
             somebody. If somebody may get hurt, call the emergency number and ask for help. Where are you right now?",
        ),
        (Concern::HarmToOthers, _) => Text::new(
            "그만큼 화가 나고 상처받으셨군요. 조심스럽지만 직접 여쭤볼게요. 정말로 그 사람을 해칠 생각이 있나요? \
             그 마음을 혼자 다루지 않아도 돼요.",
            "You sound deeply hurt and angry. I want to ask you directly: are you thinking of really hurting them? You do not \
             have to handle this feeling alone.",
        ),
        (Concern::AbuseNow, _) => Text::new(
            "그런 일을 겪고 계시는군요. 당신의 잘못이 아니에요. 지금 안전한 곳에 있나요? 위험하면 먼저 그 자리를 벗어나고, \
             말하기 어려우면 문자로도 신고할 수 있어요.",
            "I am sorry this is happening to you. It is not your fault. Are you somewhere safe right now? If you are in danger, \
             get away first if you can, and reach the emergency number.",
        ),
        (_, Level::Danger) => Text::new(
            "지금 많이 위험할 수 있을 것 같아 걱정돼요. 말해 주셔서 고마워요. 지금 어디에 있고, 곁에 누가 있나요? \
             손 닿는 곳에 해칠 수 있는 것이 있다면 멀리 두거나 그 자리를 벗어나고, 바로 아래 번호로 전화해 주세요. \
             이미 다쳤거나 약을 먹었다면 지금 바로 구급차를 불러 주세요.",
            "I am worried that you are in danger right now. Thank you for telling me. Where are you, and is anybody with you? \
             Please move away from anything you could hurt yourself with, and call one of these numbers now. If you are \
             already hurt or have taken something, call an ambulance right away.",
        ),
        _ => Text::new(
            "그 정도로 힘드셨군요. 말해 주셔서 고마워요. 조심스럽지만 직접 여쭤볼게요. 지금 죽고 싶다는 생각이 드나요? \
             이 마음을 혼자 견디지 않아도 돼요.",
            "It sounds as if it has become very hard. Thank you for telling me. I want to ask you directly: are you thinking \
             about dying or hurting yourself right now? You do not have to carry this alone.",
        ),
    }
}

/// Comes after the lines of help.
pub(super) const fn closing(assessment: Assessment) -> Text {
    match assessment.concern {
        Concern::SomebodyElse => Text::new(
            "저는 AI라서 전문가의 도움을 대신할 수 없어요. 그래도 여기서 이야기를 계속 들을게요.",
            "I am an AI and cannot replace professional help, but I am here and we can keep talking.",
        ),
        _ => Text::new(
            "가까이에 믿을 수 있는 사람이 있다면 지금 마음을 알려 주세요. 저는 AI라서 전문가의 도움을 대신할 수 없지만, \
             여기서 이야기를 계속 들을게요.",
            "If there is somebody you trust nearby, please let them know how you feel. I am an AI and cannot replace \
             professional help, but I am here and we can keep talking.",
        ),
    }
}

/// Leads to the lines of help.
pub(super) const LINES: Text = Text::new("연락할 수 있는 곳:", "People who can help:");

/// Said instead of the whole card to somebody who has seen it just now; one line of help follows.
pub(super) const REMINDER: Text = Text::new(
    "여전히 많이 힘드시군요. 계속 듣고 있어요. 사람의 목소리가 필요하면 지금 바로 연락할 수 있어요:",
    "It is still very hard, and I am listening. If you need a human voice, you can reach somebody right now:",
);

/// Takes the place of a reply that was cut.
pub(super) const fn instead(level: Level) -> Text {
    if level.needs_card() {
        Text::new(
            "제가 하려던 말이 지금 도움이 되지 않을 것 같아 멈췄어요. 당신의 이야기를 더 듣고 싶어요. 지금 안전한가요?",
            "I stopped, because what I was about to say would not have helped. I would rather hear more from you. Are you \
             safe right now?",
        )
    } else {
        Text::new(
            "제가 하려던 말이 적절하지 않아 멈췄어요. 저는 AI라서 진단이나 장담을 할 수 없어요. 조금 더 들려주시겠어요?",
            "I stopped, because what I was about to say was not right. I am an AI and can make no diagnosis and no promise. \
             Would you tell me a little more?",
        )
    }
}
