//! A person's focus sessions, for whoever shows or erases all that is kept of them.

use std::collections::HashMap;

use chassis::problem::{Outcome, Problem};
use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, QueryDsl, SelectableHelper,
    dsl::{exists, select},
    sql_query,
    sql_types::{Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    contract::FOCUS_COMPLETED,
    ids::UserId,
    person::{ERASE_ROWS, ExportDocument},
    time::Instant,
};
use serde::Serialize;
use uuid::Uuid;

use super::store::{Last, Row};
use crate::schema::{focus_intervals, focus_sessions};

/// The part of an export that holds focus sessions.
pub const FOCUS_SESSIONS: &str = "focus_sessions";
/// Sessions that are read at once; the texts of one may have 30 kB.
const PAGE: i64 = 200;

/// A focus session with everything that is kept of it.
#[derive(Serialize)]
struct Exported {
    id: Uuid,
    subject: String,
    goal: Option<String>,
    duration: i32,
    break_duration: i32,
    tags: Vec<String>,
    reflection: Option<String>,
    status: String,
    accumulated_ms: i64,
    running_since: Option<Instant>,
    due_at: Option<Instant>,
    ended_at: Option<Instant>,
    created_at: Instant,
    updated_at: Instant,
    intervals: Vec<Interval>,
}

#[derive(Serialize)]
struct Interval {
    started_at: Instant,
    ended_at: Instant,
}

impl Exported {
    fn new(row: Row, intervals: Vec<Interval>) -> Self {
        Self {
            id: row.id,
            subject: row.subject,
            goal: row.goal,
            duration: row.duration_minutes,
            break_duration: row.break_minutes,
            tags: row.tags,
            reflection: row.reflection,
            status: row.status,
            accumulated_ms: row.accumulated_ms,
            running_since: row.anchor_at.map(Instant),
            due_at: row.due_at.map(Instant),
            ended_at: row.ended_at.map(Instant),
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
            intervals,
        }
    }
}

/// Adds a person's focus sessions to a document, newest first, as far as there is room.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn show(conn: &mut AsyncPgConnection, owner: UserId, document: &mut ExportDocument) -> Outcome<()> {
    let mut last = None;
    loop {
        let page = list(conn, owner, last).await?;
        last = page.last().map(|row| (row.created_at, row.id));
        if last.is_none() {
            return Ok(());
        }
        let mut intervals = intervals(conn, &page).await?;
        for row in page {
            let own = intervals.remove(&row.id).unwrap_or_default();
            if !document.push(FOCUS_SESSIONS, &Exported::new(row, own)).map_err(Problem::unexpected)? {
                return Ok(());
            }
        }
    }
}

async fn list(conn: &mut AsyncPgConnection, owner: UserId, last: Option<Last>) -> Outcome<Vec<Row>> {
    let mut query = focus_sessions::table
        .filter(focus_sessions::user_id.eq(owner.0))
        .order((focus_sessions::created_at.desc(), focus_sessions::id.desc()))
        .limit(PAGE)
        .select(Row::as_select())
        .into_boxed();
    if let Some((created_at, id)) = last {
        let older = focus_sessions::created_at.lt(created_at).or(focus_sessions::id.lt(id));
        query = query.filter(focus_sessions::created_at.le(created_at)).filter(older);
    }
    Ok(query.load(conn).await?)
}

async fn intervals(conn: &mut AsyncPgConnection, sessions: &[Row]) -> Outcome<HashMap<Uuid, Vec<Interval>>> {
    let ids: Vec<_> = sessions.iter().map(|row| row.id).collect();
    let found: Vec<(Uuid, DateTime<Utc>, DateTime<Utc>)> = focus_intervals::table
        .filter(focus_intervals::session_id.eq_any(ids))
        .order(focus_intervals::started_at)
        .select((focus_intervals::session_id, focus_intervals::started_at, focus_intervals::ended_at))
        .load(conn)
        .await?;
    let mut by_session: HashMap<Uuid, Vec<Interval>> = HashMap::new();
    for (session, started_at, ended_at) in found {
        let interval = Interval { started_at: started_at.into(), ended_at: ended_at.into() };
        by_session.entry(session).or_default().push(interval);
    }
    Ok(by_session)
}

/// Deletes some of a person's focus sessions with their spans, and the news of them that was not delivered; returns how
/// many sessions and spans there were.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn delete_some(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<(usize, usize)> {
    let some: Vec<Uuid> = focus_sessions::table
        .filter(focus_sessions::user_id.eq(owner.0))
        .order(focus_sessions::id)
        .limit(ERASE_ROWS)
        .select(focus_sessions::id)
        // So that a span that is being written is there to be counted.
        .for_update()
        .load(conn)
        .await?;
    let spans = focus_intervals::table.filter(focus_intervals::session_id.eq_any(&some));
    let intervals = diesel::delete(spans).execute(conn).await?;
    let rows = focus_sessions::table.filter(focus_sessions::id.eq_any(&some));
    let sessions = diesel::delete(rows).execute(conn).await?;
    sql_query("DELETE FROM outbox WHERE topic = $1 AND payload->>'user_id' = $2::text")
        .bind::<Text, _>(FOCUS_COMPLETED)
        .bind::<SqlUuid, _>(owner.0)
        .execute(conn)
        .await?;
    Ok((sessions, intervals))
}

/// Returns whether a person has a focus session.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn has_any(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<bool> {
    let theirs = focus_sessions::table.filter(focus_sessions::user_id.eq(owner.0));
    Ok(select(exists(theirs)).get_result(conn).await?)
}
