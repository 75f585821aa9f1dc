//! The judge of completions: one statement, in the database, by the database's clock.
//!
//! Whoever notices that a session is over (the watcher by its index, the look for what is overdue, a request that
//! touches it) runs the same statement. It completes only what still runs and is over, each at its due time, and writes
//! the span and the news of it with it; so a session is completed once, however many notice, and never early. A row that
//! somebody else is changing is left to them and to the next look.

use std::fmt::Write as _;

use chassis::{prepared::Prepare, problem::Outcome};
use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    ExpressionMethods, QueryDsl, QueryableByName, sql_query,
    sql_types::{Array, BigInt, Double, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{contract::FOCUS_COMPLETED, focus::Status};
use uuid::Uuid;

use crate::schema::focus_sessions;

/// Completed by the watcher, or by a request, that knew its id.
const NAMED: &str = "id = ANY($2) AND status = 'started' AND due_at <= clock_timestamp()";
/// Completed because nobody did in time.
const OVERDUE: &str = "status = 'started' AND due_at <= clock_timestamp() - make_interval(secs => $2)";

/// A session that was completed by time.
#[derive(Clone, Copy, Debug, QueryableByName)]
pub struct Completed {
    /// The session.
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    /// How long after its due time, seconds.
    #[diesel(sql_type = Double)]
    pub lag_seconds: f64,
}

/// Completes those of these sessions that run and are over.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn named(conn: &mut AsyncPgConnection, ids: &[Uuid]) -> Outcome<Vec<Completed>> {
    let query = sql_query(statement(NAMED, ""));
    let completed: Vec<Completed> =
        query.bind::<Text, _>(FOCUS_COMPLETED).bind::<Array<SqlUuid>, _>(ids).prepared().load(conn).await?;
    Ok(observed(completed))
}

/// Completes at most `limit` of the sessions that have been over for `grace` and still run, the longest first.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn overdue(conn: &mut AsyncPgConnection, grace: TimeDelta, limit: i64) -> Outcome<Vec<Completed>> {
    let query = sql_query(statement(OVERDUE, "ORDER BY due_at LIMIT $3"));
    let completed: Vec<Completed> = query
        .bind::<Text, _>(FOCUS_COMPLETED)
        .bind::<Double, _>(grace.as_seconds_f64())
        .bind::<BigInt, _>(limit)
        .prepared()
        .load(conn)
        .await?;
    Ok(observed(completed))
}

/// Writes the statement for a choice of rows. `SET` reads the row as it was, so `ended_at` takes the due time.
fn statement(which: &str, order: &str) -> String {
    let mut sql = String::with_capacity(2_048);
    // Writing to a string cannot fail.
    _ = write!(
        sql,
        "WITH due AS MATERIALIZED ( \
             SELECT id, anchor_at FROM focus_sessions WHERE {which} {order} FOR UPDATE SKIP LOCKED \
         ), done AS ( \
             UPDATE focus_sessions f SET status = 'completed', ended_at = f.due_at, \
                 accumulated_ms = f.duration_minutes * 60000::bigint, anchor_at = NULL, due_at = NULL, \
                 version = f.version + 1, updated_at = greatest(f.updated_at, f.due_at) \
             FROM due WHERE f.id = due.id \
             RETURNING f.id, f.user_id, f.ordinal, f.version, f.ended_at, due.anchor_at \
         ), spans AS ( \
             INSERT INTO focus_intervals (session_id, started_at, ended_at, user_id) \
             SELECT id, anchor_at, ended_at, user_id FROM done WHERE ended_at > anchor_at \
         ), news AS ( \
             INSERT INTO outbox (id, topic, payload) \
             SELECT gen_random_uuid(), $1, jsonb_build_object('session_id', id, 'user_id', user_id, \
                 'completed_at', to_char(ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), \
                 'ordinal', ordinal, 'version', version) FROM done \
         ) \
         SELECT id, extract(epoch FROM clock_timestamp() - ended_at)::float8 AS lag_seconds FROM done"
    );
    sql
}

fn observed(completed: Vec<Completed>) -> Vec<Completed> {
    for one in &completed {
        metrics::histogram!("focus_completion_lag_seconds").record(one.lag_seconds);
    }
    metrics::counter!("focus_completed_total").increment(completed.len() as u64);
    completed
}

/// Lists those of these sessions that run, with the instant each is over at.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn running(conn: &mut AsyncPgConnection, ids: &[Uuid]) -> Outcome<Vec<(Uuid, DateTime<Utc>)>> {
    let found: Vec<(Uuid, Option<DateTime<Utc>>)> = focus_sessions::table
        .filter(focus_sessions::id.eq_any(ids))
        .filter(focus_sessions::status.eq(Status::Started.name()))
        .select((focus_sessions::id, focus_sessions::due_at))
        .load(conn)
        .await?;
    Ok(found.into_iter().filter_map(|(id, due_at)| Some((id, due_at?))).collect())
}

/// Lists sessions that run, in the order they are over, after the last of the page before.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn running_after(
    conn: &mut AsyncPgConnection,
    last: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> Outcome<Vec<(Uuid, DateTime<Utc>)>> {
    let mut query = focus_sessions::table
        .filter(focus_sessions::status.eq(Status::Started.name()))
        .order((focus_sessions::due_at.asc(), focus_sessions::id.asc()))
        .limit(limit)
        .select((focus_sessions::id, focus_sessions::due_at))
        .into_boxed();
    if let Some((due_at, id)) = last {
        use diesel::BoolExpressionMethods as _;
        let later =
            focus_sessions::due_at.gt(due_at).or(focus_sessions::due_at.eq(due_at).and(focus_sessions::id.gt(id)));
        query = query.filter(focus_sessions::due_at.ge(due_at)).filter(later);
    }
    let found: Vec<(Uuid, Option<DateTime<Utc>>)> = query.load(conn).await?;
    Ok(found.into_iter().filter_map(|(id, due_at)| Some((id, due_at?))).collect())
}
