//! The frames of both dialects.
//!
//! The document's dialect knows `{"session_id"}`, `{"token"}`, `{"done"}` and `{"error"}`, and nothing else is ever sent in
//! it; keys beyond the document's are additions. A client that opens with `{"type": "open"}` gets frames that name their
//! type instead. What a client says is understood in either form.

use chassis::{problem::Problem, socket::ErrorView};
use domain::{
    companion::{Message, StepStatus},
    fault::{Fault, Kind, Violations, common},
    ids::{ConversationId, StepId},
    time::Instant,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{conversation::end::EndRequest, reply::STEP_NOT_FOUND};

/// A frame names a type that is not known.
const UNKNOWN_TYPE: Fault =
    Fault::new(Kind::Malformed, "unknown_type", "알 수 없는 프레임 종류입니다.", "There is no such type of frame.");
/// The client's own name of a message is of another form.
const BAD_CLIENT_MSG_ID: Fault = Fault::new(
    Kind::Invalid,
    "bad_client_msg_id",
    "client_msg_id는 영문자, 숫자, '-', '_' 1-64자여야 합니다.",
    "A client_msg_id has 1-64 letters, digits, '-' or '_'.",
);
/// The reply ended before its end.
pub const INTERRUPTED: Fault = Fault::new(
    Kind::Unavailable,
    "reply_interrupted",
    "답이 중간에 끊겼어요. 다시 말씀해 주세요.",
    "The reply was cut off. Please say it again.",
);

/// Longest of a client's own names.
const CLIENT_MSG_ID_MAX: usize = 64;

/// What a client sends. Keys that are not known are passed over.
#[derive(Deserialize, ToSchema)]
pub struct ClientFrame {
    /// Absent in the document's dialect, which means a message. `stop` ends the reply, `resume` reads on from a piece,
    /// `ping` keeps the socket alive and is answered in the typed dialect only. `open` asks for the typed dialect, whose
    /// clients send `message`, and `close` when the conversation is over.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// What is said, 1-8,192 bytes after trimming.
    #[schema(required = true, nullable = false)]
    user_input: Option<String>,
    /// The same in the typed dialect.
    text: Option<String>,
    /// `[a-z_]{1,32}`, `normal` when absent.
    step_type: Option<String>,
    /// How the client would like to be answered, at most 4,000 characters; ranks below every rule of ours.
    system_prompt: Option<String>,
    /// The client's own name of the message, `[A-Za-z0-9_-]{1,64}`: sent twice it is said once.
    client_msg_id: Option<String>,
    /// Where the person is, two letters: decides which lines of help are shown.
    country: Option<String>,
    /// The step that `stop` and `resume` mean; the newest of the conversation when absent.
    step_id: Option<String>,
    /// The last piece that was seen, for `resume`; from the beginning when absent.
    #[serde(alias = "after_seq")]
    after: Option<u32>,
}

/// Something said. It has no `Debug`.
pub(super) struct Said {
    pub(super) message: Message,
    pub(super) client_msg_id: Option<String>,
    pub(super) country: Option<String>,
}

/// What a client wants.
pub(super) enum Wish {
    /// Something was said.
    Say(Said),
    /// The typed dialect.
    Open,
    /// No more of a reply.
    Stop(Option<StepId>),
    /// A reply from the piece after this one.
    Resume(Option<StepId>, u32),
    /// To know whether somebody is there.
    Ping,
    /// To end the conversation.
    Close(EndRequest),
}

impl ClientFrame {
    /// Reads a text frame.
    pub(super) fn read(text: &str) -> Result<Wish, Problem> {
        // By way of an object: serde would take an array's items for the fields in their order.
        let object: Map<String, Value> = serde_json::from_str(text).map_err(|_not_an_object| common::MALFORMED)?;
        let closing = object.get("type").is_some_and(|kind| kind == "close").then(|| object.clone());
        let frame: Self = serde_json::from_value(object.into()).map_err(|_other_types| common::MALFORMED)?;
        let step_id = |text: Option<String>| {
            let parsed = text.filter(|text| !text.is_empty()).map(|text| text.parse::<StepId>()).transpose();
            parsed.map_err(|_not_an_id| Problem::from(STEP_NOT_FOUND))
        };
        match frame.kind.as_deref() {
            None | Some("message") => frame.said().map(Wish::Say),
            Some("ping") => Ok(Wish::Ping),
            Some("open") => Ok(Wish::Open),
            Some("stop") => Ok(Wish::Stop(step_id(frame.step_id)?)),
            Some("resume") => Ok(Wish::Resume(step_id(frame.step_id)?, frame.after.unwrap_or_default())),
            Some("close") => read_close(closing.unwrap_or_default()),
            Some(_) => Err(UNKNOWN_TYPE.into()),
        }
    }

    fn said(self) -> Result<Said, Problem> {
        let user_input = self.user_input.or(self.text).unwrap_or_default();
        let message = Message::parse(&user_input, self.step_type, self.system_prompt, Violations::new())?;
        let is_name = |name: &String| {
            (1..=CLIENT_MSG_ID_MAX).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if self.client_msg_id.as_ref().is_some_and(|name| !is_name(name)) {
            return Err(BAD_CLIENT_MSG_ID.into());
        }
        let country = self.country.filter(|country| country.len() == 2);
        Ok(Said { message, client_msg_id: self.client_msg_id, country })
    }
}

fn read_close(mut object: Map<String, Value>) -> Result<Wish, Problem> {
    let known = ["emotion_label", "topic", "trigger_summary", "insight_summary"];
    object.retain(|key, _| known.contains(&key.as_str()));
    let request = serde_json::from_value(object.into()).map_err(|_other_types| common::MALFORMED)?;
    Ok(Wish::Close(request))
}

/// What the server sends in the document's dialect. `step_id`, `seq` and everything behind them are additions.
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
        /// Its place in the reply, from 1 and without gaps.
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<u32>,
        /// The step it belongs to.
        #[serde(skip_serializing_if = "Option::is_none")]
        step_id: Option<StepId>,
        /// The card, when this piece is its text.
        #[serde(skip_serializing_if = "Option::is_none")]
        safety: Option<&'a Value>,
    },
    /// The reply has ended, and is kept.
    Done {
        /// Always `true`.
        done: bool,
        /// The step it belongs to.
        step_id: StepId,
        /// When the step was written.
        created_at: Instant,
        /// How the reply ended, and more.
        #[serde(flatten)]
        ended: EndedView<'a>,
    },
    /// A message was refused, or its reply failed.
    Error {
        /// Why.
        error: ErrorView,
        /// The step, when its reply was interrupted.
        #[serde(skip_serializing_if = "Option::is_none")]
        step_id: Option<StepId>,
    },
}

/// How a reply ended.
#[derive(Clone, Copy, Serialize, ToSchema)]
pub struct EndedView<'a> {
    /// `complete`, `stopped` or `blocked`; `interrupted` in the typed dialect.
    pub status: StepStatus,
    /// Who answered: `offline` is a set of prepared sentences.
    pub provider: &'a str,
    /// The place of the last piece.
    pub seq: u32,
    /// The client's own name of the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_msg_id: Option<&'a str>,
    /// Whether the message was said before and this is its reply again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
    /// The feeling of the message, by its words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emotion: Option<&'a Value>,
    /// The step of the conversation's arc, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arc_step: Option<u8>,
    /// What the step is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arc_name: Option<&'static str>,
    /// Whether this is a good place to close the conversation.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub suggest_close: bool,
}

/// What the server sends in the typed dialect.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TypedFrame<'a> {
    /// The socket is open in this dialect.
    OpenOk {
        /// The conversation.
        session_id: ConversationId,
        /// For people: an AI answers, and it does not replace care.
        notice: &'a str,
    },
    /// A reply begins.
    MessageStart {
        /// The step it belongs to.
        step_id: StepId,
        /// The step's place in the conversation, from 1.
        step_order: u32,
        /// Who is asked.
        provider: &'a str,
        /// The client's own name of the message.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_msg_id: Option<&'a str>,
        /// Whether the message was said before and this is its reply again.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        duplicate: bool,
        /// The card that opens the reply.
        #[serde(skip_serializing_if = "Option::is_none")]
        safety: Option<&'a Value>,
    },
    /// The next piece of the reply.
    MessageDelta {
        /// To be put behind the pieces before it, as it is.
        delta: &'a str,
        /// Its place in the reply, from 1 and without gaps.
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<u32>,
        /// The step it belongs to.
        #[serde(skip_serializing_if = "Option::is_none")]
        step_id: Option<StepId>,
        /// The card, when this piece is its text.
        #[serde(skip_serializing_if = "Option::is_none")]
        safety: Option<&'a Value>,
    },
    /// The reply has ended.
    MessageEnd {
        /// The step it belongs to.
        step_id: StepId,
        /// When the step was written.
        created_at: Instant,
        /// How the reply ended, and more.
        #[serde(flatten)]
        ended: EndedView<'a>,
    },
    /// This is a good place to close the conversation.
    SuggestClose,
    /// What became of `stop`.
    StopOk {
        /// The step.
        step_id: StepId,
        /// Whether there was something to stop.
        stopped: bool,
        /// How far the reply is.
        status: StepStatus,
    },
    /// The answer to `ping`.
    Pong,
    /// The conversation has ended, and the socket does.
    CloseOk,
    /// A frame was refused, or a reply failed.
    Error {
        /// For people.
        message: String,
        /// Why.
        error: ErrorView,
        /// The step, when its reply was interrupted.
        #[serde(skip_serializing_if = "Option::is_none")]
        step_id: Option<StepId>,
    },
}

#[cfg(test)]
mod tests {
    use domain::locale::Locale;
    use serde_json::json;

    use super::*;

    fn refusal(text: &str) -> Option<String> {
        ClientFrame::read(text).err().map(|problem| ErrorView::new(&problem, Locale::En).code)
    }

    #[test]
    fn the_documents_example_is_understood() {
        let example = r#"{"user_input": "요즘 기분이 별로야.", "step_type": "normal", "system_prompt": "너는 감정 전문 상담사야"}"#;
        let Ok(Wish::Say(said)) = ClientFrame::read(example) else { panic!("refused") };
        assert_eq!(said.message.user_input, "요즘 기분이 별로야.");
        assert_eq!(said.message.system_prompt.as_deref(), Some("너는 감정 전문 상담사야"));
        assert_eq!(refusal(r#"{"user_input": "hi", "step_type": null, "lang": "ko", "max_turns": 7}"#), None);
    }

    #[test]
    fn the_typed_dialect_is_understood() {
        let Ok(Wish::Say(said)) = ClientFrame::read(r#"{"type":"message","text":"hi","client_msg_id":"m-1"}"#) else {
            panic!("refused")
        };
        assert_eq!((said.message.user_input.as_str(), said.client_msg_id.as_deref()), ("hi", Some("m-1")));
        assert!(matches!(ClientFrame::read(r#"{"type":"open","access_token":"x"}"#), Ok(Wish::Open)));
        assert!(matches!(ClientFrame::read(r#"{"type":"ping"}"#), Ok(Wish::Ping)));
        assert!(matches!(ClientFrame::read(r#"{"type":"stop"}"#), Ok(Wish::Stop(None))));
        assert!(matches!(ClientFrame::read(r#"{"type":"close","topic":"일","x":1}"#), Ok(Wish::Close(_))));
        let id = "01900000-0000-7000-8000-00000000ffff";
        for key in ["after", "after_seq"] {
            let frame = json!({ "type": "resume", "step_id": id, key: 7 }).to_string();
            assert!(matches!(ClientFrame::read(&frame), Ok(Wish::Resume(Some(_), 7))), "{key}");
        }
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
            (r#"{"user_input": "hi", "client_msg_id": "a b"}"#, "bad_client_msg_id"),
            (r#"{"user_input": "hi", "client_msg_id": ""}"#, "bad_client_msg_id"),
            (r#"{"type": "dance"}"#, "unknown_type"),
            (r#"{"type": "resume", "after": -1}"#, "malformed"),
            (r#"{"type": "stop", "step_id": "that one"}"#, "step_not_found"),
        ];
        for (text, code) in cases {
            assert_eq!(refusal(text).as_deref(), Some(code), "{text}");
        }
    }

    #[test]
    fn frames_begin_as_in_the_document_and_go_on_with_additions() {
        let step_id = StepId(uuid::Uuid::nil());
        let token = ServerFrame::Token { token: "오늘 ", seq: Some(1), step_id: Some(step_id), safety: None };
        assert_eq!(
            serde_json::to_string(&token).unwrap(),
            r#"{"token":"오늘 ","seq":1,"step_id":"00000000-0000-0000-0000-000000000000"}"#
        );
        let ended = EndedView {
            status: StepStatus::Complete,
            provider: "offline",
            seq: 3,
            client_msg_id: None,
            duplicate: false,
            emotion: None,
            arc_step: None,
            arc_name: None,
            suggest_close: false,
        };
        let done = ServerFrame::Done { done: true, step_id, created_at: chrono::DateTime::UNIX_EPOCH.into(), ended };
        assert_eq!(
            serde_json::to_string(&done).unwrap(),
            r#"{"done":true,"step_id":"00000000-0000-0000-0000-000000000000","created_at":"1970-01-01T00:00:00.000Z","status":"complete","provider":"offline","seq":3}"#
        );
        assert_eq!(serde_json::to_string(&TypedFrame::Pong).unwrap(), r#"{"type":"pong"}"#);
    }
}
