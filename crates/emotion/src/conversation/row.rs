//! A conversation as everybody handles it, and as its row has it: sealed.

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{Insertable, Queryable, Selectable};
use domain::ids::{ConversationId, UserId};
use serde_json::Value;
use uuid::Uuid;

use super::store::RollingSummary;
use crate::{
    schema::emotion_sessions,
    vault::{Column, PersonVault},
};

/// A conversation. It has no `Debug`, so that no log line can show it.
#[derive(Clone)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Conversation {
    pub id: Uuid,
    pub user_id: Uuid,
    pub emotion_label: Option<String>,
    pub topic: Option<String>,
    pub trigger_summary: Option<String>,
    pub insight_summary: Option<String>,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub rolling_summary: Option<RollingSummary>,
    pub arc_step: i16,
    pub arc_state: Option<Value>,
    pub risk_level: i16,
    pub risk_state: Option<Value>,
    pub prompt_version: Option<i32>,
}

impl Conversation {
    /// Describes a conversation that begins.
    pub const fn new(id: ConversationId, owner: UserId, started_at: DateTime<Utc>) -> Self {
        Self {
            id: id.0,
            user_id: owner.0,
            emotion_label: None,
            topic: None,
            trigger_summary: None,
            insight_summary: None,
            started_at,
            ended_at: None,
            rolling_summary: None,
            arc_step: 1,
            arc_state: None,
            risk_level: 0,
            risk_state: None,
            prompt_version: None,
        }
    }
}

/// The row of a conversation, sealed. Its card is read on its own, by whoever wants it.
#[derive(Queryable, Selectable)]
#[diesel(table_name = emotion_sessions, check_for_backend(diesel::pg::Pg))]
pub(crate) struct ConversationRow {
    id: Uuid,
    user_id: Uuid,
    emotion_label: Option<String>,
    topic: Option<String>,
    trigger_summary: Option<String>,
    insight_summary: Option<String>,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    emotion_label_sealed: Option<Vec<u8>>,
    topic_sealed: Option<Vec<u8>>,
    trigger_summary_sealed: Option<Vec<u8>>,
    insight_summary_sealed: Option<Vec<u8>>,
    rolling_summary_sealed: Option<Vec<u8>>,
    rolling_summary_order: i32,
    rolling_summary_tokens: i32,
    arc_step: i16,
    arc_state: Option<Value>,
    risk_level: i16,
    risk_state: Option<Value>,
    prompt_version: Option<i32>,
}

impl ConversationRow {
    /// Opens what is sealed.
    pub(crate) fn open(self, vault: &PersonVault) -> Outcome<Conversation> {
        let id = self.id;
        let note = |column, sealed: Option<Vec<u8>>, plain| vault.open_note(id, column, sealed.as_deref(), plain);
        let (order, tokens) = (self.rolling_summary_order, self.rolling_summary_tokens);
        let summary = note(Column::RollingSummary, self.rolling_summary_sealed, None)?;
        Ok(Conversation {
            emotion_label: note(Column::EmotionLabel, self.emotion_label_sealed, self.emotion_label)?,
            topic: note(Column::Topic, self.topic_sealed, self.topic)?,
            trigger_summary: note(Column::TriggerSummary, self.trigger_summary_sealed, self.trigger_summary)?,
            insight_summary: note(Column::InsightSummary, self.insight_summary_sealed, self.insight_summary)?,
            rolling_summary: summary.map(|text| RollingSummary { text, order, tokens }),
            id,
            user_id: self.user_id,
            started_at: self.started_at,
            ended_at: self.ended_at,
            arc_step: self.arc_step,
            arc_state: self.arc_state,
            risk_level: self.risk_level,
            risk_state: self.risk_state,
            prompt_version: self.prompt_version,
        })
    }
}

/// The row of a new conversation, sealed. The plain columns of text stay empty.
#[derive(Insertable)]
#[diesel(table_name = emotion_sessions)]
pub(super) struct NewRow {
    id: Uuid,
    user_id: Uuid,
    emotion_label_sealed: Option<Vec<u8>>,
    topic_sealed: Option<Vec<u8>>,
    trigger_summary_sealed: Option<Vec<u8>>,
    insight_summary_sealed: Option<Vec<u8>>,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
}

impl NewRow {
    /// Seals what the person wrote about it.
    pub(super) fn seal(vault: &PersonVault, conversation: &Conversation) -> Outcome<Self> {
        let id = conversation.id;
        let note = |column, text: &Option<String>| vault.seal_note(id, column, text.as_deref());
        Ok(Self {
            id,
            user_id: conversation.user_id,
            emotion_label_sealed: note(Column::EmotionLabel, &conversation.emotion_label)?,
            topic_sealed: note(Column::Topic, &conversation.topic)?,
            trigger_summary_sealed: note(Column::TriggerSummary, &conversation.trigger_summary)?,
            insight_summary_sealed: note(Column::InsightSummary, &conversation.insight_summary)?,
            started_at: conversation.started_at,
            ended_at: conversation.ended_at,
        })
    }
}
