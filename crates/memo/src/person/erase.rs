//! `DELETE /internal/users/{id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{idempotency, principal::AuthPeer, problem::Outcome};
use chrono::{DateTime, Utc};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    contract::UserErasure,
    ids::{AttachmentId, UserId},
    memo::attachment::object_key,
    person::ERASE_ROWS,
    principal::Service,
};
use uuid::Uuid;

use super::{
    late_upload::{self, BATCH},
    store::{self, LateUpload},
};
use crate::app::App;

/// Erases some of what is kept about a person, and says whether that was all.
///
/// Each call sees whatever was committed before it, so nothing that was there before the call that says it is finished
/// is left. An upload that was permitted before and arrives afterwards is not waited for; see [`late_upload`].
pub async fn erase(app: Data<App>, _auth: AuthPeer, id: Path<UserId>) -> Outcome<HttpResponse> {
    let person = *id;
    let files = erase_files(&app, person).await?;
    let mut conn = app.ground.pg.conn().await?;
    let erasure = conn.transaction(async |conn| forget(conn, person, files).await).await?;
    Ok(HttpResponse::Ok().json(erasure))
}

/// Deletes the objects of some of a person's files and then the rows of those whose object is gone; returns how many.
async fn erase_files(app: &App, person: UserId) -> Outcome<usize> {
    let some = {
        let mut conn = app.ground.pg.conn().await?;
        store::some_files(&mut conn, person, BATCH).await?
    };
    let objects = some.into_iter().map(|file| (file, object_key(person, AttachmentId(file)))).collect();
    // Without a connection in hand: the storage may take its time.
    let gone: Vec<Uuid> = late_upload::delete_objects(&app.storage, objects).await?;
    if gone.is_empty() {
        return Ok(0);
    }
    let now = app.ground.clock.now();
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        let deleted = store::delete_files(conn, &gone).await?;
        let late = still_awaited(person, &deleted, now);
        store::expect_uploads(conn, &late).await?;
        Outcome::Ok(deleted.len())
    })
    .await
}

/// Picks the files that somebody may still upload, whether or not they have been uploaded before.
fn still_awaited(person: UserId, files: &[(Uuid, DateTime<Utc>)], now: DateTime<Utc>) -> Vec<LateUpload> {
    let awaited = files.iter().map(|(file, url_ends_at)| LateUpload {
        object_key: object_key(person, AttachmentId(*file)),
        due_at: *url_ends_at + late_upload::PATIENCE,
    });
    awaited.filter(|upload| upload.due_at > now).collect()
}

async fn forget(conn: &mut AsyncPgConnection, person: UserId, files: usize) -> Outcome<UserErasure> {
    let memos = store::delete_some_memos(conn, person).await?;
    let keys = idempotency::erase(conn, person, ERASE_ROWS).await?;
    let is_left = store::has_any(conn, person).await? || idempotency::has_any(conn, person).await?;
    let erased = [("memos", memos), ("attachments", files), ("idempotency_keys", keys)];
    Ok(UserErasure::new(Service::Memo, !is_left, &erased))
}
