//! Keeps a reply: what there is of it while it grows, and the whole when it has ended.

use std::{sync::Arc, time::Duration};

use chassis::problem::{Outcome, Problem};
use diesel_async::AsyncPgConnection;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    job::Facts,
    live::Live,
    progress::{End, Progress},
    written::Written,
};
use crate::{
    app::App,
    context, limit,
    step::{
        kept,
        running::{self, signed},
    },
};

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

/// A text, and the length of each of its pieces.
#[derive(Default)]
struct Text {
    text: String,
    lengths: Vec<u32>,
}

impl Text {
    /// Copies what a reply has after the first `seen` pieces, but for what was let go of.
    fn after(seen: u32, progress: &Progress) -> Self {
        let mut text = Self::default();
        progress.after(seen).into_iter().for_each(|piece| text.push(piece));
        text
    }

    fn push(&mut self, piece: &str) {
        self.text.push_str(piece);
        self.lengths.push(u32::try_from(piece.len()).unwrap_or(u32::MAX));
    }

    fn as_reply(&self) -> running::Reply<'_> {
        running::Reply { text: &self.text, lengths: &self.lengths }
    }
}

/// Returns the whole of a reply, with what was let go of; nothing when its step is not there any more.
async fn whole_of(conn: &mut AsyncPgConnection, live: &Live) -> Outcome<Option<Text>> {
    // In this order: more may be let go of meanwhile, but nothing that is not kept.
    let (gone, rest) = {
        let progress = live.progress.borrow();
        (progress.gone(), Text::after(progress.gone(), &progress))
    };
    if gone == 0 {
        return Ok(Some(rest));
    }
    let kept = kept::find_text(conn, &live.vault, live.step.id, live.step.attempt).await?;
    let Some(kept) = kept.map(Written::from) else { return Ok(None) };
    let gone = usize::try_from(gone).unwrap_or(usize::MAX);
    let mut whole = Text::default();
    kept.after(0).take(gone).for_each(|piece| whole.push(piece));
    if whole.lengths.len() < gone {
        return Err(Problem::unexpected("less is kept of a reply than was let go of"));
    }
    whole.text.push_str(&rest.text);
    whole.lengths.extend(rest.lengths);
    Ok(Some(whole))
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
        let first = live.kept();
        let grown = Text::after(first, &live.progress.borrow());
        match running::Checkpoint::seal(&live.vault, live.step.id, live.step.attempt, first, grown.as_reply()) {
            Ok(checkpoint) => sealed.push(checkpoint),
            // It cannot be kept at its end either; the others can.
            Err(problem) => problem.log(),
        }
    }
    let there = running::checkpoint(conn, &sealed).await?;
    for live in some {
        match there.iter().find(|(id, _pieces)| *id == live.step.id) {
            Some((_id, pieces)) => live.has_kept(*pieces),
            None => live.gone(),
        }
    }
    Ok(())
}

/// Keeps the reply, with patience; a reply that could not be kept is not complete.
pub(super) async fn whole(app: &App, live: &Live, end: End, facts: &mut Facts) -> End {
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

async fn try_to_keep(app: &App, live: &Live, end: End, facts: &mut Facts) -> Outcome<bool> {
    // First of all: while many wait for one there are no copies of what they keep.
    let mut conn = app.ground.pg.conn().await?;
    let id = live.step.id;
    let Some(reply) = whole_of(&mut conn, live).await? else { return Ok(false) };
    if facts.is_for_model && facts.reply_tokens.is_none() {
        facts.reply_tokens = u32::try_from(context::count(&reply.text)).ok();
    }
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
        ..running::Ended::new(reply.as_reply(), end.status(), app.ground.clock.now())
    };
    if !running::finish(&mut conn, &live.vault, (id, live.step.attempt), ended).await? {
        return Ok(false);
    }
    if facts.is_for_model {
        limit::settle(&mut conn, id, facts.cost()).await?;
    }
    Ok(true)
}
