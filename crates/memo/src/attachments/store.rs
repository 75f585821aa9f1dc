//! The rows of files.

use chassis::problem::{Outcome, Problem};
use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable,
    SelectableHelper, dsl::count_star,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{AttachmentId, MemoId, UserId},
    memo::attachment::{AttachmentKind, Declared, Mismatch, has_preview},
};
use uuid::Uuid;

use super::{ATTACHMENT_NOT_FOUND, QUOTA_EXCEEDED};
use crate::schema::{attachments, memos, storage_usage};

pub(in crate::attachments) const INITIATED: &str = "initiated";
pub(in crate::attachments) const READY: &str = "ready";
pub(in crate::attachments) const REJECTED: &str = "rejected";
/// What is shown of a file before it is opened is being made.
pub(super) const PREVIEW_PROCESSING: &str = "processing";

/// How far a file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// An upload was permitted.
    Initiated,
    /// It is there and as declared.
    Ready,
    /// What was uploaded was not what was declared.
    Rejected(Mismatch),
}

/// A file.
// No `Debug`, here and below: people name their files, and no log line may show how.
#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = attachments, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Attachment {
    pub id: Uuid,
    pub memo_id: Uuid,
    pub user_id: Uuid,
    pub kind: String,
    pub filename: String,
    pub content_type: String,
    pub size: i64,
    pub sha256: Option<Vec<u8>>,
    pub state: String,
    pub reject_reason: Option<String>,
    pub upload_expires_at: DateTime<Utc>,
    pub object_id: Option<Uuid>,
    pub missing_since: Option<DateTime<Utc>>,
    pub preview: Option<String>,
    pub width: Option<i32>,
    pub height: Option<i32>,
    pub has_thumbnail: bool,
    pub duration_ms: Option<i64>,
    pub waveform: Option<Vec<u8>>,
}

impl Attachment {
    /// Returns how far it has come.
    ///
    /// # Errors
    /// Returns an unexpected problem for a state this version does not know.
    pub fn state(&self) -> Outcome<State> {
        let mismatch = self.reject_reason.as_deref().and_then(Mismatch::parse);
        match (self.state.as_str(), mismatch) {
            (INITIATED, None) => Ok(State::Initiated),
            (READY, None) => Ok(State::Ready),
            (REJECTED, Some(mismatch)) => Ok(State::Rejected(mismatch)),
            (unknown, _) => Err(Problem::unexpected(format!("an attachment is {unknown}"))),
        }
    }

    /// Returns what its uploader said about it.
    pub fn declared(&self) -> Declared {
        Declared { size: self.size, content_type: self.content_type.clone(), sha256: self.sha256.clone() }
    }
}

/// A file whose upload is permitted.
#[derive(Insertable)]
#[diesel(table_name = attachments, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct NewAttachment {
    pub id: Uuid,
    pub memo_id: Uuid,
    pub user_id: Uuid,
    pub kind: &'static str,
    pub filename: String,
    pub content_type: String,
    pub size: i64,
    pub sha256: Option<Vec<u8>>,
    pub upload_expires_at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
}

/// Writes a file whose upload is permitted.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert(conn: &mut AsyncPgConnection, new: &NewAttachment) -> Outcome<Attachment> {
    let row = diesel::insert_into(attachments::table).values(new);
    Ok(row.returning(Attachment::as_returning()).get_result(conn).await?)
}

/// Returns a file of a memo of `owner`.
///
/// # Errors
/// [`ATTACHMENT_NOT_FOUND`] when it is not there, its memo is in the trash, or somebody else's.
pub async fn get(conn: &mut AsyncPgConnection, owner: UserId, memo: MemoId, id: AttachmentId) -> Outcome<Attachment> {
    let found = attachments::table
        .inner_join(memos::table)
        .filter(attachments::id.eq(id.0))
        .filter(memos::id.eq(memo.0))
        .filter(memos::user_id.eq(owner.0))
        .filter(memos::deleted_at.is_null())
        .select(Attachment::as_select())
        .first(conn)
        .await;
    Ok(found.optional()?.ok_or(ATTACHMENT_NOT_FOUND)?)
}

/// Lists the files that are ready, of several memos, in the order they were added.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list_ready(conn: &mut AsyncPgConnection, memos: &[Uuid]) -> Outcome<Vec<Attachment>> {
    if memos.is_empty() {
        return Ok(Vec::new());
    }
    let there = attachments::state.eq(READY).and(attachments::missing_since.is_null());
    let ready = attachments::memo_id.eq_any(memos).and(there);
    let rows = attachments::table.filter(ready).order(attachments::id.asc());
    Ok(rows.select(Attachment::as_select()).load(conn).await?)
}

/// Counts the files of a memo that are ready or may still be uploaded at `now`; call with the memo locked.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn count_taken(conn: &mut AsyncPgConnection, memo: MemoId, now: DateTime<Utc>) -> Outcome<i64> {
    let awaited = attachments::state.eq(INITIATED).and(attachments::upload_expires_at.gt(now));
    let taken = attachments::memo_id.eq(memo.0).and(attachments::state.eq(READY).or(awaited));
    Ok(attachments::table.filter(taken).select(count_star()).get_result(conn).await?)
}

/// Counts the files of a memo that are ready; call with the memo locked.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn count_ready(conn: &mut AsyncPgConnection, memo: MemoId) -> Outcome<i64> {
    let ready = attachments::memo_id.eq(memo.0).and(attachments::state.eq(READY));
    Ok(attachments::table.filter(ready).select(count_star()).get_result(conn).await?)
}

/// Remembers that a new URL to upload a file ends at `until`.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn extend_upload(conn: &mut AsyncPgConnection, id: Uuid, until: DateTime<Utc>) -> Outcome<()> {
    diesel::update(attachments::table.find(id)).set(attachments::upload_expires_at.eq(until)).execute(conn).await?;
    Ok(())
}

/// Makes an initiated file ready, whose object is now `object`; returns whether this call did.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn make_ready(
    conn: &mut AsyncPgConnection,
    file: &Attachment,
    object: Uuid,
    now: DateTime<Utc>,
) -> Outcome<bool> {
    let initiated = attachments::table.find(file.id).filter(attachments::state.eq(INITIATED));
    let preview = preview_of(&file.content_type);
    let change = (
        attachments::state.eq(READY),
        attachments::ready_at.eq(now),
        attachments::object_id.eq(object),
        attachments::preview.eq(preview),
        attachments::preview_due_at.eq(preview.map(|_| now)),
    );
    Ok(diesel::update(initiated).set(change).execute(conn).await? == 1)
}

/// A file that came with a form and is there already.
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct ReadyFile {
    pub id: Uuid,
    pub kind: AttachmentKind,
    pub filename: String,
    pub content_type: String,
    pub size: i64,
    pub sha256: Vec<u8>,
}

/// Writes files that are there already.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert_ready(
    conn: &mut AsyncPgConnection,
    owner: UserId,
    memo: Uuid,
    files: &[ReadyFile],
    now: DateTime<Utc>,
) -> Outcome<()> {
    let rows = files.iter().map(|file| {
        let preview = preview_of(&file.content_type);
        (
            attachments::id.eq(file.id),
            attachments::object_id.eq(file.id),
            attachments::memo_id.eq(memo),
            attachments::user_id.eq(owner.0),
            attachments::kind.eq(file.kind.name()),
            attachments::filename.eq(&file.filename),
            attachments::content_type.eq(&file.content_type),
            attachments::size.eq(file.size),
            attachments::sha256.eq(&file.sha256),
            attachments::state.eq(READY),
            // Nobody has a URL to upload it.
            attachments::upload_expires_at.eq(DateTime::UNIX_EPOCH),
            attachments::created_at.eq(now),
            attachments::ready_at.eq(now),
            attachments::preview.eq(preview),
            attachments::preview_due_at.eq(preview.map(|_| now)),
        )
    });
    diesel::insert_into(attachments::table).values(rows.collect::<Vec<_>>()).execute(conn).await?;
    Ok(())
}

fn preview_of(content_type: &str) -> Option<&'static str> {
    has_preview(content_type).then_some(PREVIEW_PROCESSING)
}

/// Deletes the files of a memo that are ready and not among `kept`; their objects follow. Call with the memo locked.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn delete_others(conn: &mut AsyncPgConnection, memo: Uuid, kept: &[Uuid]) -> Outcome<usize> {
    let ready = attachments::memo_id.eq(memo).and(attachments::state.eq(READY));
    let others = attachments::table.filter(ready).filter(attachments::id.ne_all(kept));
    Ok(diesel::delete(others).execute(conn).await?)
}

/// Deletes a file; its objects follow.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn delete(conn: &mut AsyncPgConnection, id: Uuid) -> Outcome<()> {
    diesel::delete(attachments::table.find(id)).execute(conn).await?;
    Ok(())
}

/// Refuses what a transaction has added to a person's bytes when they are now more than `quota`. Whoever adds some
/// holds the sum until their transaction ends, so no two of them can take the same last byte.
///
/// # Errors
/// [`QUOTA_EXCEEDED`], with the quota.
pub async fn check_quota(conn: &mut AsyncPgConnection, owner: UserId, quota: i64) -> Outcome<()> {
    if used_bytes(conn, owner).await? > quota {
        return Err(Problem::from(QUOTA_EXCEEDED).with("quota_bytes", quota));
    }
    Ok(())
}

/// Returns how many bytes count against a person.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn used_bytes(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<i64> {
    let sum = storage_usage::table.find(owner.0).select(storage_usage::bytes);
    let used: Option<i64> = sum.first(conn).await.optional()?;
    Ok(used.unwrap_or_default())
}

/// Rejects an initiated file; returns whether this call did.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn reject(conn: &mut AsyncPgConnection, id: Uuid, mismatch: Mismatch) -> Outcome<bool> {
    let initiated = attachments::table.find(id).filter(attachments::state.eq(INITIATED));
    let change = (attachments::state.eq(REJECTED), attachments::reject_reason.eq(mismatch.fault().code));
    Ok(diesel::update(initiated).set(change).execute(conn).await? == 1)
}
