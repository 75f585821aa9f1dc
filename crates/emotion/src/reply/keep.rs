//! Keeps a reply: what there is of it while it grows, and the whole when it has ended.

use std::{sync::Arc, time::Duration};

use chassis::problem::Outcome;
use diesel_async::AsyncPgConnection;
use tokio::time::{Instant, sleep, sleep_until};

use super::{job::Facts, live::Live, progress::End};
use crate::{app::App, limit, step::running};

/// How often the text so far is kept and the lease renewed; a third of the lease.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);
/// How often it is looked at whether that is due: the end of the service waits for this.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Longest that a checkpoint waits for the database: all replies wait together, so that their leases last.
const CHECKPOINT_PATIENCE: Duration = Duration::from_secs(3);
/// Replies of one statement: each is copied, sealed and encoded for it, so more would cost memory and save little.
const TOGETHER: usize = 32;
/// How long a finished reply waits for a database that is away, and how often it tries.
const KEEP_PATIENCE: Duration = Duration::from_secs(20);
const KEEP_EVERY: Duration = Duration::from_millis(500);

/// Returns the text so far and where its pieces end.
fn so_far(live: &Live) -> (String, Vec<u32>) {
    let progress = live.progress.borrow();
    (progress.written().text(), progress.written().ends())
}

/// Starts the loop that keeps what there is of the replies that are written here, some of them in one statement: a
/// thousand replies cost a handful. A database that is away for a moment costs a checkpoint, not a reply.
pub(super) fn checkpoints(app: &App) {
    let lifecycle = app.ground.lifecycle.clone();
    let app = app.clone();
    lifecycle.spawn_loop("reply_checkpoints", move |stop| {
        let app = app.clone();
        async move {
            let mut kept_at = Instant::now();
            // Replies go on for a while when the service ends, and so do their leases.
            while !stop.is_cancelled() || !app.replies.own().is_empty() {
                sleep(LOOK_EVERY).await;
                if kept_at.elapsed() < CHECKPOINT_EVERY {
                    continue;
                }
                kept_at = Instant::now();
                let own = app.replies.own();
                if let Err(problem) = checkpoint(&app, &own).await {
                    tracing::warn!(code = problem.code(), replies = own.len(), "checkpoints were missed");
                }
            }
        }
    });
}

async fn checkpoint(app: &App, own: &[Arc<Live>]) -> Outcome<()> {
    if own.is_empty() {
        return Ok(());
    }
    let mut conn = app.ground.pg.conn_within(CHECKPOINT_PATIENCE).await?;
    for some in own.chunks(TOGETHER) {
        checkpoint_some(&mut conn, some).await?;
    }
    Ok(())
}

/// Keeps some replies. One whose step is gone is interrupted: its conversation was erased, and nobody waits for the rest.
async fn checkpoint_some(conn: &mut AsyncPgConnection, some: &[Arc<Live>]) -> Outcome<()> {
    let mut sealed = Vec::with_capacity(some.len());
    for live in some {
        let (text, ends) = so_far(live);
        let reply = running::Progress { text: &text, ends: &ends };
        match running::Checkpoint::seal(&live.vault, live.step.id, live.step.attempt, reply) {
            Ok(checkpoint) => sealed.push(checkpoint),
            // It cannot be kept at its end either; the others can.
            Err(problem) => problem.log(),
        }
    }
    let there = running::checkpoint(conn, &sealed).await?;
    some.iter().filter(|live| !there.contains(&live.step.id)).for_each(|live| live.gone());
    Ok(())
}

/// Keeps the reply, with patience; a reply that could not be kept is not complete.
pub(super) async fn whole(app: &App, live: &Live, end: End, facts: &Facts) -> End {
    let give_up = Instant::now() + KEEP_PATIENCE;
    loop {
        match try_to_keep(app, live, end, facts).await {
            Ok(true) => return end,
            Ok(false) => return End::Interrupted,
            Err(problem) if Instant::now() > give_up => {
                problem.log();
                return End::Interrupted;
            }
            Err(problem) => tracing::warn!(code = problem.code(), step_id = %live.step.id, "a reply waits to be kept"),
        }
        sleep_until((Instant::now() + KEEP_EVERY).min(give_up + KEEP_EVERY)).await;
    }
}

async fn try_to_keep(app: &App, live: &Live, end: End, facts: &Facts) -> Outcome<bool> {
    // First of all: while many wait for one there are no copies of what they keep.
    let mut conn = app.ground.pg.conn().await?;
    let id = live.step.id;
    let (text, ends) = so_far(live);
    let reply = running::Progress { text: &text, ends: &ends };
    let signed = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let finish = facts.finish.as_ref();
    let about = Arc::clone(live.progress.borrow().known());
    let ended = running::Ended {
        provider: facts.answerer.as_ref().map(|by| by.provider),
        model: facts.answerer.as_ref().and_then(|by| by.model.as_deref()),
        finish_reason: finish.map(|finish| finish.reason.as_str()),
        prompt_tokens: finish.and_then(|finish| finish.prompt_tokens).map(signed),
        completion_tokens: finish.and_then(|finish| finish.completion_tokens).map(signed),
        reply_tokens: facts.reply_tokens.map(signed),
        emotion: about.emotion.as_ref(),
        ttft_ms: facts.ttft_ms.map(signed),
        ..running::Ended::new(reply, end.status(), app.ground.clock.now())
    };
    if !running::finish(&mut conn, &live.vault, (id, live.step.attempt), ended).await? {
        return Ok(false);
    }
    if facts.is_reserved {
        limit::settle(&mut conn, id, facts.cost()).await?;
    }
    Ok(true)
}
