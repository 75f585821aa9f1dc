//! The rows of sessions.

use chassis::{document::Document, problem::Outcome};
use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable,
    SelectableHelper, pg::Pg,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{SessionId, UserId},
    page::Limit,
    session::{SessionCode, SessionStatus, SessionType, lifecycle::Standing},
};
use serde_json::Value;
use uuid::Uuid;

use super::codes;
use crate::{schema::sessions, timer::store::clock_timestamp};

/// A session.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable)]
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
    pub settings: Document,
    pub metadata: Document,
    pub summary: Option<Document>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub active_since: Option<DateTime<Utc>>,
    pub active_ms: i64,
    pub participant_count: i32,
}

impl Session {
    /// Returns whether people may come in.
    pub fn is_active(&self) -> bool {
        self.status == SessionStatus::Active.name()
    }

    /// Returns whether it has ended.
    pub fn is_over(&self) -> bool {
        self.status == SessionStatus::Ended.name()
    }

    /// Returns how many are in it.
    pub fn participants(&self) -> u32 {
        u32::try_from(self.participant_count).unwrap_or_default()
    }

    /// Returns how it stands; a status this version does not know counts as over.
    pub fn standing(&self) -> Standing {
        Standing {
            status: SessionStatus::named(&self.status).unwrap_or(SessionStatus::Ended),
            started_at: self.started_at,
            ended_at: self.ended_at,
            active_since: self.active_since,
            active_ms: self.active_ms,
        }
    }

    /// Takes another standing.
    pub fn stand(&mut self, standing: Standing) {
        standing.status.name().clone_into(&mut self.status);
        self.started_at = standing.started_at;
        self.ended_at = standing.ended_at;
        self.active_since = standing.active_since;
        self.active_ms = standing.active_ms;
    }
}

/// A session to be made; its code is drawn when it is written.
#[derive(Debug, Insertable)]
#[diesel(table_name = sessions, treat_none_as_default_value = false)]
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
#[derive(Clone, Debug)]
pub struct Page {
    /// Ordered by this.
    pub sort: Sort,
    /// Newest, or last in the alphabet, first.
    pub descending: bool,
    /// How many.
    pub limit: Limit,
    /// How many are passed over.
    pub offset: i64,
    /// Only what comes after this one.
    pub after: Option<Session>,
}

/// Makes a session; nothing when its code is taken. Call within a transaction.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert(conn: &mut AsyncPgConnection, new: &NewSession, code: &SessionCode) -> Outcome<Option<Session>> {
    if !codes::store::take(conn, code).await? {
        return Ok(None);
    }
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
pub async fn find(mut conn: &AsyncPgConnection, owner: UserId, id: SessionId) -> Outcome<Option<Session>> {
    let found = sessions::table
        .filter(sessions::id.eq(id.0))
        .filter(sessions::user_id.eq(owner.0))
        .select(Session::as_select())
        .first(&mut conn)
        .await;
    Ok(found.optional()?)
}

/// Finds the code of a person's session.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find_code(conn: &mut AsyncPgConnection, owner: UserId, id: SessionId) -> Outcome<Option<String>> {
    let own = sessions::table.filter(sessions::id.eq(id.0)).filter(sessions::user_id.eq(owner.0));
    Ok(own.select(sessions::session_code).first(conn).await.optional()?)
}

/// Finds the session of a code, whoever's it is.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find_by_code(conn: &mut AsyncPgConnection, code: &SessionCode) -> Outcome<Option<Session>> {
    let found = sessions::table.filter(sessions::session_code.eq(code.as_str())).select(Session::as_select());
    Ok(found.first(conn).await.optional()?)
}

/// Finds a person's session and keeps others from changing it until the transaction ends; with the database's time.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn lock(
    conn: &mut AsyncPgConnection,
    owner: UserId,
    id: SessionId,
) -> Outcome<Option<(Session, DateTime<Utc>)>> {
    let found = sessions::table
        .filter(sessions::id.eq(id.0))
        .filter(sessions::user_id.eq(owner.0))
        .select((Session::as_select(), clock_timestamp()))
        .for_no_key_update()
        .first(conn)
        .await;
    Ok(found.optional()?)
}

/// Writes what a locked session has become.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn rewrite(conn: &mut AsyncPgConnection, session: &Session) -> Outcome<()> {
    diesel::update(sessions::table.find(session.id))
        .set((
            sessions::title.eq(&session.title),
            sessions::description.eq(&session.description),
            sessions::status.eq(&session.status),
            sessions::settings.eq(&session.settings),
            sessions::metadata.eq(&session.metadata),
            sessions::summary.eq(&session.summary),
            sessions::started_at.eq(session.started_at),
            sessions::ended_at.eq(session.ended_at),
            sessions::updated_at.eq(session.updated_at),
            sessions::active_since.eq(session.active_since),
            sessions::active_ms.eq(session.active_ms),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes a person's session with all that belongs to it; its code is kept back. `false` when there is none.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn delete(conn: &mut AsyncPgConnection, owner: UserId, id: SessionId) -> Outcome<bool> {
    let own = sessions::table.filter(sessions::id.eq(id.0)).filter(sessions::user_id.eq(owner.0));
    let gone: Option<String> =
        diesel::delete(own).returning(sessions::session_code).get_result(conn).await.optional()?;
    let Some(code) = gone else { return Ok(false) };
    codes::store::retire(conn, &[code]).await?;
    Ok(true)
}

/// Lists a part of a person's sessions, and one more where there are more.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list(conn: &mut AsyncPgConnection, filter: Filter, page: Page) -> Outcome<Vec<Session>> {
    let matching = match &page.after {
        Some(last) => beyond(matching(filter), last, page.sort, page.descending),
        None => matching(filter),
    };
    // The id is the second key, so that equal ones keep their order from page to page.
    let ordered = match (page.sort, page.descending) {
        (Sort::Created, true) => matching.order_by((sessions::created_at.desc(), sessions::id.desc())),
        (Sort::Created, false) => matching.order_by((sessions::created_at.asc(), sessions::id.asc())),
        (Sort::Updated, true) => matching.order_by((sessions::updated_at.desc(), sessions::id.desc())),
        (Sort::Updated, false) => matching.order_by((sessions::updated_at.asc(), sessions::id.asc())),
        (Sort::Title, true) => matching.order_by((sessions::title.desc(), sessions::id.desc())),
        (Sort::Title, false) => matching.order_by((sessions::title.asc(), sessions::id.asc())),
    };
    Ok(ordered.limit(page.limit.rows() + 1).offset(page.offset).select(Session::as_select()).load(conn).await?)
}

/// Counts a person's sessions.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn count(conn: &mut AsyncPgConnection, filter: Filter) -> Outcome<i64> {
    Ok(matching(filter).count().get_result(conn).await?)
}

/// Leaves out what comes before a session, and the session.
fn beyond(
    query: sessions::BoxedQuery<'static, Pg>,
    last: &Session,
    sort: Sort,
    descending: bool,
) -> sessions::BoxedQuery<'static, Pg> {
    use sessions::{created_at, id, title, updated_at};
    // The first filter alone is what an index can seek by.
    match (sort, descending) {
        (Sort::Created, true) => {
            let key = last.created_at;
            query.filter(created_at.le(key)).filter(created_at.lt(key).or(id.lt(last.id)))
        }
        (Sort::Created, false) => {
            let key = last.created_at;
            query.filter(created_at.ge(key)).filter(created_at.gt(key).or(id.gt(last.id)))
        }
        (Sort::Updated, true) => {
            let key = last.updated_at;
            query.filter(updated_at.le(key)).filter(updated_at.lt(key).or(id.lt(last.id)))
        }
        (Sort::Updated, false) => {
            let key = last.updated_at;
            query.filter(updated_at.ge(key)).filter(updated_at.gt(key).or(id.gt(last.id)))
        }
        (Sort::Title, true) => {
            let key = last.title.clone();
            query.filter(title.le(key.clone())).filter(title.lt(key).or(id.lt(last.id)))
        }
        (Sort::Title, false) => {
            let key = last.title.clone();
            query.filter(title.ge(key.clone())).filter(title.gt(key).or(id.gt(last.id)))
        }
    }
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
