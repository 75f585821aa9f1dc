//! `DELETE /internal/users/{id}`.

use std::collections::HashSet;

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{idempotency, principal::AuthPeer, problem::Outcome};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{contract::UserErasure, ids::UserId, person::ERASE_ROWS, principal::Service};
use uuid::Uuid;

use super::store;
use crate::{
    app::App,
    attachments::{
        key_of,
        store::State,
        sweep::{self, BATCH},
        thumbnail_of, unowned, upload_of,
    },
};

/// Erases some of what is kept about a person, and says whether that was all.
///
/// Each call sees whatever was committed before it, so nothing that was there before the call that says it is finished
/// is left. An upload that was permitted before and arrives afterwards is not waited for; see [`unowned`].
pub async fn erase(app: Data<App>, _auth: AuthPeer, id: Path<UserId>) -> Outcome<HttpResponse> {
    let person = *id;
    let files = erase_files(&app, person).await?;
    let mut conn = app.ground.pg.conn().await?;
    let erasure = conn.transaction(async |conn| forget(conn, person, files).await).await?;
    Ok(HttpResponse::Ok().json(erasure))
}

/// Deletes the objects of some of a person's files and then the rows of those whose objects are gone; returns how many.
async fn erase_files(app: &App, person: UserId) -> Outcome<usize> {
    let some = {
        let mut conn = app.ground.pg.conn().await?;
        store::some_files(&mut conn, person, BATCH).await?
    };
    let mut keys: Vec<(Uuid, String)> = Vec::new();
    for file in &some {
        let lies_at = if file.state()? == State::Ready { key_of(file) } else { upload_of(file) };
        let thumbnail = file.has_thumbnail.then(|| thumbnail_of(file));
        keys.extend([Some(lies_at), thumbnail].into_iter().flatten().map(|key| (file.id, key)));
    }
    // Without a connection in hand: the storage may take its time.
    let named = keys.iter().map(|(file, key)| ((*file, key.clone()), key.clone())).collect();
    let gone: HashSet<(Uuid, String)> = sweep::delete_objects(&app.storage, named).await?.into_iter().collect();
    let is_whole = |file: &Uuid| keys.iter().filter(|(of, _)| of == file).all(|named| gone.contains(named));
    let files: Vec<Uuid> = some.iter().map(|file| file.id).filter(is_whole).collect();
    if files.is_empty() {
        return Ok(0);
    }
    let now = app.ground.clock.now();
    let gone: Vec<String> = gone.into_iter().map(|(_, key)| key).collect();
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        let deleted = store::delete_files(conn, &files).await?;
        unowned::forget_due(conn, &gone, now).await?;
        Outcome::Ok(deleted)
    })
    .await
}

async fn forget(conn: &mut AsyncPgConnection, person: UserId, files: usize) -> Outcome<UserErasure> {
    let memos = store::delete_some_memos(conn, person).await?;
    let keys = idempotency::erase(conn, person, ERASE_ROWS).await?;
    let is_left = store::has_any(conn, person).await? || idempotency::has_any(conn, person).await?;
    let erased = [("memos", memos), ("attachments", files), ("idempotency_keys", keys)];
    Ok(UserErasure::new(Service::Memo, !is_left, &erased))
}
