//! The rows of a person, wherever they are, and of uploads that may still arrive.

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, Insertable, QueryDsl, SelectableHelper,
    dsl::{exists, not, select},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{ids::UserId, person::ERASE_ROWS};
use uuid::Uuid;

use crate::{
    attachments::store::Attachment,
    memos::store::Memo,
    schema::{attachments, late_uploads, memos},
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
pub async fn some_files(conn: &mut AsyncPgConnection, owner: UserId, limit: i64) -> Outcome<Vec<Uuid>> {
    let theirs = attachments::table.filter(attachments::user_id.eq(owner.0)).order(attachments::id);
    Ok(theirs.limit(limit).select(attachments::id).load(conn).await?)
}

/// Deletes files and returns each with the end of the last URL to upload it.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn delete_files(conn: &mut AsyncPgConnection, files: &[Uuid]) -> Outcome<Vec<(Uuid, DateTime<Utc>)>> {
    // Memos before files, as whoever begins an upload locks them.
    let memo_ids = attachments::table.filter(attachments::id.eq_any(files)).select(attachments::memo_id);
    let theirs = memos::table.filter(memos::id.eq_any(memo_ids)).order(memos::id).select(memos::id);
    let _locked: Vec<Uuid> = theirs.for_no_key_update().load(conn).await?;
    let deleted = diesel::delete(attachments::table.filter(attachments::id.eq_any(files)))
        .returning((attachments::id, attachments::upload_expires_at))
        .get_results(conn)
        .await;
    Ok(deleted?)
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

/// An upload that may still arrive.
#[derive(Debug, Insertable)]
#[diesel(table_name = late_uploads)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct LateUpload {
    pub object_key: String,
    pub due_at: DateTime<Utc>,
}

/// Remembers uploads that may still arrive.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn expect_uploads(conn: &mut AsyncPgConnection, uploads: &[LateUpload]) -> Outcome<()> {
    diesel::insert_into(late_uploads::table).values(uploads).on_conflict_do_nothing().execute(conn).await?;
    Ok(())
}

/// Lists the objects of uploads that can no longer arrive at `now`, the earliest first.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list_due(conn: &mut AsyncPgConnection, now: DateTime<Utc>, limit: i64) -> Outcome<Vec<String>> {
    let due = late_uploads::table.filter(late_uploads::due_at.le(now)).order(late_uploads::due_at).limit(limit);
    Ok(due.select(late_uploads::object_key).load(conn).await?)
}

/// Forgets uploads.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn forget_uploads(conn: &mut AsyncPgConnection, keys: &[String]) -> Outcome<usize> {
    Ok(diesel::delete(late_uploads::table.filter(late_uploads::object_key.eq_any(keys))).execute(conn).await?)
}
