//! What is kept of a person as a participant: their places in others' sessions, and who came to theirs.

use std::collections::BTreeMap;

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, QueryDsl, SelectableHelper,
    dsl::{exists, select},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{ParticipantId, SessionId, UserId},
    person::ERASE_ROWS,
    time::Instant,
};
use serde::Serialize;
use uuid::Uuid;

use super::store::Participant;
use crate::{
    schema::{participants, sessions},
    stream::{self, event::Event},
};

/// Rows that are read at once.
const PAGE: i64 = 1_000;

/// Somebody's place in a session, as an export shows it.
#[derive(Debug, Serialize)]
pub struct ExportedPlace {
    id: Uuid,
    session_id: Uuid,
    display_name: String,
    joined_at: Instant,
    left_at: Option<Instant>,
}

impl From<Participant> for ExportedPlace {
    fn from(participant: Participant) -> Self {
        Self {
            id: participant.id,
            session_id: participant.session_id,
            display_name: participant.display_name,
            joined_at: participant.joined_at.into(),
            left_at: participant.left_at.map(Instant),
        }
    }
}

/// Which places are meant.
#[derive(Clone, Copy, Debug)]
pub enum Places {
    /// Those a person has taken.
    TakenBy(UserId),
    /// Those in a person's own sessions.
    InSessionsOf(UserId),
}

/// Lists places in the order of their ids, after the last of the page before; an empty page is the end.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list(conn: &mut AsyncPgConnection, places: Places, last: Option<Uuid>) -> Outcome<Vec<Participant>> {
    let mut query = participants::table
        .inner_join(sessions::table)
        .order(participants::id)
        .limit(PAGE)
        .select(Participant::as_select())
        .into_boxed();
    query = match places {
        Places::TakenBy(person) => query.filter(participants::user_id.eq(person.0)),
        Places::InSessionsOf(person) => query.filter(sessions::user_id.eq(person.0)),
    };
    if let Some(last) = last {
        query = query.filter(participants::id.gt(last));
    }
    Ok(query.load(conn).await?)
}

/// Erases some of the places that a person has taken, so that the counts of those sessions stay right; returns how many,
/// and in which sessions there is one fewer now.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn erase_some(conn: &mut AsyncPgConnection, person: UserId) -> Outcome<(usize, Vec<SessionId>)> {
    let theirs: Vec<(Uuid, Uuid)> = participants::table
        .filter(participants::user_id.eq(person.0))
        .order(participants::id)
        .limit(ERASE_ROWS)
        .select((participants::id, participants::session_id))
        .load(conn)
        .await?;
    let (places, rooms): (Vec<Uuid>, Vec<Uuid>) = theirs.into_iter().unzip();
    // The sessions first and in one order, as everybody who takes places out of them.
    sessions::table
        .filter(sessions::id.eq_any(rooms))
        .order(sessions::id)
        .select(sessions::id)
        .for_no_key_update()
        .load::<Uuid>(conn)
        .await?;
    let gone: Vec<(Uuid, Uuid, Option<DateTime<Utc>>)> =
        diesel::delete(participants::table.filter(participants::id.eq_any(places)))
            .returning((participants::session_id, participants::id, participants::left_at))
            .get_results(conn)
            .await?;
    // A person is in a session once, so each of these loses one.
    let left: BTreeMap<Uuid, Uuid> =
        gone.iter().filter(|(.., left_at)| left_at.is_none()).map(|(session, place, _)| (*session, *place)).collect();
    diesel::update(sessions::table.filter(sessions::id.eq_any(left.keys())))
        .set(sessions::participant_count.eq(sessions::participant_count - 1))
        .execute(conn)
        .await?;
    for (session, place) in &left {
        stream::store::append(conn, SessionId(*session), &Event::left(ParticipantId(*place))?).await?;
    }
    Ok((gone.len(), left.into_keys().map(SessionId).collect()))
}

/// Returns whether a person has taken any place.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn has_any(conn: &mut AsyncPgConnection, person: UserId) -> Outcome<bool> {
    Ok(select(exists(participants::table.filter(participants::user_id.eq(person.0)))).get_result(conn).await?)
}
