//! The log of what viewers are told, and the state they are shown.

use chassis::{
    prepared::Prepare,
    problem::{Outcome, Problem},
};
use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName, sql_query,
    sql_types::{Array, BigInt, Integer, Jsonb, Nullable, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{ParticipantId, SessionId},
    timer::Timer,
};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::event::{Event, Left, Topic};
use crate::{qr::Pictures, sessions::store::Session, timer};

/// Events read at once.
pub const BATCH: usize = 500;
/// How long events are kept for viewers that come back; a talk is over long before.
const KEPT_DAYS: i32 = 2;

/// An event of the log.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number in its session.
    pub seq: i64,
    /// What it is about.
    pub topic: Topic,
    /// What is told, unless it is a state.
    pub body: Option<Value>,
}

impl Entry {
    /// Returns who has left, where somebody has.
    pub fn departed(&self) -> Option<ParticipantId> {
        let body = self.body.as_ref().filter(|_| self.topic == Topic::Participants)?;
        Left::deserialize(body).ok().map(|left| left.left)
    }
}

/// What a session and its timer are at one instant of the database's clock.
#[derive(Debug)]
pub struct State {
    /// The session.
    pub session: Session,
    /// The picture of its link, for its owner.
    pub qr_code_url: Option<String>,
    /// Its timer, once it was set up.
    pub timer: Option<Timer>,
    /// The instant.
    pub now: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Appended {
    #[diesel(sql_type = Nullable<BigInt>)]
    seq: Option<i64>,
}

#[derive(QueryableByName)]
struct EntryRow {
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Nullable<Jsonb>)]
    body: Option<Value>,
}

#[derive(QueryableByName)]
struct LastRow {
    #[diesel(sql_type = SqlUuid)]
    session_id: Uuid,
    #[diesel(sql_type = BigInt)]
    seq: i64,
}

/// Appends an event to a session's log in the transaction that makes it true, as its last statement: the session's log
/// is locked until the commit. Returns its number; nothing when it was told before under its key.
///
/// Who appends holds the session's row, shared or its own, from the beginning of the transaction: then it can neither be
/// deleted underneath, nor do the two wait for each other.
///
/// # Errors
/// Returns a problem when the database is away or the session is gone.
pub async fn append(conn: &mut AsyncPgConnection, id: SessionId, event: &Event) -> Outcome<Option<i64>> {
    let appended: Appended = sql_query("SELECT append_session_event($1, $2, $3, $4) AS seq")
        .bind::<SqlUuid, _>(id.0)
        .bind::<Text, _>(event.topic.name())
        .bind::<Nullable<Jsonb>, _>(&event.body)
        .bind::<Nullable<Text>, _>(&event.once_key)
        .prepared()
        .get_result(conn)
        .await?;
    Ok(appended.seq)
}

/// Lists what came after number `after`, oldest first, at most [`BATCH`].
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list_after(conn: &mut AsyncPgConnection, id: SessionId, after: i64) -> Outcome<Vec<Entry>> {
    let rows: Vec<EntryRow> = sql_query(
        "SELECT seq, kind, body FROM session_events WHERE session_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
    )
    .bind::<SqlUuid, _>(id.0)
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(i64::try_from(BATCH).unwrap_or(i64::MAX))
    .prepared()
    .load(conn)
    .await?;
    let entry = |row: EntryRow| {
        let topic = Topic::parse(&row.kind).ok_or_else(|| Problem::unexpected("an event of no known kind"))?;
        Ok(Entry { seq: row.seq, topic, body: row.body })
    };
    rows.into_iter().map(entry).collect()
}

/// Returns the last number, or zero, of each of these sessions that is there.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn last(conn: &mut AsyncPgConnection, ids: &[Uuid]) -> Outcome<Vec<(SessionId, i64)>> {
    // One look at the index for each session, however long its log is.
    let rows: Vec<LastRow> = sql_query(
        "SELECT s.id AS session_id, coalesce(e.seq, 0) AS seq FROM sessions s LEFT JOIN LATERAL \
         (SELECT seq FROM session_events WHERE session_id = s.id ORDER BY seq DESC LIMIT 1) e ON true \
         WHERE s.id = ANY($1)",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .prepared()
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (SessionId(row.session_id), row.seq)).collect())
}

/// Reads what a session and its timer are now; nothing when it is gone.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find_state(conn: &mut AsyncPgConnection, id: SessionId, pictures: &Pictures) -> Outcome<Option<State>> {
    let found = timer::store::find_with_session(conn, id).await?;
    Ok(found.map(|(session, seen)| State {
        qr_code_url: pictures.data_url(&session.session_code),
        session,
        timer: seen.timer,
        now: seen.now,
    }))
}

/// Deletes old events, but for the last of each session, from which its numbers go on; returns how many.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn prune(conn: &mut AsyncPgConnection) -> Outcome<usize> {
    Ok(sql_query(
        "DELETE FROM session_events e WHERE ctid IN (SELECT o.ctid FROM session_events o \
         WHERE o.created_at < clock_timestamp() - make_interval(days => $1) AND EXISTS (SELECT FROM session_events n \
         WHERE n.session_id = o.session_id AND n.seq > o.seq) LIMIT 5000)",
    )
    .bind::<Integer, _>(KEPT_DAYS)
    .execute(conn)
    .await?)
}
