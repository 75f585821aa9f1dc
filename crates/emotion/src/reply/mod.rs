//! Replies: a job each.
//!
//! The step is written, then the companion is asked, its pieces are gathered where any number of viewers can read them
//! at their own pace, and the whole is kept. None of this waits for a viewer: who leaves finds the reply among the
//! steps. While it runs the job renews the step's lease and keeps what there is; a process that dies leaves a step that
//! any other one marks as interrupted.

mod job;
mod progress;

use std::time::Duration;

use chassis::{
    idempotency::Attempt,
    lifecycle::Lifecycle,
    pg::Pg,
    problem::{Outcome, Problem},
};
use chrono::{DateTime, Utc};
use domain::{companion::Message, ids::StepId, locale::Locale};
use tokio::sync::oneshot;

pub use progress::{End, Event, Reply};

use crate::{app::App, conversation::Talk, step::store};

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
    /// What the client tagged it with.
    pub insight_tag: Option<String>,
    /// The language of the request.
    pub locale: Locale,
    /// The use of an idempotency key that this is.
    pub attempt: Option<Attempt>,
}

/// What became of a draft.
pub enum Started {
    /// A reply is being written.
    Now(Reply),
    /// The same was said before, under the same idempotency key.
    Before(StepId),
}

/// A step that was just written.
#[derive(Clone, Copy, Debug)]
struct Begun {
    id: StepId,
    order: u32,
    created_at: DateTime<Utc>,
}

/// Writes the step and starts its reply.
///
/// Both happen in a task of their own: a caller that goes away in between leaves no step without a reply.
///
/// # Errors
/// [`BUSY`](crate::step::BUSY) while a reply of the conversation is being written,
/// [`ENDED`](crate::conversation::ENDED) after its end.
pub async fn start(app: &App, draft: Draft) -> Outcome<Started> {
    let (begun, answer) = oneshot::channel();
    app.ground.lifecycle.spawn("reply", job::run(app.clone(), draft, begun));
    match tokio::time::timeout(BEGIN_TIMEOUT, answer).await {
        Ok(Ok(started)) => started,
        Ok(Err(ended)) => Err(Problem::unexpected(ended)),
        Err(elapsed) => Err(Problem::late(elapsed)),
    }
}

/// Starts the loop that marks steps whose process is gone.
pub fn sweep(lifecycle: &Lifecycle, pg: Pg) {
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

async fn sweep_once(pg: &Pg) -> Outcome<usize> {
    let mut conn = pg.conn().await?;
    store::interrupt_abandoned(&mut conn).await
}
