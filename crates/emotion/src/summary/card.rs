//! How a card is made: of a conversation's steps, by rules and, where there is one, in a model's words.

use std::time::Duration;

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use domain::{
    arc,
    companion::spoken_language,
    ids::{ConversationId, UserId},
    locale::Locale,
    page::Limit,
    safety::Level,
    summary_card::{CardStep, SummaryCard, card_instruction, card_schema},
};
use tokio::time::timeout;

use super::store::{self, KeptCard};
use crate::{
    app::App,
    companion::{ChatMessage, Question, Role},
    limit,
    step::{self, Step, feeling_of},
    vault::PersonVault,
};

/// Most steps that a card is made of, the first ones: what came later than this is a conversation of its own.
pub(super) const STEPS_MAX: i64 = 1_000;
/// Longest that a model may take; whoever waits gets the rules' card then.
const MODEL_PATIENCE: Duration = Duration::from_secs(6);
/// Most characters of a conversation that a model is shown, the end of it.
const SHOWN_MAX: usize = 12_000;
/// Most tokens of the model's answer.
const ANSWER_TOKENS: u32 = 400;

/// What a card may be made of, and what there is.
pub(super) struct Material {
    pub(super) vault: PersonVault,
    pub(super) steps: Vec<Step>,
    pub(super) kept: Option<KeptCard>,
}

/// Reads what a card is made of.
pub(super) async fn material(app: &App, owner: UserId, id: ConversationId) -> Outcome<Material> {
    let limit = Limit::parse(None, STEPS_MAX, STEPS_MAX)?;
    let mut conn = app.ground.pg.conn().await?;
    app.vault
        .read(&mut conn, owner, async |conn, vault| {
            let steps = step::store::list_of(conn, vault, id, limit, 0).await?;
            let kept = store::find(conn, vault, owner, id).await?;
            Ok(Material { vault: vault.clone(), steps, kept })
        })
        .await
}

/// Returns the card of a conversation: the one that is kept if nothing was said since, or a new one, which is kept then;
/// nothing when nothing was said at all.
pub(super) async fn of(app: &App, owner: UserId, id: ConversationId, locale: Locale) -> Outcome<Option<KeptCard>> {
    let Material { vault, steps, kept } = material(app, owner, id).await?;
    let Some(last) = steps.last() else { return Ok(None) };
    let order = last.step_order;
    if let Some(kept) = kept
        && kept.order >= order
    {
        return Ok(Some(kept));
    }
    let (locale, now) = (language_of(&steps, locale), app.ground.clock.now());
    let card = worded(app, owner, now, &steps, locale).await;
    let mut conn = app.ground.pg.conn().await?;
    store::keep(&mut conn, &vault, id, &card, (order, now)).await?;
    // Somebody else may have been first.
    store::find(&mut conn, &vault, owner, id).await
}

/// Makes the card of some steps by rules.
pub(crate) fn of_steps(steps: &[Step], locale: Locale) -> SummaryCard {
    SummaryCard::from_steps(&card_steps(steps), locale)
}

/// Returns steps as a card sees them.
fn card_steps(steps: &[Step]) -> Vec<CardStep<'_>> {
    let seen = steps.iter().map(|step| {
        let level = u8::try_from(step.risk_level).ok().and_then(Level::from_u8).unwrap_or_default();
        CardStep {
            seq: step.step_order.unsigned_abs(),
            text: &step.user_input,
            step: arc_step(step),
            feeling: feeling_of(step),
            level,
            // At these levels it goes out before anything else, whatever becomes of the reply.
            card_shown: level.needs_card(),
        }
    });
    seen.collect()
}

/// Returns the step of the arc that a message answered: as it was kept, or as its client called it.
fn arc_step(step: &Step) -> Option<arc::Step> {
    let number = step.arc_step.and_then(|number| u8::try_from(number).ok());
    let kept = number.and_then(|number| arc::Step::ALL.into_iter().find(|step| step.number() == number));
    kept.or_else(|| arc::Step::parse(&step.step_type))
}

/// Returns the language that somebody speaks in some steps: their last one's.
pub(crate) fn language_of(steps: &[Step], fallback: Locale) -> Locale {
    steps.last().map_or(fallback, |step| spoken_language(&step.user_input, fallback))
}

/// Makes a card in a model's words, as far as there is a model, it answers in time, and the day has tokens for it.
async fn worded(app: &App, owner: UserId, now: DateTime<Utc>, steps: &[Step], locale: Locale) -> SummaryCard {
    let steps = card_steps(steps);
    let card = SummaryCard::from_steps(&steps, locale);
    if app.companion.model().is_none() {
        return card;
    }
    let shown = shown(&steps);
    match afford(app, owner, now, &shown).await {
        Ok(true) => {}
        Ok(false) => return card,
        Err(problem) => {
            tracing::warn!(code = problem.code(), "a card is made without the model");
            return card;
        }
    }
    let system = ChatMessage { role: Role::System, content: card_instruction(locale).to_owned() };
    let user = ChatMessage { role: Role::User, content: shown };
    let question = Question {
        name: "summary_card",
        messages: vec![system, user],
        schema: card_schema(),
        max_tokens: ANSWER_TOKENS,
    };
    match timeout(MODEL_PATIENCE, app.companion.ask(question)).await {
        Ok(Some(answer)) => card.worded_by(&answer.to_string(), &steps, locale),
        Ok(None) => card,
        Err(_elapsed) => {
            tracing::warn!("the model words no card in time");
            card
        }
    }
}

/// Takes the card's tokens from the person's day; returns whether there were enough.
async fn afford(app: &App, owner: UserId, now: DateTime<Utc>, shown: &str) -> Outcome<bool> {
    // A token of Korean is more than a character and a half, one of English more than four.
    let tokens = i64::try_from(shown.chars().count()).unwrap_or(i64::MAX).saturating_add(i64::from(ANSWER_TOKENS));
    let mut conn = app.ground.pg.conn().await?;
    limit::spend(&mut conn, owner, now, tokens, app.limits.config()).await
}

/// Writes what the person said, quoted, the end of it where it is long. What was said in danger is left out, as on the
/// card.
fn shown(steps: &[CardStep<'_>]) -> String {
    let lines: Vec<String> = steps
        .iter()
        .filter(|step| !step.level.needs_card())
        .map(|step| format!("> {}", step.text.replace('\n', "\n> ")))
        .collect();
    let all = lines.join("\n\n");
    let skipped = all.chars().count().saturating_sub(SHOWN_MAX);
    all.chars().skip(skipped).collect()
}
