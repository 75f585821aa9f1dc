//! A step as everybody handles it, and as its row has it: sealed.

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{Insertable, Queryable, Selectable};
use domain::companion::StepStatus;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    schema::emotion_steps,
    vault::{Column, PersonVault},
};

/// A step. It has no `Debug`, so that no log line can show it.
#[derive(Clone)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Step {
    pub id: Uuid,
    pub session_id: Uuid,
    pub step_order: i32,
    pub step_type: String,
    pub user_input: String,
    pub gpt_response: String,
    pub status: String,
    pub provider: String,
    pub insight_tag: Option<String>,
    pub emotion: Option<Value>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub client_msg_id: Option<String>,
    pub reply_seq: i32,
    pub attempt: i32,
    pub arc_step: Option<i16>,
    pub risk_level: i16,
    pub model: Option<String>,
    pub finish_reason: Option<String>,
    pub prompt_tokens: Option<i32>,
    pub completion_tokens: Option<i32>,
    pub input_tokens: Option<i32>,
    pub reply_tokens: Option<i32>,
    pub ttft_ms: Option<i32>,
}

impl Step {
    /// Returns how far the reply is; a status this version does not know counts as interrupted.
    pub fn status(&self) -> StepStatus {
        StepStatus::parse(&self.status).unwrap_or(StepStatus::Interrupted)
    }
}

/// A step to be written.
#[derive(Clone, Copy)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct NewStep<'a> {
    pub id: Uuid,
    pub session_id: Uuid,
    pub user_id: Uuid,
    pub step_order: i32,
    pub step_type: &'a str,
    pub user_input: &'a str,
    pub gpt_response: &'a str,
    pub status: StepStatus,
    pub provider: &'a str,
    pub model: Option<&'a str>,
    pub insight_tag: Option<&'a str>,
    pub client_msg_id: Option<&'a str>,
    pub arc_step: Option<i16>,
    pub risk_level: i16,
    pub input_tokens: Option<i32>,
    pub reserved_tokens: i32,
    pub created_at: DateTime<Utc>,
}

/// The row of a step, sealed.
#[derive(Queryable, Selectable)]
#[diesel(table_name = emotion_steps, check_for_backend(diesel::pg::Pg))]
pub(crate) struct StepRow {
    id: Uuid,
    session_id: Uuid,
    step_order: i32,
    step_type: String,
    user_input: String,
    gpt_response: String,
    status: String,
    provider: String,
    insight_tag: Option<String>,
    emotion: Option<Value>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    user_input_sealed: Option<Vec<u8>>,
    gpt_response_sealed: Option<Vec<u8>>,
    insight_tag_sealed: Option<Vec<u8>>,
    emotion_sealed: Option<Vec<u8>>,
    client_msg_id: Option<String>,
    reply_seq: i32,
    attempt: i32,
    arc_step: Option<i16>,
    risk_level: i16,
    model: Option<String>,
    finish_reason: Option<String>,
    prompt_tokens: Option<i32>,
    completion_tokens: Option<i32>,
    input_tokens: Option<i32>,
    reply_tokens: Option<i32>,
    ttft_ms: Option<i32>,
}

impl StepRow {
    /// Opens what is sealed.
    pub(crate) fn open(self, vault: &PersonVault) -> Outcome<Step> {
        let id = self.id;
        let text = |column, sealed: Option<Vec<u8>>, plain: String| match sealed {
            Some(sealed) => vault.open(id, column, &sealed),
            None => Ok(plain),
        };
        let emotion = match self.emotion_sealed {
            Some(sealed) => Some(vault.open_json(id, Column::StepEmotion, &sealed)?),
            None => self.emotion,
        };
        Ok(Step {
            user_input: text(Column::UserInput, self.user_input_sealed, self.user_input)?,
            gpt_response: text(Column::GptResponse, self.gpt_response_sealed, self.gpt_response)?,
            insight_tag: vault.open_note(
                id,
                Column::InsightTag,
                self.insight_tag_sealed.as_deref(),
                self.insight_tag,
            )?,
            emotion,
            id,
            session_id: self.session_id,
            step_order: self.step_order,
            step_type: self.step_type,
            status: self.status,
            provider: self.provider,
            created_at: self.created_at,
            finished_at: self.finished_at,
            client_msg_id: self.client_msg_id,
            reply_seq: self.reply_seq,
            attempt: self.attempt,
            arc_step: self.arc_step,
            risk_level: self.risk_level,
            model: self.model,
            finish_reason: self.finish_reason,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            input_tokens: self.input_tokens,
            reply_tokens: self.reply_tokens,
            ttft_ms: self.ttft_ms,
        })
    }
}

/// The row of a new step, sealed. The plain columns of text stay at their defaults.
#[derive(Insertable)]
#[diesel(table_name = emotion_steps)]
pub(super) struct NewRow<'a> {
    id: Uuid,
    session_id: Uuid,
    user_id: Uuid,
    step_order: i32,
    step_type: &'a str,
    user_input_sealed: Vec<u8>,
    gpt_response_sealed: Vec<u8>,
    insight_tag_sealed: Option<Vec<u8>>,
    status: &'static str,
    provider: &'a str,
    model: Option<&'a str>,
    client_msg_id: Option<&'a str>,
    arc_step: Option<i16>,
    risk_level: i16,
    input_tokens: Option<i32>,
    reserved_tokens: i32,
    created_at: DateTime<Utc>,
}

impl<'a> NewRow<'a> {
    /// Seals what was said.
    pub(super) fn seal(vault: &PersonVault, step: &NewStep<'a>) -> Outcome<Self> {
        Ok(Self {
            id: step.id,
            session_id: step.session_id,
            user_id: step.user_id,
            step_order: step.step_order,
            step_type: step.step_type,
            user_input_sealed: vault.seal(step.id, Column::UserInput, step.user_input)?,
            gpt_response_sealed: vault.seal(step.id, Column::GptResponse, step.gpt_response)?,
            insight_tag_sealed: vault.seal_note(step.id, Column::InsightTag, step.insight_tag)?,
            status: step.status.name(),
            provider: step.provider,
            model: step.model,
            client_msg_id: step.client_msg_id,
            arc_step: step.arc_step,
            risk_level: step.risk_level,
            input_tokens: step.input_tokens,
            reserved_tokens: step.reserved_tokens,
            created_at: step.created_at,
        })
    }
}

impl<'a> NewStep<'a> {
    /// Describes a message to which a reply begins.
    pub const fn streaming(
        id: Uuid,
        session_id: Uuid,
        user_id: Uuid,
        step_order: i32,
        user_input: &'a str,
        created_at: DateTime<Utc>,
    ) -> Self {
        Self {
            id,
            session_id,
            user_id,
            step_order,
            step_type: domain::companion::STEP_TYPE_DEFAULT,
            user_input,
            gpt_response: "",
            status: StepStatus::Streaming,
            provider: "offline",
            model: None,
            insight_tag: None,
            client_msg_id: None,
            arc_step: None,
            risk_level: 0,
            input_tokens: None,
            reserved_tokens: 0,
            created_at,
        }
    }
}
