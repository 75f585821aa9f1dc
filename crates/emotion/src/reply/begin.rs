//! The beginning of a reply: the step, written under its conversation's row lock, and what its prompt is made of.

use chassis::{
    idempotency::Answer,
    problem::{Outcome, Problem},
};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    arc::{Held, Place, Turn},
    companion::StepStatus,
    feeling::{self, Feeling},
    ids::{ConversationId, Id, StepId, UserId},
    safety::{Assessment, StickyRisk},
};
use serde_json::{Value, json};

use super::{Draft, ID_REUSED, Opening, progress::Begun};
use crate::{
    app::App,
    companion::OFFLINE,
    context,
    conversation::{
        self, Conversation, Talk,
        store::{self as conversations, Course},
    },
    limit,
    prompt::{self, ActivePrompt},
    step::{
        Step,
        store::{self, NewStep, Written},
    },
    vault::PersonVault,
};

/// Tokens that are reserved for what a prompt holds beside the message; what is not used is given back.
const PROMPT_RESERVE: u32 = 1_500;

/// What became of a message.
pub(super) enum Beginning {
    /// A step that waits for its reply.
    New(Box<Fresh>),
    /// It was said before, under the client's own name: this is its step.
    Again(StepId),
    /// It was said before, under the same idempotency key.
    Before(StepId),
}

/// A step that was just written. It has no `Debug`.
pub(super) struct Fresh {
    pub(super) step: Begun,
    pub(super) vault: PersonVault,
    pub(super) conversation: Conversation,
    /// Where the conversation is with this message.
    pub(super) place: Place,
    /// How much the conversation worries, this message included.
    pub(super) risk: Assessment,
    /// Whether prepared sentences answer, whoever could.
    pub(super) is_by_rules: bool,
    pub(super) feeling: Option<Feeling>,
    /// The steps before, the newest first; only for a model.
    pub(super) steps: Vec<Step>,
    /// How the person would like to be answered; only for a model.
    pub(super) wish: Option<ActivePrompt>,
}

/// Where the rules say that the conversation goes with a message.
struct Judged {
    place: Place,
    risk: Assessment,
    risk_state: Value,
}

/// Writes the step, and the conversation if this is its first message.
pub(super) async fn begin(app: &App, draft: &Draft, opening: &Opening) -> Outcome<Beginning> {
    let owner = UserId(draft.talk.conversation.user_id);
    // Whoever is in danger is not refused: the card goes out, and rules answer.
    let is_by_rules = match app.limits.admit_message(owner).await {
        Err(refusal) if !opening.is_due() => return Err(refusal),
        admitted => admitted.is_err(),
    };
    let mut conn = app.ground.pg.conn().await?;
    let beginning = conn
        .transaction(async |conn| {
            if let Some(attempt) = &draft.attempt
                && let Some(answer) = attempt.replay(conn).await?
            {
                return Outcome::Ok(Beginning::Before(kept_step(&answer)?));
            }
            let vault = app.vault.open_for(conn, owner).await?;
            let conversation = hold(conn, &vault, &draft.talk).await?;
            write(conn, app, draft, opening, Holding { vault, conversation, is_by_rules }).await
        })
        .await?;
    let Beginning::New(mut fresh) = beginning else { return Ok(beginning) };
    if app.companion.window().is_some() && !fresh.is_by_rules {
        read_back(&mut conn, owner, &mut fresh).await?;
    }
    Ok(Beginning::New(fresh))
}

/// What the transaction holds when the step is written.
struct Holding {
    vault: PersonVault,
    conversation: Conversation,
    is_by_rules: bool,
}

/// Holds the conversation's row; writes it first when it was only announced.
async fn hold(conn: &mut AsyncPgConnection, vault: &PersonVault, talk: &Talk) -> Outcome<Conversation> {
    let Talk { conversation, is_written } = talk;
    let (id, owner) = (ConversationId(conversation.id), UserId(conversation.user_id));
    let locked = if let Some(locked) = conversations::lock(conn, vault, owner, id).await? {
        locked
    } else if *is_written {
        return Err(conversation::NOT_FOUND.into());
    } else {
        conversations::insert_missing(conn, vault, conversation).await?;
        conversations::lock(conn, vault, owner, id).await?.ok_or(conversation::NOT_FOUND)?
    };
    Ok(locked)
}

async fn write(
    conn: &mut AsyncPgConnection,
    app: &App,
    draft: &Draft,
    opening: &Opening,
    held: Holding,
) -> Outcome<Beginning> {
    let Holding { vault, conversation, mut is_by_rules } = held;
    let id = ConversationId(conversation.id);
    let said = match &draft.client_msg_id {
        Some(name) => store::find_said(conn, &vault, id, name).await?,
        None => None,
    };
    if let Some(said) = said {
        return repeat(conn, draft, opening, Holding { vault, conversation, is_by_rules }, said).await;
    }
    if conversation.ended_at.is_some() {
        return Err(conversation::ENDED.into());
    }
    let order = store::next_order(conn, id).await?;
    let course = course(app, draft, opening, &conversation);
    let input_tokens = app.companion.window().map(|_| context::count(&draft.message.user_input));
    let input_tokens = input_tokens.and_then(|tokens| i32::try_from(tokens).ok());
    let reserved = reserve(conn, app, draft, opening, input_tokens, &mut is_by_rules).await?;
    let (step_id, created_at): (StepId, _) = (app.ground.clock.id(), app.ground.clock.now());
    let step = NewStep {
        step_type: &draft.message.step_type,
        provider: if is_by_rules { OFFLINE } else { app.companion.provider() },
        model: app.companion.model().filter(|_| !is_by_rules),
        insight_tag: draft.insight_tag.as_deref(),
        client_msg_id: draft.client_msg_id.as_deref(),
        arc_step: Some(i16::from(course.place.step.number())),
        risk_level: i16::from(opening.heard.level.as_u8()),
        input_tokens,
        reserved_tokens: reserved,
        ..NewStep::streaming(
            step_id.0,
            conversation.id,
            conversation.user_id,
            order,
            &draft.message.user_input,
            created_at,
        )
    };
    if store::insert(conn, &vault, step).await? == Written::Repeated {
        // The conversation's row is held: nobody else can have said it meanwhile.
        return Err(Problem::unexpected("a message was said by nobody"));
    }
    let wish = match app.companion.window() {
        Some(_) if !is_by_rules => prompt::active(conn, &vault, UserId(conversation.user_id)).await?,
        _ => None,
    };
    keep_course(conn, id, &course, opening, wish.as_ref().map(|wish| wish.version)).await?;
    if let Some(attempt) = &draft.attempt {
        attempt.keep(conn, &Answer::new(actix_web::http::StatusCode::OK, &json!({ "step_id": step_id }))?).await?;
    }
    let step = Begun { id: step_id, order: order.unsigned_abs(), attempt: 1, created_at };
    let mut begun = fresh(step, vault, conversation, &course, is_by_rules, draft);
    begun.wish = wish;
    Ok(Beginning::New(begun))
}

fn fresh(
    step: Begun,
    vault: PersonVault,
    conversation: Conversation,
    course: &Judged,
    is_by_rules: bool,
    draft: &Draft,
) -> Box<Fresh> {
    Box::new(Fresh {
        step,
        vault,
        conversation,
        place: course.place,
        risk: course.risk,
        is_by_rules,
        feeling: feeling::read(&draft.message.user_input),
        steps: Vec::new(),
        wish: None,
    })
}

/// Answers a message whose name is known: attaches to its reply, or begins an interrupted one again.
async fn repeat(
    conn: &mut AsyncPgConnection,
    draft: &Draft,
    opening: &Opening,
    held: Holding,
    said: Step,
) -> Outcome<Beginning> {
    let Holding { vault, conversation, is_by_rules } = held;
    if said.user_input != draft.message.user_input {
        return Err(ID_REUSED.into());
    }
    let id = StepId::from_uuid(said.id);
    let status = said.status();
    let is_abandoned = status.is_running() && store::next_order(conn, ConversationId(conversation.id)).await.is_ok();
    let may_try = is_abandoned || matches!(status, StepStatus::Interrupted | StepStatus::Failed);
    if !may_try || conversation.ended_at.is_some() {
        return Ok(Beginning::Again(id));
    }
    let Some(attempt) = store::try_again(conn, &vault, id).await? else { return Ok(Beginning::Again(id)) };
    let step = Begun { id, order: said.step_order.unsigned_abs(), attempt, created_at: said.created_at };
    // The message was judged when it was said first.
    let course = Judged {
        place: place_of(&conversation),
        risk: risk_of(&conversation).current(said.created_at).max(opening.heard),
        risk_state: Value::Null,
    };
    Ok(Beginning::New(fresh(step, vault, conversation, &course, is_by_rules, draft)))
}

fn place_of(conversation: &Conversation) -> Place {
    conversation.arc_state.clone().and_then(|state| serde_json::from_value(state).ok()).unwrap_or_default()
}

fn risk_of(conversation: &Conversation) -> StickyRisk {
    conversation.risk_state.clone().and_then(|state| serde_json::from_value(state).ok()).unwrap_or_default()
}

fn course(app: &App, draft: &Draft, opening: &Opening, conversation: &Conversation) -> Judged {
    let mut sticky = risk_of(conversation);
    let risk = sticky.hear(opening.heard, app.ground.clock.now());
    let turn =
        Turn { step_type: &draft.message.step_type, held: Held::of(&draft.message.user_input), level: risk.level };
    let risk_state = serde_json::to_value(sticky).unwrap_or_default();
    Judged { place: place_of(conversation).after(turn), risk, risk_state }
}

async fn keep_course(
    conn: &mut AsyncPgConnection,
    id: ConversationId,
    course: &Judged,
    opening: &Opening,
    prompt_version: Option<i32>,
) -> Outcome<()> {
    let arc_state = serde_json::to_value(course.place).map_err(Problem::unexpected)?;
    let kept = Course {
        arc_step: i16::from(course.place.step.number()),
        arc_state: Some(&arc_state),
        risk_level: i16::from(opening.heard.level.as_u8()),
        risk_state: Some(&course.risk_state),
        prompt_version,
    };
    conversations::keep_course(conn, id, kept).await
}

/// Takes the reply's tokens from the person's day; returns how many.
async fn reserve(
    conn: &mut AsyncPgConnection,
    app: &App,
    draft: &Draft,
    opening: &Opening,
    input_tokens: Option<i32>,
    is_by_rules: &mut bool,
) -> Outcome<i32> {
    let owner = UserId(draft.talk.conversation.user_id);
    let tokens = match app.companion.window() {
        Some(window) if !*is_by_rules => {
            let beside = i32::try_from(window.reply.saturating_add(PROMPT_RESERVE)).unwrap_or(i32::MAX);
            input_tokens.unwrap_or_default().saturating_add(beside)
        }
        _ => 0,
    };
    let reserved = limit::reserve(conn, owner, app.ground.clock.now(), tokens, app.limits.config()).await?;
    match reserved.or_refuse() {
        Ok(()) => Ok(tokens),
        Err(_refusal) if opening.is_due() => {
            *is_by_rules = true;
            Ok(0)
        }
        Err(refusal) => Err(refusal),
    }
}

/// Reads what a model is shown beside the message.
async fn read_back(conn: &mut AsyncPgConnection, owner: UserId, fresh: &mut Fresh) -> Outcome<()> {
    let after = fresh.conversation.rolling_summary.as_ref().map_or(0, |summary| summary.order);
    let id = ConversationId(fresh.conversation.id);
    let steps = store::list_newest(conn, &fresh.vault, id, after, context::TURNS_READ).await?;
    fresh.steps = steps.into_iter().filter(|step| step.id != fresh.step.id.0).collect();
    // A first try has it already.
    if fresh.step.attempt > 1 {
        fresh.wish = prompt::active(conn, &fresh.vault, owner).await?;
    }
    Ok(())
}

fn kept_step(answer: &Answer) -> Outcome<StepId> {
    let id = answer.body.get("step_id").cloned().unwrap_or_default();
    serde_json::from_value(id).map_err(Problem::unexpected)
}
