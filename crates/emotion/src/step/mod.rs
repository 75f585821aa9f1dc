//! Steps: the turns of a conversation.
//!
//! A step is written before its reply begins, in the state `streaming`, and its place in the conversation is decided
//! under the conversation's row lock: two sockets never get the same one, and at most one reply of a conversation is
//! being written at any time.

pub mod generate;
pub mod kept;
pub mod list;
mod row;
pub mod running;
pub mod stop;
pub mod store;
pub mod stream;

use actix_web::web::{self, ServiceConfig};
use domain::{
    companion::StepStatus,
    fault::{Fault, Kind},
    feeling::{self, Feeling},
    time::Instant,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub(crate) use row::StepRow;
pub use store::Step;

/// A reply of the same conversation is still being written.
pub const BUSY: Fault = Fault::new(
    Kind::Conflict,
    "busy",
    "아직 답하고 있어요. 답이 끝난 뒤에 보내 주세요.",
    "A reply is still being written. Please wait for its end.",
);

/// Mounts the routes of steps.
pub fn routes(cfg: &mut ServiceConfig) {
    cfg.service(web::resource("/emotion/steps/generate").post(generate::generate))
        .service(web::resource("/emotion/steps/{session_id}").get(list::list))
        .service(web::resource("/emotion/steps/{step_id}/stop").post(stop::stop))
        .service(web::resource("/emotion/steps/{step_id}/stream").get(stream::stream));
}

/// Returns the feeling of a step: as it was judged, or by its words as long as it was not.
pub fn feeling_of(step: &Step) -> Option<Feeling> {
    let judged = step.emotion.clone().and_then(|emotion| serde_json::from_value(emotion).ok());
    judged.or_else(|| feeling::read(&step.user_input))
}

/// One turn, as the conversation's owner sees it.
#[derive(Serialize, ToSchema)]
pub struct StepView {
    /// The step.
    pub step_id: Uuid,
    /// Its conversation.
    pub session_id: Uuid,
    /// Its place, from 1.
    pub step_order: i32,
    /// What sort of step the client called it.
    pub step_type: String,
    /// What was said.
    pub user_input: String,
    /// What was answered, as far as it got.
    pub gpt_response: String,
    /// How far the reply is.
    pub status: StepStatus,
    /// Who answered: `offline` is a set of prepared sentences.
    pub provider: String,
    /// When it was said.
    pub created_at: Instant,
    /// What the client tagged it with.
    pub insight_tag: Option<String>,
    /// The feeling of the step, once it was judged.
    #[schema(value_type = Option<EmotionView>)]
    pub emotion: Option<serde_json::Value>,
}

/// The feeling of a step.
#[derive(Serialize, ToSchema)]
pub struct EmotionView {
    /// Its name.
    pub label: String,
    /// How sure the source is, 0-1.
    pub confidence: f64,
    /// What judged it: `model` or `lexicon`.
    pub source: String,
}

impl From<Step> for StepView {
    fn from(step: Step) -> Self {
        let status = step.status();
        Self {
            step_id: step.id,
            session_id: step.session_id,
            step_order: step.step_order,
            step_type: step.step_type,
            user_input: step.user_input,
            gpt_response: step.gpt_response,
            status,
            provider: step.provider,
            created_at: step.created_at.into(),
            insight_tag: step.insight_tag,
            emotion: step.emotion,
        }
    }
}
