//! The rows of timers, and the clock they are read by.

use chassis::problem::{Outcome, Problem};
use chrono::{DateTime, Utc};
use diesel::{
    AsChangeset, ExpressionMethods, Insertable, NullableExpressionMethods, OptionalExtension, QueryDsl, Queryable,
    Selectable, define_sql_function,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{SessionId, UserId},
    session::NOT_FOUND,
    timer::{Plan, Run, Timer},
};
use serde_json::Value;
use uuid::Uuid;

use crate::schema::{sessions, timers};

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
}

#[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = timers, check_for_backend(diesel::pg::Pg), treat_none_as_null = true)]
struct Row {
    session_id: Uuid,
    duration_seconds: i32,
    alerts: Value,
    started_at: Option<DateTime<Utc>>,
    anchor_at: Option<DateTime<Utc>>,
    paused_at: Option<DateTime<Utc>>,
    accumulated_ms: i64,
    version: i64,
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
    let found: Option<(Option<Row>, DateTime<Utc>)> = sessions::table
        .left_join(timers::table)
        .filter(sessions::id.eq(id.0))
        .filter(sessions::user_id.eq(owner.0))
        .select((<Row as Selectable<diesel::pg::Pg>>::construct_selection().nullable(), clock_timestamp()))
        .first(conn)
        .await
        .optional()?;
    let (row, now) = found.ok_or(NOT_FOUND)?;
    Ok(Seen { timer: row.map(Row::timer).transpose()?, now })
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

/// Writes the first timer of a session; `false` when somebody else just did.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert(conn: &mut AsyncPgConnection, id: SessionId, timer: &Timer) -> Outcome<bool> {
    let row = Row::of(id, timer)?;
    let written = diesel::insert_into(timers::table).values(&row).on_conflict_do_nothing().execute(conn).await?;
    Ok(written == 1)
}

/// Writes what a timer of version `decided_on` has become; `false` when it is of another version by now.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn replace(conn: &mut AsyncPgConnection, id: SessionId, decided_on: i64, timer: &Timer) -> Outcome<bool> {
    let row = Row::of(id, timer)?;
    let of_that_version = timers::table.filter(timers::session_id.eq(id.0)).filter(timers::version.eq(decided_on));
    Ok(diesel::update(of_that_version).set(&row).execute(conn).await? == 1)
}
