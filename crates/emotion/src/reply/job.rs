//! The job that writes one reply, from the step's row to the kept text.

use std::time::Duration;

use chassis::{
    idempotency::Answer,
    problem::{Outcome, Problem},
};
use diesel_async::AsyncConnection;
use domain::{
    companion::StepStatus,
    ids::{ConversationId, StepId},
};
use futures_util::StreamExt;
use serde_json::json;
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    Begun, Draft, Started,
    progress::{End, Progress, Reply},
};
use crate::{
    app::App,
    companion::{Pieces, Prompt},
    conversation::{self, Talk, store as conversations},
    step::store::{self, NewStep},
};

/// Most bytes of a reply; far above anything a companion is asked for.
const REPLY_MAX: usize = 64 * 1024;
/// Longest a reply may take.
const REPLY_TIMEOUT: Duration = Duration::from_mins(2);
/// How often the text so far is kept and the lease renewed; a third of the lease.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);
/// How long a reply may go on when the service ends: within the time that tasks are waited for.
const DRAIN_GRACE: Duration = Duration::from_secs(10);
/// How long a finished reply waits for a database that is away, and how often it tries.
const KEEP_PATIENCE: Duration = Duration::from_secs(20);
const KEEP_EVERY: Duration = Duration::from_millis(500);

/// Writes the step, tells `begun`, and writes the reply.
pub(super) async fn run(app: App, draft: Draft, begun: oneshot::Sender<Outcome<Started>>) {
    let step = match begin(&app, &draft).await {
        Ok(Beginning::New(step)) => step,
        Ok(Beginning::Before(id)) => return drop(begun.send(Ok(Started::Before(id)))),
        Err(problem) => return drop(begun.send(Err(problem))),
    };
    let started = Instant::now();
    let (progress, watching) = watch::channel(Progress::default());
    // Whoever asked may be gone; the reply is written all the same.
    drop(begun.send(Ok(Started::Now(Reply::new(step, watching)))));
    let pieces = app.companion.reply(prompt(draft, step.order));
    let end = tokio::select! {
        end = gather(pieces, &progress) => end,
        () = until_erased(&app, step.id, &progress) => End::Interrupted,
        () = out_of_time(&app) => End::Interrupted,
    };
    let text = progress.borrow().text().to_owned();
    let end = keep(&app, step.id, &text, end).await;
    progress.send_modify(|progress| progress.close(end));
    let name = match end {
        End::Complete => "complete",
        End::Interrupted => "interrupted",
    };
    metrics::counter!("emotion_replies_total", "end" => name).increment(1);
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(step_id = %step.id, bytes = text.len(), took_ms, end = name, "reply ended");
}

enum Beginning {
    New(Begun),
    Before(StepId),
}

/// Writes the step under its conversation's row lock, and the conversation if this is its first message.
async fn begin(app: &App, draft: &Draft) -> Outcome<Beginning> {
    let Draft { talk: Talk { conversation, is_written }, message, insight_tag, attempt, .. } = draft;
    let (id, created_at): (StepId, _) = (app.ground.clock.id(), app.ground.clock.now());
    let conversation_id = ConversationId(conversation.id);
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        if let Some(attempt) = attempt
            && let Some(answer) = attempt.replay(conn).await?
        {
            return Outcome::Ok(Beginning::Before(kept_step(&answer)?));
        }
        let locked = if let Some(locked) = conversations::lock(conn, conversation_id).await? {
            locked
        } else if *is_written {
            return Err(conversation::NOT_FOUND.into());
        } else {
            conversations::insert_missing(conn, conversation).await?;
            conversations::lock(conn, conversation_id).await?.ok_or(conversation::NOT_FOUND)?
        };
        if locked.ended_at.is_some() {
            return Err(conversation::ENDED.into());
        }
        let order = store::next_order(conn, conversation_id).await?;
        let step = NewStep {
            id: id.0,
            session_id: conversation.id,
            step_order: order,
            step_type: &message.step_type,
            user_input: &message.user_input,
            gpt_response: "",
            status: StepStatus::Streaming.name(),
            provider: app.companion.provider(),
            insight_tag: insight_tag.as_deref(),
            created_at,
        };
        store::insert(conn, step).await?;
        if let Some(attempt) = attempt {
            attempt.keep(conn, &Answer::new(actix_web::http::StatusCode::OK, &json!({ "step_id": id }))?).await?;
        }
        Ok(Beginning::New(Begun { id, order: order.unsigned_abs(), created_at }))
    })
    .await
}

fn kept_step(answer: &Answer) -> Outcome<StepId> {
    let id = answer.body.get("step_id").cloned().unwrap_or_default();
    serde_json::from_value(id).map_err(Problem::unexpected)
}

fn prompt(draft: Draft, order: u32) -> Prompt {
    let (_, seed) = draft.talk.conversation.id.as_u64_pair();
    Prompt {
        user_input: draft.message.user_input,
        system_prompt: draft.message.system_prompt,
        locale: draft.locale,
        seed,
        order,
    }
}

/// Gathers the pieces until there are no more.
async fn gather(mut pieces: Pieces, progress: &watch::Sender<Progress>) -> End {
    let mut bytes = 0;
    while let Some(piece) = pieces.next().await {
        match piece {
            Ok(piece) => {
                bytes += piece.len();
                if bytes > REPLY_MAX {
                    tracing::warn!("the companion does not stop talking");
                    return End::Interrupted;
                }
                progress.send_modify(|progress| progress.push(&piece));
            }
            Err(problem) => {
                problem.log();
                return End::Interrupted;
            }
        }
    }
    End::Complete
}

/// Keeps what there is, again and again, until the step is gone: its conversation was erased, and nobody waits for the
/// rest. A database that is away for a moment costs a checkpoint, not the reply.
async fn until_erased(app: &App, id: StepId, progress: &watch::Sender<Progress>) {
    loop {
        sleep(CHECKPOINT_EVERY).await;
        let text = progress.borrow().text().to_owned();
        let kept = async { store::checkpoint(&mut *app.ground.pg.conn().await?, id, &text).await };
        match kept.await {
            Ok(true) => {}
            Ok(false) => return,
            Err(problem) => tracing::warn!(code = problem.code(), step_id = %id, "a checkpoint was missed"),
        }
    }
}

/// Ends when the reply has taken too long, or goes on for too long while the service ends.
async fn out_of_time(app: &App) {
    let stopping = app.ground.lifecycle.stopping();
    tokio::select! {
        () = sleep(REPLY_TIMEOUT) => tracing::warn!("a reply took too long"),
        () = async { stopping.cancelled().await; sleep(DRAIN_GRACE).await } => {}
    }
}

/// Keeps the reply, with patience; a reply that could not be kept is not complete.
async fn keep(app: &App, id: StepId, text: &str, end: End) -> End {
    let status = match end {
        End::Complete => StepStatus::Complete,
        End::Interrupted => StepStatus::Interrupted,
    };
    let give_up = Instant::now() + KEEP_PATIENCE;
    loop {
        let now = app.ground.clock.now();
        let kept = async { store::finish(&mut *app.ground.pg.conn().await?, id, text, status, now).await };
        match kept.await {
            Ok(true) => return end,
            Ok(false) => return End::Interrupted,
            Err(problem) if Instant::now() > give_up => {
                problem.log();
                return End::Interrupted;
            }
            Err(problem) => tracing::warn!(code = problem.code(), step_id = %id, "a reply waits to be kept"),
        }
        sleep_until((Instant::now() + KEEP_EVERY).min(give_up + KEEP_EVERY)).await;
    }
}
