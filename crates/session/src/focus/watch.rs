//! The watchers: two loops in every replica that complete sessions at their due time.
//!
//! One follows the agenda in Redis and sleeps until the next session is due. The other looks into the database for what
//! is overdue, and so completes what the agenda has lost or never had: it needs no Redis, and it keeps the promise of one
//! second when there is none. Neither decides: the statement of `complete` does. When Redis was emptied, the second
//! loop builds the agenda again. A third one delivers the news.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chassis::{
    outbox::{DeliverTogether, Lane, Message},
    problem::Outcome,
};
use chrono::TimeDelta;
use deadpool_redis::redis::pipe;
use domain::contract::{FOCUS_COMPLETED, FocusCompleted};
use tokio::join;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::complete;
use crate::app::App;

/// Shortest sleep before the agenda is looked at again: clocks differ by a little, and a claim that came early is
/// refused by the database.
const SLEEP_MIN: Duration = Duration::from_millis(5);
/// Longest sleep: what other replicas put on the agenda is seen no later.
const SLEEP_MAX: Duration = Duration::from_millis(250);
/// Pause between looks for what is overdue. With the grace and the work it stays below the promised second.
const LOOK_EVERY: Duration = Duration::from_millis(400);
/// How long a session may be over before it counts as overdue: the agenda comes first while there is one.
const GRACE: TimeDelta = TimeDelta::milliseconds(250);
/// Overdue sessions completed in one transaction.
const OVERDUE_AT_ONCE: i64 = 500;
/// Running sessions read at once when the agenda is built again.
const BUILT_AT_ONCE: i64 = 5_000;

/// The news of completed sessions. They come in bursts, and each costs two short commands.
const NEWS: Lane = Lane { name: "outbox-focus", topics: &[FOCUS_COMPLETED], patience: Duration::from_secs(5) };

/// Starts the loops.
pub fn start(app: &App) {
    let lifecycle = &app.ground.lifecycle;
    let due = app.clone();
    lifecycle.spawn_loop("focus_due", move |stop| follow(due.clone(), stop));
    let overdue = app.clone();
    lifecycle.spawn_loop("focus_overdue", move |stop| look(overdue.clone(), stop));
    app.focus.outbox.relay_together(lifecycle, app.ground.pg.clone(), NEWS, Arc::new(News(app.clone())));
}

async fn follow(app: App, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let sleep = match complete_due(&app).await {
            Ok(sleep) => sleep,
            Err(problem) => {
                tracing::warn!(code = problem.code(), "the agenda of focus sessions is not followed for a moment");
                Some(SLEEP_MAX)
            }
        };
        let Some(sleep) = sleep else { continue };
        tokio::select! {
            () = stop.cancelled() => {}
            () = app.focus.agenda.changed() => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

/// Completes what is due by the agenda; returns how long to sleep, or nothing when there is more to do.
///
/// In a burst two transactions run at once: one alone keeps a single core of the database busy, and what comes last in
/// ten thousand waits for all before it.
async fn complete_due(app: &App) -> Outcome<Option<Duration>> {
    let claim = app.focus.agenda.claim().await?;
    let claim = if claim.is_full() {
        let (first, second) = join!(complete_claimed(app, &claim.ids), async {
            let next = app.focus.agenda.claim().await?;
            complete_claimed(app, &next.ids).await?;
            Outcome::Ok(next)
        });
        first?;
        second?
    } else {
        complete_claimed(app, &claim.ids).await?;
        claim
    };
    if claim.is_full() {
        return Ok(None);
    }
    if !claim.ids.is_empty() {
        // The burst is over; while it lasts the loop of the news has its own pace.
        app.focus.outbox.wake();
    }
    Ok(Some(claim.next_in.unwrap_or(SLEEP_MAX).clamp(SLEEP_MIN, SLEEP_MAX)))
}

async fn complete_claimed(app: &App, ids: &[Uuid]) -> Outcome<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut conn = app.ground.pg.conn().await?;
    let completed = complete::named(&mut conn, ids).await?;
    let mut back = Vec::new();
    if completed.len() < ids.len() {
        let others: Vec<Uuid> = ids.iter().copied().filter(|id| !completed.iter().any(|one| one.id == *id)).collect();
        // Claimed early by a clock that is ahead, prolonged in between, or being changed at this moment.
        back = complete::running(&mut conn, &others).await?;
        let refused = others.len().saturating_sub(back.len());
        metrics::counter!("focus_double_claims_total").increment(refused as u64);
    }
    drop(conn);
    app.focus.agenda.settle(ids, &back).await
}

async fn look(app: App, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(problem) = complete_overdue(&app, &stop).await {
            tracing::warn!(code = problem.code(), "nobody looks for overdue focus sessions for a moment");
        }
        if let Err(problem) = build_agenda(&app, &stop).await {
            tracing::debug!(code = problem.code(), "the agenda of focus sessions is not built yet");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn complete_overdue(app: &App, stop: &CancellationToken) -> Outcome<()> {
    let mut conn = app.ground.pg.conn().await?;
    while !stop.is_cancelled() {
        let completed = complete::overdue(&mut conn, GRACE, OVERDUE_AT_ONCE).await?;
        metrics::counter!("focus_overdue_total").increment(completed.len() as u64);
        if completed.len() < usize::try_from(OVERDUE_AT_ONCE).unwrap_or_default() {
            if !completed.is_empty() {
                app.focus.outbox.wake();
            }
            return Ok(());
        }
    }
    Ok(())
}

/// Builds the agenda again when it is gone.
async fn build_agenda(app: &App, stop: &CancellationToken) -> Outcome<()> {
    if app.focus.agenda.is_whole().await? {
        return Ok(());
    }
    let mut last = None;
    while !stop.is_cancelled() {
        let mut conn = app.ground.pg.conn().await?;
        let page = complete::running_after(&mut conn, last, BUILT_AT_ONCE).await?;
        drop(conn);
        last = page.last().map(|(id, due_at)| (*due_at, *id));
        if last.is_none() {
            // What starts meanwhile puts itself on the agenda.
            app.focus.agenda.mark_whole().await?;
            tracing::info!("the agenda of focus sessions was built");
            return Ok(());
        }
        app.focus.agenda.add(&page).await?;
    }
    Ok(())
}

struct News(App);

#[async_trait]
impl DeliverTogether for News {
    async fn deliver(&self, messages: &[Message]) -> Outcome<()> {
        let redis = &self.0.ground.redis;
        let channel = redis.key(FOCUS_COMPLETED);
        let mut pipeline = pipe();
        for message in messages {
            match serde_json::from_value::<FocusCompleted>(message.payload.clone()) {
                Ok(completed) => {
                    self.0.focus.cache.end_in(&mut pipeline, &completed);
                    pipeline.cmd("PUBLISH").arg(&channel).arg(message.payload.to_string()).ignore();
                }
                // Kept, it would come again for ever.
                Err(error) => tracing::error!(id = %message.id, %error, "news of a focus session cannot be read"),
            }
        }
        let mut conn = redis.conn().await?;
        Ok(pipeline.query_async(&mut conn).await?)
    }
}
