//! Brings the object storage and the rows together again, whatever ended in the middle.
//!
//! Objects that no file owns are deleted when they are due; reservations that nobody used and files that were rejected
//! are deleted with what they left. Slowly and always, two more looks catch what should not happen: objects of which
//! nothing is written down, and files whose object is not there, which are hidden until it is.

pub mod store;

use std::{collections::HashSet, time::Duration};

use chassis::problem::{Outcome, Problem};
use chrono::TimeDelta;
use futures_util::{StreamExt, stream};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::{
    key_of,
    unowned::{self, Dying, UPLOAD_PATIENCE},
};
use crate::{app::App, storage::ObjectStorage};

/// Objects of one call or one round.
pub const BATCH: i64 = 100;
/// Objects that are deleted at the same time.
const AT_ONCE: usize = 8;
/// Longest for a batch: what is not done by then is left for the next one, and the caller gets its answer in time.
const BATCH_TIMEOUT: Duration = Duration::from_secs(2);
/// How often this replica looks for what is due, without being told.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often it takes the slow looks.
const INSPECT_EVERY: Duration = Duration::from_mins(1);
/// How long the uploader of a rejected file is told what was wrong with it.
const REJECTED_KEPT: TimeDelta = TimeDelta::days(1);
/// How often each file's object is looked for.
const SEEN_KEPT: TimeDelta = TimeDelta::days(1);
/// Files whose object is looked for in one round: 70,000 a day and replica.
const LOOKED_FOR: i64 = 50;
/// Objects of one page of the bucket.
const PAGE: usize = 500;
/// Age from which an object of which nothing is written down is a stray.
const STRAY_AGE: TimeDelta = TimeDelta::days(2);
/// Under what all objects are.
const PREFIXES: [&str; 3] = ["memo/", "thumbnail/", "upload/"];

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

/// Starts the loops.
pub fn start(app: &App) {
    let swept = app.clone();
    app.ground.lifecycle.clone().spawn_loop("unowned_objects", move |stop| {
        let app = swept.clone();
        async move {
            while !stop.is_cancelled() {
                match sweep(&app).await {
                    // There may be more.
                    Ok(gone) if gone > 0 => continue,
                    Ok(_) => {}
                    Err(problem) => tracing::warn!(code = problem.code(), "objects are not deleted yet"),
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = app.unowned.notified() => {}
                    () = sleep(LOOK_EVERY) => {}
                }
            }
        }
    });
    let inspected = app.clone();
    app.ground.lifecycle.clone().spawn_loop("stray_objects", move |stop| {
        let app = inspected.clone();
        async move {
            let mut place = Place::default();
            while !stop.is_cancelled() {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = sleep(INSPECT_EVERY) => {}
                }
                if let Err(problem) = inspect(&app, &mut place).await {
                    tracing::warn!(code = problem.code(), "the object storage is not looked through");
                }
            }
        }
    });
}

/// Ends what has ended and deletes what is due, at most one batch; returns how many objects are gone. Replicas that do
/// the same at the same time do no harm.
///
/// # Errors
/// Returns a problem when the database or the storage is away.
pub async fn sweep(app: &App) -> Outcome<usize> {
    let now = app.ground.clock.now();
    let dying = {
        let mut conn = app.ground.pg.conn().await?;
        let ended = store::delete_ended(&mut conn, now - UPLOAD_PATIENCE, now - REJECTED_KEPT, BATCH).await?;
        metrics::counter!("attachment_reservations_ended_total").increment(u64::try_from(ended).unwrap_or_default());
        unowned::begin_deletions(&mut conn, now, BATCH).await?
    };
    let mut objects = Vec::new();
    for Dying { object_key, multipart_id } in dying {
        let aborted = match multipart_id {
            Some(id) => app.storage.abort_parts(&object_key, &id).await,
            None => Ok(()),
        };
        match aborted {
            Ok(()) => objects.push((object_key.clone(), object_key)),
            // One of them must not keep the others.
            Err(problem) => tracing::warn!(code = problem.code(), "an upload in parts is not ended yet"),
        }
    }
    let gone = delete_objects(&app.storage, objects).await?;
    if gone.is_empty() {
        return Ok(0);
    }
    let mut conn = app.ground.pg.conn().await?;
    let forgotten = unowned::forget(&mut conn, &gone).await?;
    metrics::counter!("unowned_objects_deleted_total").increment(u64::try_from(forgotten).unwrap_or_default());
    Ok(forgotten)
}

/// Where the slow look through the bucket is.
#[derive(Debug, Default)]
struct Place {
    prefix: usize,
    last: String,
}

async fn inspect(app: &App, place: &mut Place) -> Outcome<()> {
    look_for_files(app, LOOKED_FOR).await?;
    let prefix = PREFIXES.get(place.prefix % PREFIXES.len()).copied().unwrap_or_default();
    match sweep_strays(app, prefix, &place.last, STRAY_AGE).await? {
        Some(last) => place.last = last,
        None => *place = Place { prefix: place.prefix + 1, last: String::new() },
    }
    Ok(())
}

/// Looks for the objects of some files that are ready, hides the files whose object is not there and shows again those
/// whose object is; returns how many are hidden now that were not.
///
/// Nothing is deleted: the wrong bucket must not cost anybody a file.
///
/// # Errors
/// Returns a problem when the database or the storage is away.
pub async fn look_for_files(app: &App, limit: i64) -> Outcome<usize> {
    let now = app.ground.clock.now();
    let unseen = {
        let mut conn = app.ground.pg.conn().await?;
        store::list_unseen(&mut conn, now - SEEN_KEPT, limit).await?
    };
    let mut missing = 0;
    for file in unseen {
        let is_there = app.storage.find(&key_of(&file)).await?.is_some();
        let mut conn = app.ground.pg.conn().await?;
        if store::saw(&mut conn, file.id, is_there, now).await? {
            missing += 1;
            tracing::error!(attachment_id = %file.id, "the object of a file is not there");
        }
    }
    metrics::counter!("attachments_missing_total").increment(u64::try_from(missing).unwrap_or_default());
    Ok(missing)
}

/// Deletes strays on a page of the bucket behind `last`: objects at least so old of which nothing is written down.
/// Returns where the page ended, unless it was the last one.
///
/// # Errors
/// Returns a problem when the database or the storage is away.
pub async fn sweep_strays(app: &App, prefix: &str, last: &str, age: TimeDelta) -> Outcome<Option<String>> {
    let page = app.storage.list(prefix, last, PAGE).await?;
    let end = (page.len() == PAGE).then(|| page.last().map(|object| object.key.clone())).flatten();
    let old: Vec<String> = page.into_iter().filter(|object| object.age >= age).map(|object| object.key).collect();
    let ids: Vec<Uuid> = old.iter().filter_map(|key| id_of(key)).collect();
    let (owned, written) = {
        let mut conn = app.ground.pg.conn().await?;
        store::known_of(&mut conn, &old, &ids).await?
    };
    let (owned, written): (HashSet<Uuid>, HashSet<String>) =
        (owned.into_iter().collect(), written.into_iter().collect());
    let strays = old.into_iter().filter(|key| {
        // What has no name of ours is not ours to delete.
        id_of(key).is_some_and(|id| !owned.contains(&id)) && !written.contains(key)
    });
    let gone = delete_objects(&app.storage, strays.map(|key| ((), key)).collect()).await?;
    if !gone.is_empty() {
        tracing::error!(count = gone.len(), "objects were found of which nothing was written down");
        metrics::counter!("stray_objects_deleted_total").increment(u64::try_from(gone.len()).unwrap_or_default());
    }
    Ok(end)
}

fn id_of(key: &str) -> Option<Uuid> {
    key.rsplit('/').next().and_then(|id| id.parse().ok())
}
