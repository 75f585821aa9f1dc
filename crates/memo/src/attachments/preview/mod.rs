//! Previews: a small picture of an image, the length and loudness of a recording.
//!
//! They are made after a file is ready, one at a time in each process, by whoever comes first; a process that dies leaves
//! its try to the next. The file can be opened all the while, and also when nothing could be made of it.

mod audio;
mod image;
mod source;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chassis::problem::{Outcome, Problem};
use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, SelectableHelper};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use domain::{ids::UserId, memo::attachment::AttachmentKind};
use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};

use super::{
    key_of,
    store::{Attachment, PREVIEW_PROCESSING},
    thumbnail_of, unowned,
};
use crate::{app::App, schema::attachments, storage::THUMBNAIL_TYPE};

/// How often this replica looks for files without being told.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Longest for one preview; nobody else begins with it before that.
const PATIENCE: Duration = Duration::from_mins(2);
/// When it is tried again after the storage was away.
const RETRY: Duration = Duration::from_secs(30);
/// How often it is tried to make one: a file that takes a process down must not do so for ever.
const ATTEMPTS: i16 = 4;
/// Values of a waveform: a bubble on a phone is no wider.
const WAVEFORM_VALUES: usize = 64;

/// What was made of a file.
enum Preview {
    Image { width: u32, height: u32, thumbnail: Bytes },
    Audio { duration_ms: u64, waveform: Option<Vec<u8>> },
}

/// Starts the loop.
pub fn start(app: &App) {
    let app = app.clone();
    app.ground.lifecycle.clone().spawn_loop("previews", move |stop| {
        let app = app.clone();
        async move {
            while !stop.is_cancelled() {
                match stop.run_until_cancelled(make_next(&app)).await {
                    Some(Ok(true)) => continue,
                    Some(Ok(false)) | None => {}
                    Some(Err(problem)) => tracing::warn!(code = problem.code(), "a preview is not made yet"),
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = app.previews.notified() => {}
                    () = sleep(LOOK_EVERY) => {}
                }
            }
        }
    });
}

/// Makes the preview that is due first; returns whether there was one.
///
/// # Errors
/// Returns a problem when the database or the storage is away; it is tried again later.
pub async fn make_next(app: &App) -> Outcome<bool> {
    let now = app.ground.clock.now();
    let claimed = {
        let mut conn = app.ground.pg.conn().await?;
        claim(&mut conn, now).await?
    };
    let Some((file, attempts)) = claimed else { return Ok(false) };
    // The last try counted for the process it took down.
    let made = if attempts > ATTEMPTS { Ok(None) } else { make(app, &file).await };
    let made = match made {
        Ok(made) => made,
        Err(problem) => {
            release(app, &file, now).await?;
            return Err(problem);
        }
    };
    let result = if made.is_some() { "ready" } else { "failed" };
    metrics::counter!("attachment_previews_total", "kind" => file.kind.clone(), "result" => result).increment(1);
    keep(app, &file, made).await?;
    Ok(true)
}

/// Makes a preview; nothing when the file is not what it seems, or is too much.
async fn make(app: &App, file: &Attachment) -> Outcome<Option<Preview>> {
    let key = key_of(file);
    let mut is_broken: Arc<AtomicBool> = Arc::default();
    let made = match AttachmentKind::parse(&file.kind) {
        AttachmentKind::Image => {
            let size = usize::try_from(file.size).map_err(Problem::unexpected)?;
            let bytes = app.storage.read(&key, 0, size).await?;
            spawn_blocking(move || image::shrink(&bytes))
        }
        AttachmentKind::Audio => {
            let source = source::ObjectSource::new(app.storage.clone(), key, file.size);
            let content_type = file.content_type.clone();
            is_broken = source.is_broken();
            spawn_blocking(move || audio::listen(source, &content_type))
        }
        AttachmentKind::File => return Ok(None),
    };
    let made = timeout(PATIENCE, made).await;
    if AtomicBool::load(&is_broken, Ordering::Relaxed) {
        return Err(Problem::unavailable("the object storage went away in the middle of a recording"));
    }
    match made {
        Ok(Ok(preview)) => Ok(preview),
        // A decoder that panics or does not come to an end does so each time.
        Ok(Err(_)) | Err(_) => Ok(None),
    }
}

async fn claim(conn: &mut AsyncPgConnection, now: DateTime<Utc>) -> Outcome<Option<(Attachment, i16)>> {
    let due = attachments::table
        .filter(attachments::preview.eq(PREVIEW_PROCESSING))
        .filter(attachments::preview_due_at.le(now))
        .order(attachments::preview_due_at)
        .limit(1)
        .select(attachments::id);
    conn.transaction(async |conn| {
        let id: Option<uuid::Uuid> = due.for_no_key_update().skip_locked().first(conn).await.optional()?;
        let Some(id) = id else { return Ok(None) };
        let change = (
            attachments::preview_attempts.eq(attachments::preview_attempts + 1),
            attachments::preview_due_at.eq(now + PATIENCE + Duration::from_secs(30)),
        );
        let row = diesel::update(attachments::table.find(id)).set(change);
        let row = row.returning((Attachment::as_returning(), attachments::preview_attempts));
        Outcome::Ok(Some(row.get_result(conn).await?))
    })
    .await
}

/// Gives a try back that the storage has spoilt.
async fn release(app: &App, file: &Attachment, now: DateTime<Utc>) -> Outcome<()> {
    let change = (
        attachments::preview_attempts.eq(attachments::preview_attempts - 1),
        attachments::preview_due_at.eq(now + RETRY),
    );
    let mut conn = app.ground.pg.conn().await?;
    diesel::update(attachments::table.find(file.id)).set(change).execute(&mut conn).await?;
    Ok(())
}

/// Keeps what was made of a file, if it is still there.
async fn keep(app: &App, file: &Attachment, made: Option<Preview>) -> Outcome<()> {
    let still = attachments::table.find(file.id).filter(attachments::preview.eq(PREVIEW_PROCESSING));
    let over = attachments::preview_due_at.eq(None::<DateTime<Utc>>);
    match made {
        None => {
            let mut conn = app.ground.pg.conn().await?;
            diesel::update(still).set((attachments::preview.eq("failed"), over)).execute(&mut conn).await?;
        }
        Some(Preview::Audio { duration_ms, waveform }) => {
            let mut conn = app.ground.pg.conn().await?;
            let change = (
                attachments::preview.eq("ready"),
                over,
                attachments::duration_ms.eq(i64::try_from(duration_ms).unwrap_or(i64::MAX)),
                attachments::waveform.eq(waveform),
            );
            diesel::update(still).set(change).execute(&mut conn).await?;
        }
        Some(Preview::Image { width, height, thumbnail }) => {
            let key = thumbnail_of(file);
            unowned::stage(app, UserId(file.user_id), &key).await?;
            app.storage.put(&key, THUMBNAIL_TYPE, thumbnail).await?;
            let change = (
                attachments::preview.eq("ready"),
                over,
                attachments::width.eq(i32::try_from(width).unwrap_or(i32::MAX)),
                attachments::height.eq(i32::try_from(height).unwrap_or(i32::MAX)),
                attachments::has_thumbnail.eq(true),
            );
            let mut conn = app.ground.pg.conn().await?;
            conn.transaction(async |conn| {
                // Whoever deleted the file meanwhile has left the picture to be deleted, too.
                if diesel::update(still).set(change).execute(conn).await? == 1 && !unowned::adopt(conn, &key).await? {
                    return Err(Problem::late("the picture took longer than its place was kept"));
                }
                Outcome::Ok(())
            })
            .await?;
        }
    }
    Ok(())
}
