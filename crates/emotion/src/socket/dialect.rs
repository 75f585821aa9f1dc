//! The same things said in either dialect.

use chassis::{
    problem::Problem,
    socket::{CloseCode, ErrorView, Farewell},
};
use domain::{
    companion::StepStatus,
    ids::{ConversationId, StepId},
    locale::Locale,
    safety::disclosure,
};
use serde::Serialize;
use serde_json::Value;

use super::frames::{EndedView, ServerFrame, TypedFrame};
use crate::reply::{About, Begun, End};

/// How a client wants to be spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// As the document has it.
    #[default]
    Document,
    /// With frames that name their type.
    Typed,
}

/// A frame as text; nothing when the dialect has no such frame.
pub(crate) type Frame = Result<Option<String>, Farewell>;

fn write(frame: &impl Serialize) -> Frame {
    let text = serde_json::to_string(frame);
    text.map(Some).map_err(|_unwritable| Farewell::because(CloseCode::Error, "unexpected error"))
}

impl Dialect {
    /// Says which conversation this is, and who answers.
    pub(super) fn opened(self, session_id: ConversationId, locale: Locale) -> Frame {
        let notice = disclosure(locale);
        match self {
            Self::Document => write(&ServerFrame::Opened { session_id, notice }),
            Self::Typed => write(&TypedFrame::OpenOk { session_id, notice }),
        }
    }

    /// Says that a reply begins.
    pub(super) fn begins(self, step: Begun, about: &About, duplicate: bool) -> Frame {
        match self {
            Self::Document => Ok(None),
            Self::Typed => write(&TypedFrame::MessageStart {
                step_id: step.id,
                step_order: step.order,
                provider: &about.provider,
                client_msg_id: about.client_msg_id.as_deref(),
                duplicate,
                safety: about.safety.as_ref(),
            }),
        }
    }

    /// Says a piece.
    pub(crate) fn piece(self, text: &str, seq: Option<u32>, step_id: Option<StepId>, safety: Option<&Value>) -> Frame {
        match self {
            Self::Document => write(&ServerFrame::Token { token: text, seq, step_id, safety }),
            Self::Typed => write(&TypedFrame::MessageDelta { delta: text, seq, step_id, safety }),
        }
    }

    /// Says that a reply has ended. An interruption is an error in the document's dialect, which knows no other end.
    pub(crate) fn ended(self, step: Begun, about: &About, end: End, seq: u32, duplicate: bool) -> Frame {
        let ended = EndedView {
            status: end.status(),
            provider: &about.provider,
            seq,
            client_msg_id: about.client_msg_id.as_deref(),
            duplicate,
            emotion: about.emotion.as_ref(),
            arc_step: about.arc.map(domain::arc::Step::number),
            arc_name: about.arc.map(domain::arc::Step::name),
            suggest_close: about.suggests_closing,
        };
        let (step_id, created_at) = (step.id, step.created_at.into());
        match (self, end) {
            (Self::Document, End::Interrupted) => Ok(None),
            (Self::Document, _) => write(&ServerFrame::Done { done: true, step_id, created_at, ended }),
            (Self::Typed, _) => write(&TypedFrame::MessageEnd { step_id, created_at, ended }),
        }
    }

    /// Says that something was refused or failed.
    pub(crate) fn error(self, problem: &Problem, locale: Locale, step_id: Option<StepId>) -> Frame {
        let error = ErrorView::new(problem, locale);
        match self {
            Self::Document => write(&ServerFrame::Error { error, step_id }),
            Self::Typed => write(&TypedFrame::Error { message: error.message.clone(), error, step_id }),
        }
    }

    /// Says what became of a wish to stop.
    pub(super) fn stopped(self, step_id: StepId, stopped: bool, status: StepStatus) -> Frame {
        match self {
            Self::Document => Ok(None),
            Self::Typed => write(&TypedFrame::StopOk { step_id, stopped, status }),
        }
    }

    /// Says something that only the typed dialect has.
    pub(super) fn only_typed(self, frame: &TypedFrame<'_>) -> Frame {
        match self {
            Self::Document => Ok(None),
            Self::Typed => write(frame),
        }
    }
}
