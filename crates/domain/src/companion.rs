//! Rules of a conversation with the companion: what a person may send, and how far a reply is.

use serde::{Deserialize, Serialize};

use crate::{
    fault::Violations,
    locale::{Locale, Text},
};

/// Most bytes of one message, after trimming: some four pages, and far below every model's context.
pub const USER_INPUT_MAX: usize = 8_192;
/// Most characters of the instructions a client may send along.
pub const SYSTEM_PROMPT_MAX: usize = 4_000;
/// Most characters of a step's type.
pub const STEP_TYPE_MAX: usize = 32;
/// The type of a step that names none.
pub const STEP_TYPE_DEFAULT: &str = "normal";
/// Fewest Latin words that show a message to be English: Korean messages hold a stray "ok" now and then.
const ENGLISH_WORDS_MIN: usize = 3;

/// Opens the first reply of a conversation that no model takes part in.
pub const OFFLINE_LABEL: Text = Text::new(
    "AI 모델이 연결되어 있지 않아 준비된 문장으로 답하고 있어요.",
    "No AI model is connected; these are prepared sentences.",
);

/// How far a reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    /// The message is kept; nothing was answered yet.
    Pending,
    /// The reply is being written.
    Streaming,
    /// The reply is whole.
    Complete,
    /// The person stopped it; what was written until then is kept.
    Stopped,
    /// It ended before its end; what was written until then is kept.
    Interrupted,
    /// Nobody could answer; nothing was written.
    Failed,
    /// It was cut because of what it said; a safe text stands in its place.
    Blocked,
}

impl StepStatus {
    const ALL: [Self; 7] =
        [Self::Pending, Self::Streaming, Self::Complete, Self::Stopped, Self::Interrupted, Self::Failed, Self::Blocked];

    /// Returns the status's name as it stands in tables and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Streaming => "streaming",
            Self::Complete => "complete",
            Self::Stopped => "stopped",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
        }
    }

    /// Reads a status's name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Returns whether somebody still works on the reply.
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Pending | Self::Streaming)
    }
}

/// One message of a person, judged. It has no `Debug`, so that no log line can show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// What was said, trimmed.
    pub user_input: String,
    /// What sort of step the client says this is.
    pub step_type: String,
    /// How the client would like to be answered; ranks below every rule of ours.
    pub system_prompt: Option<String>,
}

impl Message {
    /// Judges what a client sent, beside what was found wrong with it already.
    ///
    /// # Errors
    /// Names every field that is empty, too long, of another form or not storable.
    pub fn parse(
        user_input: &str,
        step_type: Option<String>,
        system_prompt: Option<String>,
        mut violations: Violations,
    ) -> Result<Self, Violations> {
        let user_input = user_input.trim();
        violations.require(
            !user_input.is_empty(),
            "/user_input",
            "empty_input",
            "메시지를 입력해 주세요.",
            "The message is empty.",
        );
        violations.require(
            user_input.len() <= USER_INPUT_MAX,
            "/user_input",
            "input_too_long",
            "메시지는 8,192바이트까지 보낼 수 있습니다.",
            "A message has at most 8,192 bytes.",
        );
        refuse_nul(user_input, "/user_input", &mut violations);
        let step_type = step_type.unwrap_or_else(|| STEP_TYPE_DEFAULT.to_owned());
        violations.require(
            is_step_type(&step_type),
            "/step_type",
            "unknown_step_type",
            "step_type은 소문자와 밑줄 1-32자여야 합니다.",
            "A step_type has 1-32 lower-case letters or underscores.",
        );
        let system_prompt = parse_note(system_prompt, "/system_prompt", SYSTEM_PROMPT_MAX, &mut violations);
        violations.into_result().map(|()| Self { user_input: user_input.to_owned(), step_type, system_prompt })
    }
}

/// Returns whether `text` names a type of step: `[a-z_]{1,32}`.
pub fn is_step_type(text: &str) -> bool {
    (1..=STEP_TYPE_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// Reads an optional text of at most `max` characters, recording a violation at `pointer`; a blank one is none.
pub fn parse_note(text: Option<String>, pointer: &str, max: usize, violations: &mut Violations) -> Option<String> {
    let text = text?.trim().to_owned();
    violations.require(
        text.chars().count() <= max,
        pointer,
        "too_long",
        "너무 긴 값입니다.",
        "This is longer than allowed.",
    );
    refuse_nul(&text, pointer, violations);
    Some(text).filter(|text| !text.is_empty())
}

fn refuse_nul(text: &str, pointer: &str, violations: &mut Violations) {
    violations.require(
        !text.contains('\0'),
        pointer,
        "nul_in_text",
        "쓸 수 없는 문자(NUL)가 있습니다.",
        "The text holds a NUL character, which cannot be used.",
    );
}

/// Splits a reply into the pieces it is sent in, a word with the space after it each; together they are the reply.
pub fn pieces(reply: &str) -> impl Iterator<Item = &str> {
    reply.split_inclusive(char::is_whitespace)
}

/// Returns the language a message is written in, or `fallback` when it does not show.
pub fn spoken_language(text: &str, fallback: Locale) -> Locale {
    let hangul = |c: char| matches!(c, '가'..='힣' | 'ㄱ'..='ㅣ');
    if text.chars().any(hangul) {
        return Locale::Ko;
    }
    let latin = |word: &&str| word.chars().any(|c| c.is_ascii_alphabetic());
    if text.split_whitespace().filter(latin).count() >= ENGLISH_WORDS_MIN { Locale::En } else { fallback }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(user_input: &str, step_type: Option<&str>, system_prompt: Option<&str>) -> Vec<&'static str> {
        let judged =
            Message::parse(user_input, step_type.map(Into::into), system_prompt.map(Into::into), Violations::new());
        judged.map_or_else(|v| v.as_slice().iter().map(|v| v.code).collect(), |_| Vec::new())
    }

    #[test]
    fn a_message_is_trimmed_and_has_a_type() {
        let message =
            Message::parse("  요즘 기분이 별로야.\n", None, Some("  ".to_owned()), Violations::new()).unwrap();
        assert_eq!(message.user_input, "요즘 기분이 별로야.");
        assert_eq!((message.step_type.as_str(), message.system_prompt), ("normal", None));
    }

    #[test]
    fn limits_of_a_message_count_bytes_after_trimming() {
        assert!(refused(&format!("  {}  ", "a".repeat(8_192)), None, None).is_empty());
        assert_eq!(refused(&"a".repeat(8_193), None, None), ["input_too_long"]);
        // 2,731 Korean letters are 8,193 bytes.
        assert_eq!(refused(&"가".repeat(2_731), None, None), ["input_too_long"]);
        assert_eq!(refused(" \t\n ", None, None), ["empty_input"]);
        assert_eq!(refused("a\0b", None, None), ["nul_in_text"]);
    }

    #[test]
    fn every_bad_field_is_named_at_once() {
        assert_eq!(refused("", Some("Normal"), Some("\0x")), ["empty_input", "unknown_step_type", "nul_in_text"]);
        for bad in ["", "a-b", "a b", "정상", "normal1", &"a".repeat(33)] {
            assert_eq!(refused("안녕", Some(bad), None), ["unknown_step_type"], "{bad}");
        }
        assert!(refused("안녕", Some("emotion_summary"), Some(&"가".repeat(4_000))).is_empty());
        assert_eq!(refused("안녕", None, Some(&"가".repeat(4_001))), ["too_long"]);
    }

    #[test]
    fn the_language_is_that_of_the_message_where_it_shows() {
        assert_eq!(spoken_language("I feel so tired of everything", Locale::Ko), Locale::En);
        assert_eq!(spoken_language("너무 happy 한 하루 good day today", Locale::En), Locale::Ko);
        assert_eq!(spoken_language("ok", Locale::Ko), Locale::Ko);
        assert_eq!(spoken_language("ok", Locale::En), Locale::En);
        assert_eq!(spoken_language("12345 678 9", Locale::Ko), Locale::Ko);
    }

    #[test]
    fn a_status_is_read_back_from_its_name() {
        for status in StepStatus::ALL {
            assert_eq!(StepStatus::parse(status.name()), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.name());
        }
        assert!(StepStatus::Streaming.is_running() && !StepStatus::Interrupted.is_running());
    }

    proptest! {
        #[test]
        fn pieces_put_together_are_the_reply(text in "(?s).*") {
            prop_assert_eq!(pieces(&text).collect::<String>(), text.clone());
            prop_assert!(pieces(&text).all(|piece| !piece.is_empty()));
        }

        #[test]
        fn an_accepted_message_keeps_its_limits(text in "(?s).*", step_type in ".{0,40}") {
            if let Ok(message) = Message::parse(&text, Some(step_type), None, Violations::new()) {
                prop_assert!((1..=USER_INPUT_MAX).contains(&message.user_input.len()));
                prop_assert!(!message.user_input.contains('\0') && is_step_type(&message.step_type));
            }
        }
    }
}
