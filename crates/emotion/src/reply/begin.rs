//! The beginning of a reply: the step, written under its conversation's row lock, and what its prompt is made of.
//!
//! Whoever waits for the first word waits for this, so it goes to the database twice: once for everything that is to be
//! known, once with everything that is to be written.

use std::time::Duration;

use chassis::{
    idempotency::Answer,
    problem::{Outcome, Problem},
};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    arc::{Held, Place, Turn},
    companion::StepStatus,
    ids::{ConversationId, Id, StepId, UserId},
    safety::{Assessment, StickyRisk, disclosure_is_due},
};
use futures_util::{join, try_join};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{
    Draft, ID_REUSED,
    ahead::{Asking, Question, Scene, Size},
    known::Known,
    progress::Begun,
};
use crate::{
    app::App,
    companion::OFFLINE,
    context,
    conversation::{
        self, Conversation,
        store::{self as conversations, Course},
    },
    limit::{self, PROMPT_RESERVE},
    prompt::ActivePrompt,
    step::{Step, running, store::NewStep},
    vault::PersonVault,
};

/// Longest a message waits for the database: who has said something would rather wait than say it again. How many may wait
/// is limited by the places for replies.
const PATIENCE: Duration = Duration::from_secs(6);

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
    /// Tokens of the message, by our count; nothing without a model.
    pub(super) input_tokens: Option<i32>,
    /// Whether prepared sentences answer, whoever could.
    pub(super) is_by_rules: bool,
    /// Whether it is said again who answers.
    pub(super) discloses: bool,
    /// How much a model is shown.
    pub(super) size: Size,
    /// The steps before, the newest first; only for a model.
    pub(super) steps: Vec<Step>,
    /// How the person would like to be answered; only for a model.
    pub(super) wish: Option<ActivePrompt>,
}

/// What a message is found to hold, before its conversation is held.
#[derive(Clone, Copy)]
struct Heard {
    /// By our count; nothing without a model.
    tokens: Option<i32>,
    held: Held,
}

/// Where the rules say that the conversation goes with a message.
pub(super) struct Judged {
    pub(super) place: Place,
    pub(super) risk: Assessment,
    risk_state: Value,
}

/// The word on whether a message is one too many; it never comes for one that may have been said before.
type Admission = oneshot::Receiver<Outcome<()>>;

impl Fresh {
    fn scene(&self) -> Scene<'_> {
        Scene {
            conversation: &self.conversation,
            place: self.place,
            level: self.risk.level,
            order: self.step.order,
            turns: self.steps.iter().rev().map(context::turn).collect(),
            wish: self.wish.as_ref().map(|wish| wish.text.as_str()),
            is_by_rules: self.is_by_rules,
        }
    }
}

/// Writes the step, and the conversation if this is its first message. Asks for the reply at once if what will be asked is
/// known well enough, and else when only the disk is still waited for.
pub(super) async fn begin(app: &App, draft: &Draft, asking: Asking) -> Outcome<Beginning> {
    let text = &draft.message.user_input;
    let tokens = app.companion.window().and_then(|_| i32::try_from(context::count(text)).ok());
    let heard = Heard { tokens, held: Held::of(text) };
    let Asking { guess, question: ask } = asking;
    let (tell, admission) = oneshot::channel();
    let written = async {
        let mut conn = app.ground.pg.conn_within(PATIENCE).await?;
        conn.transaction(async |conn| {
            let mut beginning = say(conn, app, draft, heard, admission).await?;
            if let Beginning::New(fresh) = &mut beginning {
                match Question::new(app, draft, &fresh.scene()) {
                    Ok((question, size)) => {
                        fresh.size = size;
                        drop(ask.send(question));
                    }
                    Err(problem) => problem.log(),
                }
            }
            Outcome::Ok(beginning)
        })
        .await
    };
    let (beginning, ()) = join!(written, admit(app, draft, heard.held, tell, guess));
    beginning
}

/// Counts a message in Redis while the database is asked, and asks for its reply from memory if it may come.
async fn admit(
    app: &App,
    draft: &Draft,
    held: Held,
    tell: oneshot::Sender<Outcome<()>>,
    guess: oneshot::Sender<Question>,
) {
    // One that was said before is not counted again, and only the database knows.
    if draft.attempt.is_some() {
        return;
    }
    let Conversation { id, user_id, .. } = draft.talk.conversation;
    let admitted = app.limits.admit_message(UserId(user_id)).await;
    if admitted.is_ok()
        && let Some(recollection) = app.replies.recall(ConversationId(id))
        && let Some(question) = recollection.question(app, draft, held)
    {
        drop(guess.send(question));
    }
    drop(tell.send(admitted));
}

async fn say(
    conn: &mut AsyncPgConnection,
    app: &App,
    draft: &Draft,
    heard: Heard,
    admission: Admission,
) -> Outcome<Beginning> {
    if let Some(attempt) = &draft.attempt
        && let Some(answer) = attempt.replay(conn).await?
    {
        return Ok(Beginning::Before(kept_step(&answer)?));
    }
    let owner = UserId(draft.talk.conversation.user_id);
    let admitted = async {
        match admission.await {
            Ok(admitted) => admitted,
            Err(_never_comes) => app.limits.admit_message(owner).await,
        }
    };
    let (admitted, known) = join!(admitted, Known::read(conn, app, draft));
    // Whoever is in danger is not refused: the card goes out, and rules answer.
    let is_by_rules = match admitted {
        Err(refusal) if !draft.opening.is_due() => return Err(refusal),
        admitted => admitted.is_err(),
    };
    let mut known = known?;
    if let Some(said) = known.said.take() {
        return repeat(conn, draft, known, said, is_by_rules).await;
    }
    if known.conversation.ended_at.is_some() {
        return Err(conversation::ENDED.into());
    }
    if let Some(last) = known.last
        && last.or_busy()?
    {
        running::interrupt(conn, last.id).await?;
    }
    write(conn, app, draft, known, heard, is_by_rules).await
}

/// Writes the step and everything that comes with it.
async fn write(
    conn: &mut AsyncPgConnection,
    app: &App,
    draft: &Draft,
    known: Known,
    heard: Heard,
    mut is_by_rules: bool,
) -> Outcome<Beginning> {
    let opening = &draft.opening;
    let (id, owner) = (ConversationId(known.conversation.id), UserId(known.conversation.user_id));
    let course = course(app, draft, heard.held, &known.conversation);
    let reserved_tokens = if is_by_rules { 0 } else { to_reserve(app, heard.tokens) };
    let (step_id, now): (StepId, _) = (app.ground.clock.id(), app.ground.clock.now());
    let step = NewStep {
        step_type: &draft.message.step_type,
        provider: if is_by_rules { OFFLINE } else { app.companion.provider() },
        model: app.companion.model().filter(|_| !is_by_rules),
        insight_tag: draft.insight_tag.as_deref(),
        client_msg_id: draft.client_msg_id.as_deref(),
        arc_step: Some(i16::from(course.place.step.number())),
        risk_level: i16::from(opening.heard.level.as_u8()),
        input_tokens: heard.tokens,
        reserved_tokens,
        // Its place is decided by the statement that writes it.
        ..NewStep::streaming(step_id.0, id.0, owner.0, 0, &draft.message.user_input, now)
    };
    let wish = known.wish.filter(|_| !is_by_rules);
    let started_at = known.conversation.started_at;
    let discloses = disclosure_is_due(started_at, known.last.map_or(started_at, |last| last.created_at), now);
    let arc_state = serde_json::to_value(course.place).map_err(Problem::unexpected)?;
    let kept = Course {
        arc_step: i16::from(course.place.step.number()),
        arc_state: Some(&arc_state),
        risk_level: i16::from(opening.heard.level.as_u8()),
        risk_state: Some(&course.risk_state),
        prompt_version: wish.as_ref().map(|wish| wish.version),
    };
    let (reserved, order, ()) = {
        let conn: &AsyncPgConnection = conn;
        try_join!(
            limit::reserve(conn, owner, now, reserved_tokens, app.limits.config()),
            running::insert(conn, &known.vault, step),
            conversations::keep_course(conn, id, kept)
        )?
    };
    // The conversation's row is held: nobody else can have said it meanwhile.
    let order = order.ok_or_else(|| Problem::unexpected("a message was said by nobody"))?;
    match reserved.or_refuse() {
        Err(refusal) if !opening.is_due() => return Err(refusal),
        Err(_refusal) if !is_by_rules => {
            is_by_rules = true;
            running::answer_by_rules(conn, step_id, OFFLINE).await?;
        }
        _ => {}
    }
    if let Some(attempt) = &draft.attempt {
        attempt.keep(conn, &Answer::new(actix_web::http::StatusCode::OK, &json!({ "step_id": step_id }))?).await?;
    }
    Ok(Beginning::New(Box::new(Fresh {
        step: Begun { id: step_id, order: order.unsigned_abs(), attempt: 1, created_at: now },
        vault: known.vault,
        conversation: Conversation {
            arc_state: Some(arc_state),
            risk_state: Some(course.risk_state),
            ..known.conversation
        },
        place: course.place,
        risk: course.risk,
        input_tokens: heard.tokens,
        is_by_rules,
        discloses,
        size: Size::default(),
        steps: known.steps,
        wish,
    })))
}

/// Answers a message whose name is known: attaches to its reply, or begins an interrupted one again.
async fn repeat(
    conn: &mut AsyncPgConnection,
    draft: &Draft,
    known: Known,
    said: Step,
    is_by_rules: bool,
) -> Outcome<Beginning> {
    let Known { vault, conversation, last, wish, steps, .. } = known;
    if said.user_input != draft.message.user_input {
        return Err(ID_REUSED.into());
    }
    let id = StepId::from_uuid(said.id);
    let status = said.status();
    let is_abandoned = status.is_running() && last.is_some_and(|last| last.or_busy().is_ok());
    let may_try = is_abandoned || matches!(status, StepStatus::Interrupted | StepStatus::Failed);
    if !may_try || conversation.ended_at.is_some() {
        return Ok(Beginning::Again(id));
    }
    if is_abandoned {
        running::interrupt(conn, id).await?;
    }
    let Some(attempt) = running::try_again(conn, &vault, id).await? else { return Ok(Beginning::Again(id)) };
    let risk = risk_of(&conversation).current(said.created_at).max(draft.opening.heard);
    Ok(Beginning::New(Box::new(Fresh {
        step: Begun { id, order: said.step_order.unsigned_abs(), attempt, created_at: said.created_at },
        // The message was judged when it was said first.
        place: place_of(&conversation),
        risk,
        input_tokens: said.input_tokens,
        is_by_rules,
        discloses: false,
        size: Size::default(),
        steps: steps.into_iter().filter(|step| step.id != id.0).collect(),
        wish,
        vault,
        conversation,
    })))
}

fn place_of(conversation: &Conversation) -> Place {
    conversation.arc_state.clone().and_then(|state| serde_json::from_value(state).ok()).unwrap_or_default()
}

fn risk_of(conversation: &Conversation) -> StickyRisk {
    conversation.risk_state.clone().and_then(|state| serde_json::from_value(state).ok()).unwrap_or_default()
}

/// Judges where a conversation goes with a message.
pub(super) fn course(app: &App, draft: &Draft, held: Held, conversation: &Conversation) -> Judged {
    let mut sticky = risk_of(conversation);
    let risk = sticky.hear(draft.opening.heard, app.ground.clock.now());
    let turn = Turn { step_type: &draft.message.step_type, held, level: risk.level };
    let risk_state = serde_json::to_value(sticky).unwrap_or_default();
    Judged { place: place_of(conversation).after(turn), risk, risk_state }
}

/// Returns how many tokens are taken from the person's day until the reply's real cost is known.
pub(super) fn to_reserve(app: &App, input_tokens: Option<i32>) -> i32 {
    let Some(window) = app.companion.window() else { return 0 };
    let beside = i32::try_from(i64::from(window.reply).saturating_add(PROMPT_RESERVE)).unwrap_or(i32::MAX);
    input_tokens.unwrap_or_default().saturating_add(beside)
}

fn kept_step(answer: &Answer) -> Outcome<StepId> {
    let id = answer.body.get("step_id").cloned().unwrap_or_default();
    serde_json::from_value(id).map_err(Problem::unexpected)
}
