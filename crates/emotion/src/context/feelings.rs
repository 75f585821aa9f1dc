//! Asks a model what somebody feels, after its reply: nobody waits for it.

use std::time::Duration;

use domain::{
    feeling::{Feeling, from_model, model_instruction, model_schema},
    locale::Locale,
};
use tokio::time::timeout;

use crate::companion::{ChatMessage, Companion, Question, Role};

/// Longest to wait for a model's judgement; afterwards the lexicon's holds.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most tokens of an answer: three labels and two numbers.
const TOKENS: u32 = 120;

/// Returns the feeling of a message as a model judges it, if it does in time.
pub(crate) async fn ask_feeling(companion: &dyn Companion, message: &str, locale: Locale) -> Option<Feeling> {
    let question = Question {
        name: "feeling",
        messages: vec![
            ChatMessage { role: Role::System, content: model_instruction(locale).to_owned() },
            ChatMessage { role: Role::User, content: domain::context_budget::quoted(message) },
        ],
        schema: model_schema(),
        max_tokens: TOKENS,
    };
    let answer = timeout(PATIENCE, companion.ask(question)).await.ok()??;
    from_model(&answer.to_string())
}
