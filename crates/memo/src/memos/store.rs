//! The rows of memos.

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable,
    SelectableHelper, dsl::count_star,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    calendar::LocalDays,
    ids::{MemoId, UserId},
    page::Limit,
};
use uuid::Uuid;

use crate::{memos::MEMO_NOT_FOUND, schema::memos};

/// A memo.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = memos, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Memo {
    pub id: Uuid,
    pub user_id: Uuid,
    pub content: String,
    pub tags: Vec<String>,
    pub category: Option<String>,
    pub category_confidence: Option<f32>,
    pub session_id: Option<Uuid>,
    pub metadata: serde_json::Value,
    pub is_archived: bool,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A memo to be written.
#[derive(Debug, Insertable)]
#[diesel(table_name = memos)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct NewMemo {
    pub id: Uuid,
    pub user_id: Uuid,
    pub content: String,
    pub tags: Vec<String>,
    pub category: Option<String>,
    pub metadata: serde_json::Value,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Writes a memo.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert(conn: &mut AsyncPgConnection, memo: &NewMemo) -> Outcome<Memo> {
    Ok(diesel::insert_into(memos::table).values(memo).returning(Memo::as_returning()).get_result(conn).await?)
}

/// Writes memos that may be there already; returns how many were new.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert_missing(conn: &mut AsyncPgConnection, memos: &[NewMemo]) -> Outcome<usize> {
    Ok(diesel::insert_into(memos::table).values(memos).on_conflict_do_nothing().execute(conn).await?)
}

/// Returns a memo of `owner`.
///
/// # Errors
/// [`MEMO_NOT_FOUND`] when it is not there, in the trash, or somebody else's.
pub async fn get(conn: &mut AsyncPgConnection, owner: UserId, id: MemoId) -> Outcome<Memo> {
    let found = memos::table
        .filter(memos::id.eq(id.0))
        .filter(memos::user_id.eq(owner.0))
        .filter(memos::deleted_at.is_null())
        .select(Memo::as_select())
        .first(conn)
        .await;
    Ok(found.optional()?.ok_or(MEMO_NOT_FOUND)?)
}

/// Keeps a memo of `owner` as it is until the transaction ends, so that its files are counted by one at a time.
///
/// # Errors
/// [`MEMO_NOT_FOUND`] when it is not there, in the trash, or somebody else's.
pub async fn lock(conn: &mut AsyncPgConnection, owner: UserId, id: MemoId) -> Outcome<()> {
    let found: Option<Uuid> = memos::table
        .filter(memos::id.eq(id.0))
        .filter(memos::user_id.eq(owner.0))
        .filter(memos::deleted_at.is_null())
        .select(memos::id)
        .for_no_key_update()
        .first(conn)
        .await
        .optional()?;
    found.map(drop).ok_or_else(|| MEMO_NOT_FOUND.into())
}

/// Lists the memos that `owner` wrote on some days, newest first, and tells how many there are in all.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list(
    conn: &mut AsyncPgConnection,
    owner: UserId,
    days: LocalDays,
    limit: Limit,
) -> Outcome<(Vec<Memo>, i64)> {
    let written = memos::user_id
        .eq(owner.0)
        .and(memos::deleted_at.is_null())
        .and(memos::created_at.ge(days.from))
        .and(memos::created_at.lt(days.until));
    let page: Vec<Memo> = memos::table
        .filter(written)
        .order((memos::created_at.desc(), memos::id.desc()))
        .limit(limit.rows())
        .select(Memo::as_select())
        .load(conn)
        .await?;
    let listed = i64::try_from(page.len()).unwrap_or(i64::MAX);
    let total = if listed < limit.rows() {
        listed
    } else {
        memos::table.filter(written).select(count_star()).get_result(conn).await?
    };
    Ok((page, total))
}
