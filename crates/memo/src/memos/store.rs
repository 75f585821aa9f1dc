//! The rows of memos.

use chassis::{pg::only_row, problem::Outcome};
use chrono::{DateTime, Utc};
use diesel::{
    AsChangeset, BoolExpressionMethods, ExpressionMethods, Insertable, OptionalExtension, PgArrayExpressionMethods,
    QueryDsl, Queryable, Selectable, SelectableHelper, dsl::count_star, pg::Pg,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{MemoId, UserId},
    memo::search::Searchable,
};
use uuid::Uuid;

use super::{MEMO_NOT_FOUND, create::Draft, cursor::Place};
use crate::schema::memos;

/// The version of a memo that was just written.
pub(crate) const FIRST_VERSION: i64 = 1;

/// A memo.
// No `Debug`: no log line may show what somebody wrote.
#[derive(Clone, Queryable, Selectable)]
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
#[derive(Insertable)]
#[diesel(table_name = memos, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct NewMemo {
    pub id: Uuid,
    pub user_id: Uuid,
    pub content: String,
    pub tags: Vec<String>,
    pub category: Option<String>,
    pub session_id: Option<Uuid>,
    pub metadata: serde_json::Value,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub search_keys: Vec<i32>,
}

impl NewMemo {
    /// Makes it of a draft, with the keys that it is found by.
    pub(crate) fn new(id: Uuid, owner: UserId, draft: Draft, now: DateTime<Utc>) -> Self {
        let search_keys = Searchable::of(&draft.content, &draft.tags).keys(owner);
        Self {
            id,
            user_id: owner.0,
            content: draft.content,
            tags: draft.tags,
            category: draft.category,
            session_id: draft.session_id.map(|session| session.0),
            metadata: draft.metadata,
            created_at: now,
            updated_at: now,
            search_keys,
        }
    }
}

/// Writes a memo.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert(conn: &mut AsyncPgConnection, memo: &NewMemo) -> Outcome<Memo> {
    let row = diesel::insert_into(memos::table).values(memo).returning(Memo::as_returning());
    Ok(only_row(row.load(conn)).await?)
}

/// Writes memos that may be there already; returns how many were new.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert_missing(conn: &mut AsyncPgConnection, memos: &[NewMemo]) -> Outcome<usize> {
    Ok(diesel::insert_into(memos::table).values(memos).on_conflict_do_nothing().execute(conn).await?)
}

/// A memo that was written under an id of the caller's choice.
#[derive(Clone, Copy, Debug, Queryable, Selectable)]
#[diesel(table_name = memos, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Under {
    pub user_id: Uuid,
    pub created_at: DateTime<Utc>,
}

/// Takes a memo out of the trash, if it is there, and returns whose it is; nothing when there is no such memo.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn keep_out_of_trash(conn: &mut AsyncPgConnection, owner: UserId, id: Uuid) -> Outcome<Option<Under>> {
    let theirs = memos::table.find(id).filter(memos::user_id.eq(owner.0)).filter(memos::deleted_at.is_not_null());
    diesel::update(theirs).set(memos::deleted_at.eq(None::<DateTime<Utc>>)).execute(conn).await?;
    Ok(memos::table.find(id).select(Under::as_select()).first(conn).await.optional()?)
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

/// Returns a memo of `owner` and keeps it from being changed by anybody else until the transaction ends.
///
/// # Errors
/// [`MEMO_NOT_FOUND`] when it is not there, in the trash, or somebody else's.
pub async fn get_for_change(conn: &mut AsyncPgConnection, owner: UserId, id: MemoId) -> Outcome<Memo> {
    let found = memos::table
        .filter(memos::id.eq(id.0))
        .filter(memos::user_id.eq(owner.0))
        .filter(memos::deleted_at.is_null())
        .select(Memo::as_select())
        .for_no_key_update()
        .first(conn)
        .await;
    Ok(found.optional()?.ok_or(MEMO_NOT_FOUND)?)
}

/// What a memo becomes.
#[derive(AsChangeset)]
#[diesel(table_name = memos, treat_none_as_null = true)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Changed {
    pub content: String,
    pub tags: Vec<String>,
    pub category: Option<String>,
    pub category_confidence: Option<f32>,
    pub session_id: Option<Uuid>,
    pub metadata: serde_json::Value,
    pub is_archived: bool,
    pub version: i64,
    pub updated_at: DateTime<Utc>,
}

/// Changes a memo; `search_keys` are given when its text or tags are others.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn change(
    conn: &mut AsyncPgConnection,
    id: Uuid,
    changed: &Changed,
    search_keys: Option<Vec<i32>>,
) -> Outcome<Memo> {
    let change = (changed, search_keys.map(|keys| memos::search_keys.eq(keys)));
    let row = diesel::update(memos::table.find(id)).set(change);
    Ok(only_row(row.returning(Memo::as_returning()).load(conn)).await?)
}

/// Later than anything is written: year 9999.
pub(crate) const END_OF_TIME: DateTime<Utc> = match DateTime::from_timestamp(253_370_764_800, 0) {
    Some(instant) => instant,
    None => DateTime::UNIX_EPOCH,
};

/// Which memos a list is of.
#[derive(Clone)]
pub struct Filter {
    /// Whose.
    pub owner: UserId,
    /// Written then or later.
    pub from: DateTime<Utc>,
    /// Written before.
    pub until: DateTime<Utc>,
    /// With this tag.
    pub tag: Option<String>,
    /// Written in this focus session.
    pub session: Option<Uuid>,
    /// Put aside or not; either when absent.
    pub archived: Option<bool>,
    /// Those in the trash instead of the others.
    pub trash: bool,
}

impl Filter {
    /// Returns the place before the newest memo of the list.
    pub fn start(&self) -> Place {
        Place { created_at: self.until, id: Uuid::nil() }
    }

    fn rows(&self) -> memos::BoxedQuery<'_, Pg> {
        let mut rows = memos::table
            .filter(memos::user_id.eq(self.owner.0))
            .filter(memos::created_at.ge(self.from))
            .filter(memos::created_at.lt(self.until))
            .into_boxed();
        rows = if self.trash {
            rows.filter(memos::deleted_at.is_not_null())
        } else {
            rows.filter(memos::deleted_at.is_null())
        };
        if let Some(tag) = &self.tag {
            rows = rows.filter(memos::tags.contains(vec![tag.as_str()]));
        }
        if let Some(session) = self.session {
            rows = rows.filter(memos::session_id.eq(session));
        }
        if let Some(archived) = self.archived {
            rows = rows.filter(memos::is_archived.eq(archived));
        }
        rows
    }
}

/// Lists memos after a place, newest first.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list(conn: &mut AsyncPgConnection, filter: &Filter, after: Place, limit: i64) -> Outcome<Vec<Memo>> {
    let older = memos::created_at.lt(after.created_at).or(memos::id.lt(after.id));
    let rows = filter.rows().filter(memos::created_at.le(after.created_at).and(older));
    let newest = rows.order((memos::created_at.desc(), memos::id.desc())).limit(limit);
    Ok(newest.select(Memo::as_select()).load(conn).await?)
}

/// Counts memos.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn count(conn: &mut AsyncPgConnection, filter: &Filter) -> Outcome<i64> {
    Ok(filter.rows().select(count_star()).get_result(conn).await?)
}

/// Reads memos of `owner`, newest first.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn load(conn: &mut AsyncPgConnection, owner: UserId, ids: &[Uuid]) -> Outcome<Vec<Memo>> {
    let rows = memos::table.filter(memos::id.eq_any(ids)).filter(memos::user_id.eq(owner.0));
    let newest = rows.order((memos::created_at.desc(), memos::id.desc()));
    Ok(newest.select(Memo::as_select()).load(conn).await?)
}
