//! What a client says, in either dialect.

use chassis::problem::Problem;
use domain::{
    companion::Message,
    fault::{Fault, Kind, Violations, common},
    ids::StepId,
};
use serde::Deserialize;
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
    /// With `open`, on a socket that was opened without a token: who this is.
    access_token: Option<String>,
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
    /// The typed dialect, with an access token from whoever is not known yet.
    Open(Option<String>),
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
            Some("open") => Ok(Wish::Open(frame.access_token)),
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

#[cfg(test)]
mod tests {
    use chassis::socket::ErrorView;
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
        assert!(matches!(ClientFrame::read(r#"{"type":"open","access_token":"x"}"#), Ok(Wish::Open(Some(_)))));
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
}
