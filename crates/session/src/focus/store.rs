//! The rows of focus sessions and of the spans they ran in, and the clock they are read by.

use chassis::{
    outbox::Outbox,
    problem::{Outcome, Problem},
};
use chrono::{DateTime, Utc};
use diesel::{
    AsChangeset, BoolExpressionMethods, ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable,
    Selectable, SelectableHelper, dsl::count_star, pg::Pg,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    calendar::LocalDays,
    contract::{FOCUS_COMPLETED, FocusCompleted, FocusSession},
    focus::{End, Focus, Span, State, Status},
    ids::{FocusId, UserId},
    session::NOT_FOUND,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    schema::{focus_intervals, focus_sessions},
    timer::store::clock_timestamp,
};

/// A focus session as it is kept; also what the cache holds.
#[derive(Clone, Debug, PartialEq, Queryable, Selectable, AsChangeset, Serialize, Deserialize)]
#[diesel(table_name = focus_sessions, check_for_backend(Pg), treat_none_as_null = true)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Row {
    pub id: Uuid,
    pub user_id: Uuid,
    #[diesel(skip_update)]
    pub ordinal: i64,
    pub subject: String,
    pub goal: Option<String>,
    pub duration_minutes: i32,
    pub break_minutes: i32,
    pub tags: Vec<String>,
    pub reflection: Option<String>,
    pub status: String,
    pub accumulated_ms: i64,
    pub anchor_at: Option<DateTime<Utc>>,
    pub due_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A focus session to be made; it begins as pending.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = focus_sessions, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct NewRow {
    pub id: Uuid,
    pub user_id: Uuid,
    pub subject: String,
    pub goal: Option<String>,
    pub duration_minutes: i32,
    pub break_minutes: i32,
    pub tags: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A focus session and the instant it was read at.
#[derive(Debug)]
pub struct Seen {
    /// As it is kept.
    pub row: Row,
    /// By the database's clock: one for all replicas.
    pub now: DateTime<Utc>,
}

/// The last row of a page: when it was made, and its id.
pub type Last = (DateTime<Utc>, Uuid);

impl Row {
    /// Returns its time.
    ///
    /// # Errors
    /// Returns an unexpected problem for what the table's constraints exclude.
    pub fn focus(&self) -> Outcome<Focus> {
        let accumulated_ms = self.accumulated_ms;
        let ended = |how, at| State::Ended { how, at, accumulated_ms };
        let state = match (Status::of_name(&self.status), self.anchor_at, self.ended_at) {
            (Some(Status::Pending), None, None) => State::Pending,
            (Some(Status::Started), Some(anchor), None) => State::Started { anchor, accumulated_ms },
            (Some(Status::Paused), None, None) => State::Paused { accumulated_ms },
            (Some(Status::Completed), None, Some(at)) => ended(End::Completed, at),
            (Some(Status::Reviewed), None, Some(at)) => ended(End::Reviewed, at),
            (Some(Status::Cancelled), None, Some(at)) => ended(End::Cancelled, at),
            _ => return Err(Problem::unexpected("a focus session is in no state there is")),
        };
        Ok(Focus { duration_minutes: self.duration_minutes, state, version: self.version })
    }

    /// Gives it the time it has come to.
    pub fn set(&mut self, focus: &Focus) {
        let (status, anchor_at, ended_at, accumulated_ms) = match focus.state {
            State::Pending => (Status::Pending, None, None, 0),
            State::Started { anchor, accumulated_ms } => (Status::Started, Some(anchor), None, accumulated_ms),
            State::Paused { accumulated_ms } => (Status::Paused, None, None, accumulated_ms),
            State::Ended { how, at, accumulated_ms } => {
                let status = match how {
                    End::Completed => Status::Completed,
                    End::Reviewed => Status::Reviewed,
                    End::Cancelled => Status::Cancelled,
                };
                (status, None, Some(at), accumulated_ms)
            }
        };
        status.name().clone_into(&mut self.status);
        self.duration_minutes = focus.duration_minutes;
        self.due_at = focus.due_at();
        (self.anchor_at, self.ended_at, self.accumulated_ms) = (anchor_at, ended_at, accumulated_ms);
    }

    /// Returns whether it is pending, running or paused, as it is kept.
    pub fn is_current(&self) -> bool {
        Status::CURRENT.iter().any(|status| status.name() == self.status)
    }

    fn is_completed(&self) -> bool {
        [Status::Completed, Status::Reviewed].iter().any(|status| status.name() == self.status)
    }

    /// Returns what its owner sees at `now`.
    ///
    /// # Errors
    /// Returns an unexpected problem for what the table's constraints exclude.
    pub fn view(self, now: DateTime<Utc>) -> Outcome<FocusSession> {
        let focus = self.focus()?;
        let shown = FocusSession {
            id: FocusId(self.id),
            user_id: UserId(self.user_id),
            subject: self.subject,
            goal: self.goal,
            duration: self.duration_minutes,
            break_duration: self.break_minutes,
            tags: self.tags,
            started_at: None,
            created_at: self.created_at.into(),
            updated_at: self.updated_at.into(),
            status: Status::Pending,
            reflection: self.reflection,
            remaining_seconds: 0,
            ends_at: None,
        };
        Ok(shown.at(&focus, now))
    }
}

/// Makes a focus session; nothing when its owner has a current one, which may have been made a moment ago.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert(conn: &mut AsyncPgConnection, new: &NewRow) -> Outcome<Option<Row>> {
    let made = diesel::insert_into(focus_sessions::table)
        .values(new)
        .on_conflict_do_nothing()
        .returning(Row::as_returning())
        .get_result(conn)
        .await;
    Ok(made.optional()?)
}

/// Reads a person's focus session.
///
/// # Errors
/// `session_not_found` when there is no such one of this person.
pub async fn see(conn: &mut AsyncPgConnection, owner: UserId, id: FocusId) -> Outcome<Seen> {
    let found = focus_sessions::table
        .filter(focus_sessions::id.eq(id.0))
        .filter(focus_sessions::user_id.eq(owner.0))
        .select((Row::as_select(), clock_timestamp()))
        .first(conn)
        .await
        .optional()?;
    let (row, now) = found.ok_or(NOT_FOUND)?;
    Ok(Seen { row, now })
}

/// Reads a person's current focus session.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn see_current(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<Option<Seen>> {
    let found = focus_sessions::table
        .filter(focus_sessions::user_id.eq(owner.0))
        .filter(focus_sessions::status.eq_any(Status::CURRENT.map(Status::name)))
        .select((Row::as_select(), clock_timestamp()))
        .first(conn)
        .await;
    Ok(found.optional()?.map(|(row, now)| Seen { row, now }))
}

/// Reads a person's current focus session and keeps it as it is until the transaction ends.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn lock_current(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<Option<Seen>> {
    let found = focus_sessions::table
        .filter(focus_sessions::user_id.eq(owner.0))
        .filter(focus_sessions::status.eq_any(Status::CURRENT.map(Status::name)))
        .select((Row::as_select(), clock_timestamp()))
        .for_update()
        .first(conn)
        .await;
    Ok(found.optional()?.map(|(row, now)| Seen { row, now }))
}

/// Keeps a focus session as it is until the transaction ends; waits for whoever does.
///
/// # Errors
/// `session_not_found` when it is gone.
pub async fn lock(conn: &mut AsyncPgConnection, id: FocusId) -> Outcome<()> {
    let row = focus_sessions::table.filter(focus_sessions::id.eq(id.0)).select(focus_sessions::id).for_update();
    let found: Option<Uuid> = row.first(conn).await.optional()?;
    found.map(drop).ok_or_else(|| NOT_FOUND.into())
}

/// Writes what a focus session has become, with the span that ended by it and the news that it was completed; `false`
/// when it is of another version by now. Call in a transaction.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn replace(conn: &mut AsyncPgConnection, outbox: &Outbox, from: &Row, to: &Row) -> Outcome<bool> {
    let of_that_version =
        focus_sessions::table.filter(focus_sessions::id.eq(from.id)).filter(focus_sessions::version.eq(from.version));
    if diesel::update(of_that_version).set(to).execute(conn).await? == 0 {
        return Ok(false);
    }
    if let Some(span) = from.focus()?.span_before(&to.focus()?) {
        insert_span(conn, to, span).await?;
    }
    if to.status == Status::Pending.name() && from.status != to.status {
        // Taken back to its beginning: what it had consumed did not happen.
        let spans = focus_intervals::table.filter(focus_intervals::session_id.eq(to.id));
        diesel::delete(spans).execute(conn).await?;
    }
    if let (Some(at), true, false) = (to.ended_at, to.is_completed(), from.is_completed()) {
        let completed = FocusCompleted {
            session_id: FocusId(to.id),
            user_id: UserId(to.user_id),
            completed_at: at.into(),
            ordinal: to.ordinal,
            version: to.version,
        };
        outbox.put(conn, FOCUS_COMPLETED, &completed).await?;
    }
    Ok(true)
}

async fn insert_span(conn: &mut AsyncPgConnection, row: &Row, span: Span) -> Outcome<()> {
    diesel::insert_into(focus_intervals::table)
        .values((
            focus_intervals::session_id.eq(row.id),
            focus_intervals::started_at.eq(span.from),
            focus_intervals::ended_at.eq(span.until),
            focus_intervals::user_id.eq(row.user_id),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Deletes a person's focus session with its spans; returns it as it was.
///
/// # Errors
/// `session_not_found` when there is no such one of this person.
pub async fn delete(conn: &mut AsyncPgConnection, owner: UserId, id: FocusId) -> Outcome<Row> {
    let own = focus_sessions::table.filter(focus_sessions::id.eq(id.0)).filter(focus_sessions::user_id.eq(owner.0));
    let deleted = diesel::delete(own).returning(Row::as_returning()).get_result(conn).await;
    Ok(deleted.optional()?.ok_or(NOT_FOUND)?)
}

/// Lists the focus sessions a person made on some days, newest first, after the last of the page before; with the
/// instant they were read at.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list(
    conn: &mut AsyncPgConnection,
    owner: UserId,
    days: LocalDays,
    last: Option<Last>,
    limit: i64,
) -> Outcome<Vec<(Row, DateTime<Utc>)>> {
    let mut query = focus_sessions::table
        .filter(focus_sessions::user_id.eq(owner.0))
        .filter(focus_sessions::created_at.ge(days.from))
        .filter(focus_sessions::created_at.lt(days.until))
        .order((focus_sessions::created_at.desc(), focus_sessions::id.desc()))
        .limit(limit)
        .select((Row::as_select(), clock_timestamp()))
        .into_boxed();
    if let Some((created_at, id)) = last {
        // The first half alone is what the index can seek by.
        let older = focus_sessions::created_at.lt(created_at).or(focus_sessions::id.lt(id));
        query = query.filter(focus_sessions::created_at.le(created_at)).filter(older);
    }
    Ok(query.load(conn).await?)
}

/// Counts the focus sessions a person made on some days.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn count(conn: &mut AsyncPgConnection, owner: UserId, days: LocalDays) -> Outcome<i64> {
    let made = focus_sessions::table
        .filter(focus_sessions::user_id.eq(owner.0))
        .filter(focus_sessions::created_at.ge(days.from))
        .filter(focus_sessions::created_at.lt(days.until));
    Ok(made.select(count_star()).get_result(conn).await?)
}
