//! Uploads that arrive after their person was erased.
//!
//! A URL to upload a file cannot be taken back, and an upload that began in time may end much later than its URL. So an
//! erasure deletes what is there, remembers under which keys something could still arrive, and each replica deletes
//! those objects once more when nothing can. Until then such an object is there and nobody has a URL to read it.

use std::time::Duration;

use chassis::problem::{Outcome, Problem};
use futures_util::{StreamExt, stream};
use tokio::time::{sleep, timeout};

use super::store;
use crate::{app::App, storage::ObjectStorage};

/// Objects of one call or one round.
pub const BATCH: i64 = 100;
/// How long an upload may go on after its URL has ended: 100 MB at 30 kB/s.
pub const PATIENCE: Duration = Duration::from_hours(1);
/// Objects that are deleted at the same time.
const AT_ONCE: usize = 8;
/// Longest for a batch: what is not done by then is left for the next one, and the caller gets its answer in time.
const BATCH_TIMEOUT: Duration = Duration::from_secs(2);
/// How often this replica looks for uploads that can no longer arrive.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Deletes objects, several at a time and as many as there is time for; returns the names of those that are gone.
///
/// # Errors
/// 503 when there were some and none of them could be deleted.
pub async fn delete_objects<N>(storage: &ObjectStorage, objects: Vec<(N, String)>) -> Outcome<Vec<N>> {
    if objects.is_empty() {
        return Ok(Vec::new());
    }
    let (mut gone, mut failed) = (Vec::new(), None);
    let mut deletions = stream::iter(objects)
        .map(async |(name, key)| storage.delete(&key).await.map(|()| name))
        .buffer_unordered(AT_ONCE);
    let all = async {
        while let Some(deleted) = deletions.next().await {
            match deleted {
                Ok(name) => gone.push(name),
                Err(problem) => failed = Some(problem),
            }
        }
    };
    let late = timeout(BATCH_TIMEOUT, all).await.err().map(Problem::late);
    match failed.or(late) {
        Some(problem) if gone.is_empty() => Err(problem),
        Some(problem) => {
            tracing::warn!(code = problem.code(), "some objects are not deleted yet");
            Ok(gone)
        }
        None => Ok(gone),
    }
}

/// Starts the loop that deletes what has arrived late.
pub fn start(app: &App) {
    let app = app.clone();
    app.ground.lifecycle.clone().spawn_loop("late_uploads", move |stop| {
        let app = app.clone();
        async move {
            while !stop.is_cancelled() {
                if let Err(problem) = sweep(&app).await {
                    tracing::warn!(code = problem.code(), "late uploads are not deleted yet");
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = sleep(LOOK_EVERY) => {}
                }
            }
        }
    });
}

/// Deletes what can no longer arrive, at most one batch; returns how many uploads are forgotten. Replicas that do the
/// same at the same time do no harm.
///
/// # Errors
/// Returns a problem when the database or the storage is away.
pub async fn sweep(app: &App) -> Outcome<usize> {
    let due = {
        let mut conn = app.ground.pg.conn().await?;
        store::list_due(&mut conn, app.ground.clock.now(), BATCH).await?
    };
    let objects = due.into_iter().map(|key| (key.clone(), key)).collect();
    let gone = delete_objects(&app.storage, objects).await?;
    if gone.is_empty() {
        return Ok(0);
    }
    let mut conn = app.ground.pg.conn().await?;
    store::forget_uploads(&mut conn, &gone).await
}
