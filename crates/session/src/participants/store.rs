//! The rows of participants.

use chassis::problem::{Outcome, Problem};
use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, IntoSql, JoinOnDsl, NullableExpressionMethods,
    OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
    dsl::{IntervalDsl, exists, now, select},
    result::{DatabaseErrorKind, Error},
    sql_types::Timestamptz,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{ParticipantId, SessionId, UserId},
    page::Limit,
    session::{
        NOT_FOUND, SessionStatus,
        lifecycle::NOT_ACTIVE,
        participant::{FULL, PARTICIPANTS_MAX},
    },
};
use uuid::Uuid;

use crate::{
    schema::{participants, sessions},
    timer::store::clock_timestamp,
};

/// How long it is known of somebody who left that they were there, days.
const KEPT_DAYS: i32 = 30;

/// Somebody who is, or was, in a session.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = participants, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Participant {
    pub id: Uuid,
    pub session_id: Uuid,
    pub user_id: Option<Uuid>,
    pub display_name: String,
    pub joined_at: DateTime<Utc>,
    pub left_at: Option<DateTime<Utc>>,
}

/// Somebody who comes in.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = participants, treat_none_as_default_value = false)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct NewParticipant {
    pub id: Uuid,
    pub session_id: Uuid,
    pub user_id: Option<Uuid>,
    pub display_name: String,
    pub join_key: Option<Vec<u8>>,
}

/// Writes somebody who comes in; nothing when this person, or a guest with this key, is in already.
///
/// # Errors
/// [`NOT_FOUND`] when the session has just been deleted.
pub async fn insert(conn: &mut AsyncPgConnection, new: &NewParticipant) -> Outcome<Option<Participant>> {
    let came = diesel::insert_into(participants::table)
        .values((new, participants::joined_at.eq(clock_timestamp())))
        .on_conflict_do_nothing()
        .returning(Participant::as_returning())
        .get_result(conn)
        .await
        .optional();
    came.map_err(|error| match error {
        Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => NOT_FOUND.into(),
        other => Problem::from(other),
    })
}

/// Finds the place that somebody has in a session: a person, or a guest by the key.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn find_of(conn: &mut AsyncPgConnection, new: &NewParticipant) -> Outcome<Option<Participant>> {
    let inside = participants::table
        .filter(participants::session_id.eq(new.session_id))
        .filter(participants::left_at.is_null())
        .select(Participant::as_select())
        .into_boxed();
    let theirs = match (new.user_id, &new.join_key) {
        (Some(person), _) => inside.filter(participants::user_id.eq(person)),
        (None, Some(key)) => inside.filter(participants::join_key.eq(key)),
        (None, None) => return Ok(None),
    };
    Ok(theirs.first(conn).await.optional()?)
}

/// Counts one more in a session, if people may come in now and there is room; returns how many are in it.
///
/// The row of the session is what everybody waits for who comes in: this is a transaction's last statement but one.
///
/// # Errors
/// [`NOT_ACTIVE`], [`FULL`] or [`NOT_FOUND`].
pub async fn count_in(conn: &mut AsyncPgConnection, session: Uuid) -> Outcome<i32> {
    let open = sessions::table
        .filter(sessions::id.eq(session))
        .filter(sessions::status.eq(SessionStatus::Active.name()))
        .filter(sessions::participant_count.lt(PARTICIPANTS_MAX));
    let counted: Option<i32> = diesel::update(open)
        .set(sessions::participant_count.eq(sessions::participant_count + 1))
        .returning(sessions::participant_count)
        .get_result(conn)
        .await
        .optional()?;
    if let Some(count) = counted {
        return Ok(count);
    }
    let status: Option<String> = sessions::table.find(session).select(sessions::status).first(conn).await.optional()?;
    Err(match status.as_deref() {
        None => NOT_FOUND.into(),
        Some(status) if status == SessionStatus::Active.name() => FULL.into(),
        Some(_) => NOT_ACTIVE.into(),
    })
}

/// Takes somebody out of a session; returns how many are left, or nothing when they are not in it.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn take_out(conn: &mut AsyncPgConnection, session: SessionId, who: ParticipantId) -> Outcome<Option<i32>> {
    // The session first: whoever deletes it goes from it to its participants too.
    let held: Option<Uuid> =
        sessions::table.find(session.0).select(sessions::id).for_no_key_update().first(conn).await.optional()?;
    if held.is_none() {
        return Ok(None);
    }
    let inside = participants::table
        .filter(participants::id.eq(who.0))
        .filter(participants::session_id.eq(session.0))
        .filter(participants::left_at.is_null());
    let left = diesel::update(inside).set(participants::left_at.eq(clock_timestamp().nullable())).execute(conn).await?;
    if left == 0 {
        return Ok(None);
    }
    let count = diesel::update(sessions::table.find(session.0))
        .set(sessions::participant_count.eq(sessions::participant_count - 1))
        .returning(sessions::participant_count)
        .get_result(conn)
        .await?;
    Ok(Some(count))
}

/// Returns whether somebody is in a session.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn is_in(conn: &mut AsyncPgConnection, session: SessionId, who: ParticipantId) -> Outcome<bool> {
    let inside = participants::table
        .filter(participants::id.eq(who.0))
        .filter(participants::session_id.eq(session.0))
        .filter(participants::left_at.is_null());
    Ok(select(exists(inside)).get_result(conn).await?)
}

/// Finds a session's owner, and the place that a person has in it.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn place_of(
    conn: &mut AsyncPgConnection,
    session: SessionId,
    person: UserId,
) -> Outcome<Option<(UserId, Option<ParticipantId>)>> {
    let theirs = participants::session_id
        .eq(sessions::id)
        .and(participants::user_id.eq(person.0))
        .and(participants::left_at.is_null());
    let found: Option<(Uuid, Option<Uuid>)> = sessions::table
        .left_join(participants::table.on(theirs))
        .filter(sessions::id.eq(session.0))
        .select((sessions::user_id, participants::id.nullable()))
        .first(conn)
        .await
        .optional()?;
    Ok(found.map(|(owner, place)| (UserId(owner), place.map(ParticipantId))))
}

/// Returns how many are in a person's session; nothing when there is no such session of theirs.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn count_of_own(conn: &mut AsyncPgConnection, owner: UserId, session: SessionId) -> Outcome<Option<i32>> {
    let own = sessions::table.filter(sessions::id.eq(session.0)).filter(sessions::user_id.eq(owner.0));
    Ok(own.select(sessions::participant_count).first(conn).await.optional()?)
}

/// Lists those who are in a session, the last to come first.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list(
    conn: &mut AsyncPgConnection,
    session: SessionId,
    limit: Limit,
    offset: i64,
) -> Outcome<Vec<Participant>> {
    Ok(participants::table
        .filter(participants::session_id.eq(session.0))
        .filter(participants::left_at.is_null())
        .order((participants::joined_at.desc(), participants::id.desc()))
        .limit(limit.rows())
        .offset(offset)
        .select(Participant::as_select())
        .load(conn)
        .await?)
}

/// Forgets those who left long ago; returns how many.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn forget_departed(conn: &mut AsyncPgConnection) -> Outcome<usize> {
    let long_gone = participants::left_at.lt((now.into_sql::<Timestamptz>() - KEPT_DAYS.days()).nullable());
    Ok(diesel::delete(participants::table.filter(long_gone)).execute(conn).await?)
}
