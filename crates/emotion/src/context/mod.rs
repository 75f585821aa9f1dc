//! What a model is shown: policy, what the operator and the person wish, what was said before, and the message.
//!
//! The rules of the room are [`domain::context_budget`]'s; this has what they need: the counting of tokens, the
//! operator's instructions, and a summary of what no longer fits. Without a model nothing here is asked for.

mod feelings;
pub(crate) mod instruction_store;
mod instructions;
mod rolling;
mod tokens;

use chassis::problem::{Outcome, Problem};
use domain::{
    arc::{Hint, Place},
    context_budget::{Pair, Parts, Plan, Refusal, Room, fit},
    locale::Locale,
    safety::{policy, policy_tail},
};

pub use instructions::{Instructions, InstructionsConfig};
pub use tokens::{count, warm};

pub(crate) use feelings::ask_feeling;
pub(crate) use rolling::sum_up;

use crate::{
    app::App,
    companion::{ChatMessage, Role, Window},
    conversation::Conversation,
    reply::INPUT_TOO_LONG,
    step::Step,
};

/// Most steps that are read back for one prompt: what is older is in the summary, or does not fit.
pub(crate) const TURNS_READ: i64 = 60;
/// Bytes of a message up to which its tokens need not be counted before it is written: there cannot be too many.
const SURELY_SHORT: usize = 2_048;

/// What a prompt is put together from. It has no `Debug`.
pub(crate) struct Material<'a> {
    pub(crate) conversation: &'a Conversation,
    pub(crate) place: Place,
    pub(crate) hint: Option<Hint>,
    /// How the person would like to be answered in all of their conversations.
    pub(crate) wish: Option<&'a str>,
    /// The same, for this message only.
    pub(crate) system_prompt: Option<&'a str>,
    /// What was said since the summary, the oldest first.
    pub(crate) turns: &'a [Pair<'a>],
    pub(crate) message: &'a str,
    pub(crate) locale: Locale,
}

/// What a model is shown, in two lengths. It has no `Debug`.
pub(crate) struct Assembled {
    pub(crate) messages: Vec<ChatMessage>,
    pub(crate) shorter: Option<Vec<ChatMessage>>,
    /// Tokens of the longer one, by our count.
    pub(crate) tokens: usize,
    /// Tokens that turns may take.
    pub(crate) turn_budget: usize,
}

fn room(window: Window) -> Room {
    let size = |tokens| usize::try_from(tokens).unwrap_or(usize::MAX);
    Room { context: size(window.context), max_reply: size(window.reply), is_exact: window.is_counted_alike }
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::InputTooLong { limit, got } => Problem::from(INPUT_TOO_LONG).with("limit", limit).with("got", got),
        Refusal::ContextTooSmall => Problem::unexpected("the model's context has no room for a message"),
    }
}

/// Refuses a message that is too long for the model, before anything is written.
pub(crate) fn check_length(app: &App, message: &str, locale: Locale) -> Outcome<()> {
    let Some(window) = app.companion.window() else { return Ok(()) };
    if message.len() <= SURELY_SHORT {
        return Ok(());
    }
    let parts = Parts {
        policy: policy(locale),
        preference: None,
        summary: None,
        turns: &[],
        message,
        tail: policy_tail(locale),
        locale,
    };
    fit(room(window), &parts, &count).map(drop).map_err(refused)
}

/// Puts a prompt together that fits.
pub(crate) fn assemble(app: &App, window: Window, material: &Material<'_>) -> Outcome<Assembled> {
    let locale = material.locale;
    let mut rules = policy(locale).to_owned();
    let instructions = app.instructions.current();
    let step =
        material.hint.filter(|hint| *hint == Hint::StayWithThem).map_or(material.place.step.prompt(locale), |_| "");
    let hint = material.hint.map_or("", |hint| hint.prompt(locale));
    for part in [instructions.as_ref(), step, hint].into_iter().filter(|part| !part.is_empty()) {
        rules.push_str("\n\n");
        rules.push_str(part);
    }
    let wishes: Vec<_> = [material.wish, material.system_prompt].into_iter().flatten().collect();
    let preference = wishes.join("\n");
    let parts = Parts {
        policy: &rules,
        preference: Some(preference.as_str()).filter(|text| !text.is_empty()),
        summary: material.conversation.rolling_summary.as_ref().map(|summary| summary.text.as_str()),
        turns: material.turns,
        message: material.message,
        tail: policy_tail(locale),
        locale,
    };
    let plan = fit(room(window), &parts, &count).map_err(refused)?;
    let (tokens, turn_budget) = (plan.tokens(), plan.turn_budget());
    let messages = messages(&plan);
    Ok(Assembled { messages, shorter: plan.halved().map(|plan| self::messages(&plan)), tokens, turn_budget })
}

/// Returns what a step adds to what was said.
pub(crate) fn turn(step: &Step) -> Pair<'_> {
    Pair { user: &step.user_input, reply: &step.gpt_response, tokens: tokens_of(step) }
}

/// Returns the tokens of a step as they were counted before.
pub(crate) fn tokens_of(step: &Step) -> Option<usize> {
    let sum = step.input_tokens?.checked_add(step.reply_tokens?)?;
    usize::try_from(sum).ok()
}

fn messages(plan: &Plan) -> Vec<ChatMessage> {
    use domain::context_budget::Role as Whose;
    let role = |whose| match whose {
        Whose::System => Role::System,
        Whose::User => Role::User,
        Whose::Assistant => Role::Assistant,
    };
    plan.messages().into_iter().map(|m| ChatMessage { role: role(m.role), content: m.content }).collect()
}
