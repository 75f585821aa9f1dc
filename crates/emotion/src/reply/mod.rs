//! Replies: a job each.
//!
//! The step is written, then the companion is asked, its pieces are gathered where any number of viewers can read them
//! at their own pace, and the whole is kept. None of this waits for a viewer: who leaves may come back and read on from any
//! piece, at any replica, while the reply grows and afterwards. Only when nobody has looked for a while the reply is given
//! up, because it costs money. While it runs its step's lease is renewed and what there is of it kept; a process that dies
//! leaves a step that any other one marks as interrupted.

mod ahead;
mod begin;
mod config;
mod job;
mod keep;
mod known;
mod live;
mod mirror;
mod notices;
mod opening;
mod progress;
mod recollection;
mod relay;
mod written;

use std::{sync::Arc, time::Duration};

use chassis::{
    idempotency::Attempt,
    lifecycle::Lifecycle,
    pg::Pg,
    problem::{Outcome, Problem},
};
use domain::{
    companion::{Message, StepStatus},
    fault::{Fault, Kind},
    ids::{ConversationId, StepId, UserId},
    locale::Locale,
};
use tokio::sync::oneshot;

pub use config::ReplyConfig;
pub use live::{Live, Replies, Room};
pub use opening::Opening;
pub use progress::{About, Begun, End, Event, Reply};
use recollection::Recollection;

use crate::{
    app::App,
    conversation::Talk,
    step::{kept, running},
};

/// There is no such step, or it is somebody else's.
pub const STEP_NOT_FOUND: Fault =
    Fault::new(Kind::NotFound, "step_not_found", "감정 단계를 찾을 수 없습니다.", "There is no such step.");
/// The name of a message was given to another one.
pub const ID_REUSED: Fault = Fault::new(
    Kind::Conflict,
    "id_reused",
    "같은 client_msg_id로 다른 메시지를 보냈습니다.",
    "This client_msg_id was used for another message.",
);
/// Nobody has seen as many pieces of the reply as is said.
pub const BAD_SEQ: Fault =
    Fault::new(Kind::Invalid, "bad_seq", "답보다 뒤의 번호입니다.", "The reply does not have that many pieces.");
/// The message has more tokens than a model takes.
pub const INPUT_TOO_LONG: Fault = Fault::new(
    Kind::Invalid,
    "input_too_long",
    "메시지가 너무 길어요. 나누어서 보내 주세요.",
    "The message is too long. Please send it in parts.",
);

/// Longest until a step must be written: a caller does not wait for a database that is away.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(8);
/// How often steps whose process is gone are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(3);

/// Something said, before it is a step. It has no `Debug`, so that no log line can show it.
pub struct Draft {
    /// In which conversation; it is written now if it was only announced.
    pub talk: Talk,
    /// What was said.
    pub message: Message,
    /// How it was judged, and what opens its reply.
    pub opening: Arc<Opening>,
    /// What the client tagged it with.
    pub insight_tag: Option<String>,
    /// The client's own name of the message.
    pub client_msg_id: Option<String>,
    /// Most tokens of the reply that the client asks for.
    pub max_tokens: Option<u32>,
    /// 0-2.
    pub temperature: Option<f32>,
    /// The use of an idempotency key that this is.
    pub attempt: Option<Attempt>,
}

impl Draft {
    /// Describes a message of which nothing else is said.
    pub const fn new(talk: Talk, message: Message, opening: Arc<Opening>) -> Self {
        Self {
            talk,
            message,
            opening,
            insight_tag: None,
            client_msg_id: None,
            max_tokens: None,
            temperature: None,
            attempt: None,
        }
    }
}

/// What became of a draft.
pub enum Started {
    /// A reply is being written.
    Now(Reply),
    /// The same was said before, under the client's own name of the message: this is its reply.
    Again(Reply),
    /// The same was said before, under the same idempotency key.
    Before(StepId),
}

/// Writes the step and starts its reply.
///
/// Both happen in a task of their own: a caller that goes away in between leaves no step without a reply.
///
/// # Errors
/// [`BUSY`](crate::step::BUSY) while a reply of the conversation is being written,
/// [`ENDED`](crate::conversation::ENDED) after its end, [`ID_REUSED`], [`INPUT_TOO_LONG`], and what the limits refuse.
pub async fn start(app: &App, draft: Draft) -> Outcome<Started> {
    let (begun, answer) = oneshot::channel();
    app.ground.lifecycle.spawn("reply", job::run(app.clone(), draft, begun));
    match tokio::time::timeout(BEGIN_TIMEOUT, answer).await {
        Ok(Ok(started)) => started,
        Ok(Err(ended)) => Err(Problem::unexpected(ended)),
        Err(elapsed) => Err(Problem::late(elapsed)),
    }
}

/// Looks at a conversation that somebody has come to talk in, so that their first words find it remembered; returns at
/// once.
pub fn prepare(app: &App, talk: &Talk) {
    if app.companion.window().is_none() {
        return;
    }
    let (conversation, app, talk) = (ConversationId(talk.conversation.id), app.clone(), talk.clone());
    app.ground.lifecycle.clone().spawn("recollection", async move {
        match Recollection::look(&app, talk).await {
            Ok(Some(recollection)) => app.replies.remember_first(conversation, recollection),
            Ok(None) => {}
            // What is not remembered is asked for again.
            Err(problem) => tracing::debug!(code = problem.code(), "a conversation was not looked at"),
        }
    });
}

/// Forgets what is remembered of a person whose text was erased, or of one conversation, here and at the other replicas.
pub async fn forget(app: &App, owner: UserId, conversation: Option<ConversationId>) {
    app.replies.forget_erased(owner, conversation);
    let notice = notices::Notice::Erased { owner, conversation };
    if let Err(problem) = notices::send(&app.ground.redis, notice).await {
        tracing::debug!(code = problem.code(), "other replicas were not told of an erasure");
    }
}

/// Looks at the reply of a step again, from the piece after the first `seen` ones, wherever it is or was written.
///
/// # Errors
/// [`STEP_NOT_FOUND`], and [`BAD_SEQ`] when the reply has fewer pieces.
pub async fn resume(app: &App, owner: UserId, id: StepId, seen: u32) -> Outcome<Reply> {
    let reply = mirror::find(app, owner, id, seen).await?;
    // How many pieces a reply has that is written elsewhere is not known yet.
    match reply.last() {
        Some(last) if seen > last => Err(Problem::from(BAD_SEQ).with("last_seq", last)),
        _ => Ok(reply),
    }
}

/// Returns the newest step of a conversation: what `resume` and `stop` mean that name none.
///
/// # Errors
/// [`STEP_NOT_FOUND`] when nothing was said yet.
pub async fn newest(app: &App, owner: UserId, conversation: ConversationId) -> Outcome<StepId> {
    if let Some(live) = app.replies.of(conversation)
        && live.owner == owner
    {
        return Ok(live.step().id);
    }
    let mut conn = app.ground.pg.conn().await?;
    kept::newest_of(&mut conn, owner, conversation).await?.ok_or_else(|| STEP_NOT_FOUND.into())
}

/// Stops a reply, wherever it is written; returns the status of its step, and whether there was something to stop.
///
/// # Errors
/// [`STEP_NOT_FOUND`], and a problem when the replica that writes it cannot be told.
pub async fn stop(app: &App, owner: UserId, id: StepId) -> Outcome<(bool, StepStatus)> {
    if let Some(live) = app.replies.find(id)
        && !live.is_mirror
    {
        if live.owner != owner {
            return Err(STEP_NOT_FOUND.into());
        }
        // It is told to everybody that it has ended a moment before it is gone from here.
        let ended = live.progress.borrow().ended();
        if let Some(end) = ended {
            return Ok((false, end.status()));
        }
        live.stop.cancel();
        return Ok((true, StepStatus::Stopped));
    }
    let status = {
        let mut conn = app.ground.pg.conn().await?;
        kept::status_of(&mut conn, owner, id).await?.ok_or(STEP_NOT_FOUND)?
    };
    if !status.is_running() {
        return Ok((false, status));
    }
    notices::send(&app.ground.redis, notices::Notice::Stop { step: id }).await?;
    Ok((true, StepStatus::Stopped))
}

/// Loads the rules that judge messages and replies: a service that is ready has them, and nobody's first message waits.
pub fn load_rules() {
    let text = "마루";
    _ = (domain::safety::assess(text), domain::feeling::read(text), domain::arc::Held::of(text));
    _ = domain::safety::OutputWatch::new(domain::safety::Level::Calm, Locale::Ko).push(text);
}

/// Starts the loops that replies lean on.
pub fn keep_loops(app: &App) {
    sweep(&app.ground.lifecycle, app.ground.pg.clone());
    keep::checkpoints(app);
    relay::tell(&app.ground.lifecycle, app.ground.redis.clone(), app.replies.clone());
    notices::hear(&app.ground.lifecycle, app.clone());
}

/// Starts the loop that marks steps whose process is gone.
fn sweep(lifecycle: &Lifecycle, pg: Pg) {
    lifecycle.spawn_loop("abandoned_replies", move |stop| {
        let pg = pg.clone();
        async move {
            let mut failing = false;
            while !stop.is_cancelled() {
                match sweep_once(&pg).await {
                    Ok(0) => failing = false,
                    Ok(steps) => {
                        failing = false;
                        tracing::warn!(steps, "replies were left unfinished by a process that is gone");
                    }
                    // Once, not every time: the database is away for as long as it is away.
                    Err(problem) if !failing => {
                        failing = true;
                        tracing::warn!(code = problem.code(), "cannot look for abandoned replies");
                    }
                    Err(_still_away) => {}
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(SWEEP_EVERY) => {}
                }
            }
        }
    });
}

async fn sweep_once(pg: &Pg) -> Outcome<i64> {
    let mut conn = pg.conn().await?;
    running::interrupt_abandoned(&mut conn).await
}
