//! The frames of the document's dialect.

use chassis::{problem::Problem, socket::ErrorView};
use domain::{
    companion::Message,
    fault::{Fault, Kind, Violations, common},
    ids::{ConversationId, StepId},
    time::Instant,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A frame names a type that is not known.
const UNKNOWN_TYPE: Fault =
    Fault::new(Kind::Malformed, "unknown_type", "알 수 없는 프레임 종류입니다.", "There is no such type of frame.");
/// The reply ended before its end.
pub const INTERRUPTED: Fault = Fault::new(
    Kind::Unavailable,
    "reply_interrupted",
    "답이 중간에 끊겼어요. 다시 말씀해 주세요.",
    "The reply was cut off. Please say it again.",
);

/// What a client sends. Keys that are not known are passed over.
#[derive(Deserialize, ToSchema)]
pub struct ClientFrame {
    /// Absent in the document's dialect; `ping` keeps the socket alive and is not answered.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// What is said, 1-8,192 bytes after trimming.
    #[schema(required = true, nullable = false)]
    user_input: Option<String>,
    /// `[a-z_]{1,32}`, `normal` when absent.
    step_type: Option<String>,
    /// How the client would like to be answered, at most 4,000 characters; ranks below every rule of ours.
    system_prompt: Option<String>,
}

/// What a client wants.
pub(super) enum Wish {
    /// Something was said.
    Say(Message),
    /// Nothing.
    Nothing,
}

impl ClientFrame {
    /// Reads a text frame.
    pub(super) fn read(text: &str) -> Result<Wish, Problem> {
        // By way of an object: serde would take an array's items for the fields in their order.
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(text).map_err(|_not_an_object| common::MALFORMED)?;
        let frame: Self = serde_json::from_value(object.into()).map_err(|_other_types| common::MALFORMED)?;
        match frame.kind.as_deref() {
            None => {}
            Some("ping") => return Ok(Wish::Nothing),
            Some(_) => return Err(UNKNOWN_TYPE.into()),
        }
        let user_input = frame.user_input.unwrap_or_default();
        Ok(Wish::Say(Message::parse(&user_input, frame.step_type, frame.system_prompt, Violations::new())?))
    }
}

/// What the server sends.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum ServerFrame<'a> {
    /// First of all: the conversation, and what is to be known about who answers.
    Opened {
        /// The conversation; name it to go on with it later.
        session_id: ConversationId,
        /// For people: an AI answers, and it does not replace care.
        notice: &'a str,
    },
    /// The next piece of the reply.
    Token {
        /// To be put behind the pieces before it, as it is.
        token: &'a str,
    },
    /// The reply is whole, and kept.
    Done {
        /// Always `true`.
        done: bool,
        /// The step it belongs to.
        step_id: StepId,
        /// When the step was written.
        created_at: Instant,
    },
    /// A message was refused, or its reply failed.
    Error {
        /// Why.
        error: ErrorView,
    },
}

#[cfg(test)]
mod tests {
    use domain::locale::Locale;

    use super::*;

    fn refusal(text: &str) -> Option<String> {
        ClientFrame::read(text).err().map(|problem| ErrorView::new(&problem, Locale::En).code)
    }

    #[test]
    fn the_documents_example_is_understood() {
        let example = r#"{"user_input": "요즘 기분이 별로야.", "step_type": "normal", "system_prompt": "너는 감정 전문 상담사야"}"#;
        let Ok(Wish::Say(message)) = ClientFrame::read(example) else { panic!("refused") };
        assert_eq!(message.user_input, "요즘 기분이 별로야.");
        assert_eq!(message.system_prompt.as_deref(), Some("너는 감정 전문 상담사야"));
        assert_eq!(refusal(r#"{"user_input": "hi", "step_type": null, "lang": "ko", "client_msg_id": 7}"#), None);
    }

    #[test]
    fn what_is_no_message_is_refused_with_a_code() {
        let cases = [
            ("hello", "malformed"),
            (r#"["ping"]"#, "malformed"),
            (r#"{"user_input": 7}"#, "malformed"),
            (r#"{"user_input": "\ud800"}"#, "malformed"),
            ("{}", "empty_input"),
            (r#"{"user_input": "  "}"#, "empty_input"),
            (r#"{"user_input": "a\u0000b"}"#, "nul_in_text"),
            (r#"{"user_input": "hi", "step_type": "NORMAL"}"#, "unknown_step_type"),
            (r#"{"type": "dance"}"#, "unknown_type"),
        ];
        for (text, code) in cases {
            assert_eq!(refusal(text).as_deref(), Some(code), "{text}");
        }
        assert!(matches!(ClientFrame::read(r#"{"type": "ping"}"#), Ok(Wish::Nothing)));
    }

    #[test]
    fn frames_look_as_in_the_document() {
        let token = serde_json::to_string(&ServerFrame::Token { token: "오늘 " }).unwrap();
        assert_eq!(token, r#"{"token":"오늘 "}"#);
        let done = ServerFrame::Done {
            done: true,
            step_id: StepId(uuid::Uuid::nil()),
            created_at: chrono::DateTime::UNIX_EPOCH.into(),
        };
        assert_eq!(
            serde_json::to_string(&done).unwrap(),
            r#"{"done":true,"step_id":"00000000-0000-0000-0000-000000000000","created_at":"1970-01-01T00:00:00.000Z"}"#
        );
    }
}
