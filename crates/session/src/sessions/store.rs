//! The rows of sessions.

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper, pg::Pg,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{SessionId, UserId},
    page::Limit,
    session::{SessionCode, SessionStatus, SessionType},
};
use serde_json::Value;
use uuid::Uuid;

use crate::schema::sessions;

/// A session.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = sessions, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Session {
    pub id: Uuid,
    pub user_id: Uuid,
    pub title: String,
    pub description: Option<String>,
    pub kind: String,
    pub status: String,
    pub session_code: String,
    pub event_id: Option<Uuid>,
    pub settings: Value,
    pub metadata: Value,
    pub summary: Option<Value>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A session to be made; its code is drawn when it is written.
#[derive(Debug, Insertable)]
#[diesel(table_name = sessions)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct NewSession {
    pub id: Uuid,
    pub user_id: Uuid,
    pub title: String,
    pub description: Option<String>,
    pub kind: &'static str,
    pub event_id: Option<Uuid>,
    pub settings: Value,
    pub metadata: Value,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// Which of a person's sessions are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Filter {
    /// Whose.
    pub owner: UserId,
    /// Only of this type.
    pub kind: Option<SessionType>,
    /// Only in this status.
    pub status: Option<SessionStatus>,
    /// Only active ones, or only others.
    pub is_active: Option<bool>,
}

/// What a list is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// When a session was made.
    Created,
    /// When it was changed last.
    Updated,
    /// Its title.
    Title,
}

/// Which part of a list is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Ordered by this.
    pub sort: Sort,
    /// Newest, or last in the alphabet, first.
    pub descending: bool,
    /// How many.
    pub limit: Limit,
    /// How many come before.
    pub offset: i64,
}

/// Makes a session; nothing when its code is taken.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert(conn: &mut AsyncPgConnection, new: &NewSession, code: &SessionCode) -> Outcome<Option<Session>> {
    let made = diesel::insert_into(sessions::table)
        .values((new, sessions::session_code.eq(code.as_str())))
        .on_conflict(sessions::session_code)
        .do_nothing()
        .returning(Session::as_returning())
        .get_result(conn)
        .await;
    Ok(made.optional()?)
}

/// Finds a person's session.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find(conn: &mut AsyncPgConnection, owner: UserId, id: SessionId) -> Outcome<Option<Session>> {
    let found = sessions::table
        .filter(sessions::id.eq(id.0))
        .filter(sessions::user_id.eq(owner.0))
        .select(Session::as_select())
        .first(conn)
        .await;
    Ok(found.optional()?)
}

/// Lists a part of a person's sessions.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list(conn: &mut AsyncPgConnection, filter: Filter, page: Page) -> Outcome<Vec<Session>> {
    let matching = matching(filter);
    // The id is the second key, so that equal ones keep their order from page to page.
    let ordered = match (page.sort, page.descending) {
        (Sort::Created, true) => matching.order_by((sessions::created_at.desc(), sessions::id.desc())),
        (Sort::Created, false) => matching.order_by((sessions::created_at.asc(), sessions::id.asc())),
        (Sort::Updated, true) => matching.order_by((sessions::updated_at.desc(), sessions::id.desc())),
        (Sort::Updated, false) => matching.order_by((sessions::updated_at.asc(), sessions::id.asc())),
        (Sort::Title, true) => matching.order_by((sessions::title.desc(), sessions::id.desc())),
        (Sort::Title, false) => matching.order_by((sessions::title.asc(), sessions::id.asc())),
    };
    Ok(ordered.limit(page.limit.rows()).offset(page.offset).select(Session::as_select()).load(conn).await?)
}

/// Counts a person's sessions.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn count(conn: &mut AsyncPgConnection, filter: Filter) -> Outcome<i64> {
    Ok(matching(filter).count().get_result(conn).await?)
}

fn matching(filter: Filter) -> sessions::BoxedQuery<'static, Pg> {
    let mut query = sessions::table.filter(sessions::user_id.eq(filter.owner.0)).into_boxed();
    if let Some(kind) = filter.kind {
        query = query.filter(sessions::kind.eq(kind.name()));
    }
    if let Some(status) = filter.status {
        query = query.filter(sessions::status.eq(status.name()));
    }
    match filter.is_active {
        Some(true) => query.filter(sessions::status.eq(SessionStatus::Active.name())),
        Some(false) => query.filter(sessions::status.ne(SessionStatus::Active.name())),
        None => query,
    }
}
