//! The rows of a person, wherever they are.

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, QueryDsl, SelectableHelper,
    dsl::{exists, not, select},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{ids::UserId, person::ERASE_ROWS};
use uuid::Uuid;

use crate::{
    attachments::store::Attachment,
    memos::{revisions::Revision, store::Memo},
    schema::{attachments, memo_revisions, memos},
};

/// Memos that are read at once; one may have 400 kB and some metadata.
const MEMOS: i64 = 50;
/// Files that are read at once.
const FILES: i64 = 500;

/// Lists a person's memos, newest first, after the last of the page before; each with the time since when it is in the
/// trash.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list_memos(
    conn: &mut AsyncPgConnection,
    owner: UserId,
    last: Option<Uuid>,
) -> Outcome<Vec<(Memo, Option<DateTime<Utc>>)>> {
    let mut query = memos::table
        .filter(memos::user_id.eq(owner.0))
        .order(memos::id.desc())
        .limit(MEMOS)
        .select((Memo::as_select(), memos::deleted_at))
        .into_boxed();
    if let Some(last) = last {
        query = query.filter(memos::id.lt(last));
    }
    Ok(query.load(conn).await?)
}

/// Lists what a person's memos were, each with its memo, after the last of the page before.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list_revisions(
    conn: &mut AsyncPgConnection,
    owner: UserId,
    last: Option<(Uuid, i64)>,
) -> Outcome<Vec<(Uuid, Revision)>> {
    let mut query = memo_revisions::table
        .inner_join(memos::table)
        .filter(memos::user_id.eq(owner.0))
        .order((memo_revisions::memo_id.desc(), memo_revisions::version.desc()))
        .limit(MEMOS)
        .select((memo_revisions::memo_id, Revision::as_select()))
        .into_boxed();
    if let Some((memo, version)) = last {
        let older = memo_revisions::memo_id.eq(memo).and(memo_revisions::version.lt(version));
        query = query.filter(memo_revisions::memo_id.lt(memo).or(older));
    }
    Ok(query.load(conn).await?)
}

/// Lists a person's files, newest first, after the last of the page before; each with the time at which its upload was
/// permitted.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list_files(
    conn: &mut AsyncPgConnection,
    owner: UserId,
    last: Option<Uuid>,
) -> Outcome<Vec<(Attachment, DateTime<Utc>)>> {
    let mut query = attachments::table
        .filter(attachments::user_id.eq(owner.0))
        .order(attachments::id.desc())
        .limit(FILES)
        .select((Attachment::as_select(), attachments::created_at))
        .into_boxed();
    if let Some(last) = last {
        query = query.filter(attachments::id.lt(last));
    }
    Ok(query.load(conn).await?)
}

/// Lists some of a person's files.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn some_files(conn: &mut AsyncPgConnection, owner: UserId, limit: i64) -> Outcome<Vec<Attachment>> {
    let theirs = attachments::table.filter(attachments::user_id.eq(owner.0)).order(attachments::id);
    Ok(theirs.limit(limit).select(Attachment::as_select()).load(conn).await?)
}

/// Deletes files; their objects are written down as nobody's. Returns how many.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn delete_files(conn: &mut AsyncPgConnection, files: &[Uuid]) -> Outcome<usize> {
    // Memos before files, as whoever begins an upload locks them.
    let memo_ids = attachments::table.filter(attachments::id.eq_any(files)).select(attachments::memo_id);
    let theirs = memos::table.filter(memos::id.eq_any(memo_ids)).order(memos::id).select(memos::id);
    let _locked: Vec<Uuid> = theirs.for_no_key_update().load(conn).await?;
    Ok(diesel::delete(attachments::table.filter(attachments::id.eq_any(files))).execute(conn).await?)
}

/// Deletes some of a person's memos that have no files; returns how many.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn delete_some_memos(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<usize> {
    let files = || attachments::table.filter(attachments::memo_id.eq(memos::id));
    let some: Vec<Uuid> = memos::table
        .filter(memos::user_id.eq(owner.0))
        .filter(not(exists(files())))
        .order(memos::id)
        .limit(ERASE_ROWS)
        .select(memos::id)
        .for_update()
        .load(conn)
        .await?;
    // Looked at again under the lock: a file may have come while it was waited for.
    let bare = memos::table.filter(memos::id.eq_any(some)).filter(not(exists(files())));
    Ok(diesel::delete(bare).execute(conn).await?)
}

/// Returns whether a person has a memo; a file is always one's.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn has_any(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<bool> {
    Ok(select(exists(memos::table.filter(memos::user_id.eq(owner.0)))).get_result(conn).await?)
}
