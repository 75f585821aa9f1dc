//! Keeps a reply: what there is of it while it grows, and the whole when it has ended.

use std::time::Duration;

use chassis::problem::Outcome;
use tokio::time::{Instant, sleep, sleep_until};

use super::{job::Facts, live::Live, progress::End};
use crate::{app::App, limit, step::running};

/// How often the text so far is kept and the lease renewed; a third of the lease.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);
/// How long a finished reply waits for a database that is away, and how often it tries.
const KEEP_PATIENCE: Duration = Duration::from_secs(20);
const KEEP_EVERY: Duration = Duration::from_millis(500);

/// Returns the text so far and where its pieces end.
fn so_far(live: &Live) -> (String, Vec<u32>) {
    let progress = live.progress.borrow();
    (progress.text().to_owned(), progress.ends().to_vec())
}

/// Keeps what there is, again and again, until the step is gone: its conversation was erased, and nobody waits for the
/// rest. A database that is away for a moment costs a checkpoint, not the reply.
pub(super) async fn until_erased(app: &App, live: &Live) {
    let id = live.step.id;
    loop {
        sleep(CHECKPOINT_EVERY).await;
        let (text, ends) = so_far(live);
        let reply = running::Progress { text: &text, ends: &ends };
        let kept = async { running::checkpoint(&mut *app.ground.pg.conn().await?, &live.vault, id, reply).await };
        match kept.await {
            Ok(true) => {}
            Ok(false) => return,
            Err(problem) => tracing::warn!(code = problem.code(), step_id = %id, "a checkpoint was missed"),
        }
    }
}

/// Keeps the reply, with patience; a reply that could not be kept is not complete.
pub(super) async fn whole(app: &App, live: &Live, end: End, facts: &Facts) -> End {
    let (text, ends) = so_far(live);
    let give_up = Instant::now() + KEEP_PATIENCE;
    loop {
        match try_to_keep(app, live, end, facts, running::Progress { text: &text, ends: &ends }).await {
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

async fn try_to_keep(app: &App, live: &Live, end: End, facts: &Facts, reply: running::Progress<'_>) -> Outcome<bool> {
    let id = live.step.id;
    let signed = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let finish = facts.finish.as_ref();
    let ended = running::Ended {
        provider: facts.answerer.as_ref().map(|by| by.provider),
        model: facts.answerer.as_ref().and_then(|by| by.model.as_deref()),
        finish_reason: finish.map(|finish| finish.reason.as_str()),
        prompt_tokens: finish.and_then(|finish| finish.prompt_tokens).map(signed),
        completion_tokens: finish.and_then(|finish| finish.completion_tokens).map(signed),
        reply_tokens: facts.reply_tokens.map(signed),
        ttft_ms: facts.ttft_ms.map(signed),
        ..running::Ended::new(reply, end.status(), app.ground.clock.now())
    };
    let mut conn = app.ground.pg.conn().await?;
    if !running::finish(&mut conn, &live.vault, id, ended).await? {
        return Ok(false);
    }
    let emotion = live.progress.borrow().known().emotion.clone();
    if let Some(emotion) = emotion {
        running::keep_emotion(&mut conn, &live.vault, id, &emotion).await?;
    }
    if facts.is_reserved {
        limit::settle(&mut conn, id, facts.cost()).await?;
    }
    Ok(true)
}
