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
    memo::attachment::{Declared, Mismatch},
};
use uuid::Uuid;

use super::ATTACHMENT_NOT_FOUND;
use crate::schema::{attachments, memos};

const INITIATED: &str = "initiated";
const READY: &str = "ready";
const REJECTED: &str = "rejected";

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
#[derive(Clone, Debug, Queryable, Selectable)]
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
#[derive(Debug, Insertable)]
#[diesel(table_name = attachments)]
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
    let ready = attachments::memo_id.eq_any(memos).and(attachments::state.eq(READY));
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

/// Makes an initiated file ready; returns whether this call did.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn make_ready(conn: &mut AsyncPgConnection, id: Uuid, now: DateTime<Utc>) -> Outcome<bool> {
    let initiated = attachments::table.find(id).filter(attachments::state.eq(INITIATED));
    let change = (attachments::state.eq(READY), attachments::ready_at.eq(now));
    Ok(diesel::update(initiated).set(change).execute(conn).await? == 1)
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
