//! The frames of both dialects, as the server sends them.
//!
//! The document's dialect knows `{"session_id"}`, `{"token"}`, `{"done"}` and `{"error"}`, and nothing else is ever sent in
//! it; keys beyond the document's are additions. A client that opens with `{"type": "open"}` gets frames that name their
//! type instead. What a client says is understood in either form.

use chassis::socket::ErrorView;
use domain::{
    companion::StepStatus,
    fault::{Fault, Kind},
    ids::{ConversationId, StepId},
    time::Instant,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The reply ended before its end.
pub const INTERRUPTED: Fault = Fault::new(
    Kind::Unavailable,
    "reply_interrupted",
    "답이 중간에 끊겼어요. 다시 말씀해 주세요.",
    "The reply was cut off. Please say it again.",
);

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
    use super::*;

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
