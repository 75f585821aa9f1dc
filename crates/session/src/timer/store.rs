//! The rows of timers, and the clock they are read by.

use chassis::problem::{Outcome, Problem};
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, Insertable, NullableExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable,
    SelectableHelper, define_sql_function,
};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{SessionId, UserId},
    session::{NOT_FOUND, SessionStatus},
    timer::{Deadline, Plan, Replan, Run, Timer},
};
use serde_json::Value;
use uuid::Uuid;

use super::replace::Replace;
use crate::{
    schema::{sessions, timers},
    sessions::store::Session,
    stream::{
        self,
        event::{Event, Topic},
    },
};

define_sql_function! {
    /// The instant at which this is evaluated, not the transaction's beginning.
    fn clock_timestamp() -> Timestamptz;
}

/// A session's timer and the instant it was read at.
#[derive(Debug)]
pub struct Seen {
    /// Nothing before it was set up.
    pub timer: Option<Timer>,
    /// By the database's clock: one for all replicas.
    pub now: DateTime<Utc>,
    /// Whether the session has ended, and its timer with it.
    pub is_over: bool,
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = timers, check_for_backend(diesel::pg::Pg), treat_none_as_default_value = false)]
pub(super) struct Row {
    pub(super) session_id: Uuid,
    pub(super) duration_seconds: i32,
    pub(super) alerts: Value,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) anchor_at: Option<DateTime<Utc>>,
    pub(super) paused_at: Option<DateTime<Utc>>,
    pub(super) accumulated_ms: i64,
    pub(super) version: i64,
}

impl Row {
    fn of(id: SessionId, timer: &Timer) -> Outcome<Self> {
        let (started_at, anchor_at, paused_at, accumulated_ms) = match timer.run {
            Run::Ready => (None, None, None, 0),
            Run::Running { started_at, anchor, accumulated_ms } => {
                (Some(started_at), Some(anchor), None, accumulated_ms)
            }
            Run::Paused { started_at, paused_at, accumulated_ms } => {
                (Some(started_at), None, Some(paused_at), accumulated_ms)
            }
        };
        Ok(Self {
            session_id: id.0,
            duration_seconds: timer.plan.duration_seconds,
            alerts: serde_json::to_value(&timer.plan.alerts).map_err(Problem::unexpected)?,
            started_at,
            anchor_at,
            paused_at,
            accumulated_ms,
            version: timer.version,
        })
    }

    fn timer(self) -> Outcome<Timer> {
        let accumulated_ms = self.accumulated_ms;
        let run = match (self.started_at, self.anchor_at, self.paused_at) {
            (None, None, None) => Run::Ready,
            (Some(started_at), Some(anchor), None) => Run::Running { started_at, anchor, accumulated_ms },
            (Some(started_at), None, Some(paused_at)) => Run::Paused { started_at, paused_at, accumulated_ms },
            _ => return Err(Problem::unexpected("a timer is neither ready nor running nor paused")),
        };
        let alerts = serde_json::from_value(self.alerts).map_err(Problem::unexpected)?;
        Ok(Timer { plan: Plan { duration_seconds: self.duration_seconds, alerts }, run, version: self.version })
    }
}

/// Reads the timer of a person's session.
///
/// # Errors
/// `session_not_found` when there is no such session of this person.
pub async fn see(conn: &mut AsyncPgConnection, owner: UserId, id: SessionId) -> Outcome<Seen> {
    let found: Option<(Option<Row>, DateTime<Utc>, String)> = sessions::table
        .left_join(timers::table)
        .filter(sessions::id.eq(id.0))
        .filter(sessions::user_id.eq(owner.0))
        .select((
            <Row as Selectable<diesel::pg::Pg>>::construct_selection().nullable(),
            clock_timestamp(),
            sessions::status,
        ))
        .first(conn)
        .await
        .optional()?;
    let (row, now, status) = found.ok_or(NOT_FOUND)?;
    Ok(Seen { timer: row.map(Row::timer).transpose()?, now, is_over: status == SessionStatus::Ended.name() })
}

/// Finds a session, whoever owns it, with its timer and the instant they were read at.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find_with_session(conn: &mut AsyncPgConnection, id: SessionId) -> Outcome<Option<(Session, Seen)>> {
    let found: Option<(Session, Option<Row>, DateTime<Utc>)> = sessions::table
        .left_join(timers::table)
        .filter(sessions::id.eq(id.0))
        .select((
            Session::as_select(),
            <Row as Selectable<diesel::pg::Pg>>::construct_selection().nullable(),
            clock_timestamp(),
        ))
        .first(conn)
        .await
        .optional()?;
    let Some((session, row, now)) = found else { return Ok(None) };
    let is_over = session.status == SessionStatus::Ended.name();
    Ok(Some((session, Seen { timer: row.map(Row::timer).transpose()?, now, is_over })))
}

/// Lists the timers of several sessions, each with its session and the instant it was read at.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list(conn: &mut AsyncPgConnection, sessions: &[Uuid]) -> Outcome<Vec<(Uuid, Timer, DateTime<Utc>)>> {
    let found: Vec<(Row, DateTime<Utc>)> = timers::table
        .filter(timers::session_id.eq_any(sessions))
        .select((<Row as Selectable<diesel::pg::Pg>>::construct_selection(), clock_timestamp()))
        .load(conn)
        .await?;
    found.into_iter().map(|(row, now)| Ok((row.session_id, row.timer()?, now))).collect()
}

/// Writes the first timer of a session and tells its viewers; `false` when somebody else just did.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert(conn: &mut AsyncPgConnection, id: SessionId, timer: &Timer) -> Outcome<bool> {
    let row = Row::of(id, timer)?;
    conn.transaction(async |conn| {
        hold(conn, id).await?;
        let written = diesel::insert_into(timers::table).values(&row).on_conflict_do_nothing().execute(conn).await?;
        if written == 1 {
            stream::store::append(conn, id, &Event::changed(Topic::Timer)).await?;
        }
        Ok(written == 1)
    })
    .await
}

/// Holds a session so that it is not deleted before the transaction's end.
async fn hold(conn: &mut AsyncPgConnection, id: SessionId) -> Outcome<()> {
    let held: Option<Uuid> =
        sessions::table.find(id.0).select(sessions::id).for_key_share().first(conn).await.optional()?;
    held.map(|_| ()).ok_or_else(|| NOT_FOUND.into())
}

/// Writes what a timer of version `decided_on` has become, plans its alerts anew and tells its viewers; `false` when it
/// is of another version by now.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn replace(
    conn: &mut AsyncPgConnection,
    id: SessionId,
    decided_on: i64,
    timer: &Timer,
    Replan { kept_until, planned }: Replan,
) -> Outcome<bool> {
    let seconds = |deadline: &Deadline| i32::try_from(deadline.remaining_ms / 1_000).unwrap_or(i32::MAX);
    let statement = Replace {
        row: Row::of(id, timer)?,
        decided_on,
        kept_until,
        alerts: planned.iter().map(|deadline| deadline.alert.name()).collect(),
        remaining: planned.iter().map(seconds).collect(),
        due: planned.iter().map(|deadline| deadline.due_at).collect(),
        once_keys: planned.into_iter().map(|deadline| deadline.once_key).collect(),
    };
    Ok(statement.execute(conn).await? == 1)
}

/// Lets the timer of a session stand still that ends at `now`, and tells its viewers. Call in the transaction that ends
/// the session, while it holds its row and before it is written.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn halt(conn: &mut AsyncPgConnection, id: SessionId, now: DateTime<Utc>) -> Outcome<()> {
    let row = timers::table.find(id.0).select(<Row as Selectable<diesel::pg::Pg>>::construct_selection()).for_update();
    let Some(timer) = row.first::<Row>(conn).await.optional()?.map(Row::timer).transpose()? else { return Ok(()) };
    if let Some(halted) = timer.halt(now) {
        replace(conn, id, timer.version, &halted, timer.replan(&halted, now)).await?;
    }
    Ok(())
}
