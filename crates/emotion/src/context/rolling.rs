//! Sums up the older half of a conversation when it takes too much room, after a reply: nobody waits for it.

use std::time::Duration;

use chassis::problem::Outcome;
use domain::{
    context_budget::{quoted, summary_due, summary_instruction},
    ids::ConversationId,
    locale::Locale,
};
use serde_json::json;
use tokio::time::timeout;

use super::{count, tokens_of};
use crate::{
    app::App,
    companion::{ChatMessage, Question, Role},
    conversation::{
        Conversation,
        store::{self, RollingSummary},
    },
    step::Step,
    vault::PersonVault,
};

/// Longest to wait for a summary; the next reply tries again.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most tokens of a summary.
const TOKENS: u32 = 500;

/// Writes a new summary, if one is due; returns whether it did. `steps` are those since the last one, the newest first.
pub(crate) async fn sum_up(
    app: &App,
    vault: &PersonVault,
    conversation: &Conversation,
    steps: &[Step],
    turn_budget: usize,
    locale: Locale,
) -> Outcome<bool> {
    let oldest_first: Vec<_> = steps.iter().rev().collect();
    let tokens: Vec<_> = oldest_first
        .iter()
        .map(|step| tokens_of(step).unwrap_or_else(|| count(&step.user_input) + count(&step.gpt_response)))
        .collect();
    let Some(range) = summary_due(&tokens, turn_budget) else { return Ok(false) };
    let older = oldest_first.get(range).unwrap_or_default();
    let Some(last) = older.last() else { return Ok(false) };
    let mut said = conversation.rolling_summary.as_ref().map(|summary| summary.text.clone()).unwrap_or_default();
    for step in older {
        for text in ["\n\n- ", &step.user_input, "\n- ", &step.gpt_response] {
            said.push_str(text);
        }
    }
    let question = Question {
        name: "summary",
        messages: vec![
            ChatMessage { role: Role::System, content: summary_instruction(locale).to_owned() },
            ChatMessage { role: Role::User, content: quoted(&said) },
        ],
        schema: json!({
            "type": "object", "additionalProperties": false, "required": ["summary"],
            "properties": { "summary": { "type": "string" } }
        }),
        max_tokens: TOKENS,
    };
    let answer = timeout(PATIENCE, app.companion.ask(question)).await.ok().flatten();
    let text = answer.as_ref().and_then(|answer| answer.get("summary")?.as_str()).unwrap_or_default().trim();
    if text.is_empty() {
        // The old one stays, and the oldest turns are left out of the prompt until a summary succeeds.
        return Ok(false);
    }
    let tokens = i32::try_from(count(text)).unwrap_or(i32::MAX);
    let summary = RollingSummary { text: text.to_owned(), order: last.step_order, tokens };
    let mut conn = app.ground.pg.conn().await?;
    store::keep_rolling_summary(&mut conn, vault, ConversationId(conversation.id), &summary).await
}
