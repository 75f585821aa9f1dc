//! The rows of codes: those that sessions have, and those that are kept back.

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, IntoSql, NullableExpressionMethods, QueryDsl,
    dsl::{IntervalDsl, now},
    sql_types::Timestamptz,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::session::SessionCode;

use crate::schema::session_codes;

/// How long the code of a deleted session is not given out again, days: a QR code on a slide or a wall lasts longer than
/// its session, and must not open a stranger's.
pub const KEPT_BACK_DAYS: i32 = 7;

/// Takes a code for a session; `false` when another one has it, or had it not long ago.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn take(conn: &mut AsyncPgConnection, code: &SessionCode) -> Outcome<bool> {
    let taken = diesel::insert_into(session_codes::table)
        .values(session_codes::code.eq(code.as_str()))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    if taken == 1 {
        return Ok(true);
    }
    // Apart, because an upsert would lock codes of others whom one then waits for with more codes in hand.
    let over = session_codes::released_at.lt((now.into_sql::<Timestamptz>() - KEPT_BACK_DAYS.days()).nullable());
    let taken = diesel::update(session_codes::table.filter(session_codes::code.eq(code.as_str())).filter(over))
        .set(session_codes::released_at.eq(None::<DateTime<Utc>>))
        .execute(conn)
        .await?;
    Ok(taken == 1)
}

/// Keeps back the codes of sessions that are deleted in the same transaction.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn retire(conn: &mut AsyncPgConnection, codes: &[String]) -> Outcome<()> {
    let rows: Vec<_> =
        codes.iter().map(|code| (session_codes::code.eq(code), session_codes::released_at.eq(now))).collect();
    diesel::insert_into(session_codes::table)
        .values(&rows)
        .on_conflict(session_codes::code)
        .do_update()
        .set(session_codes::released_at.eq(now))
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets codes that have been kept back long enough; returns how many.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn release(conn: &mut AsyncPgConnection) -> Outcome<usize> {
    let over = session_codes::released_at.lt((now.into_sql::<Timestamptz>() - KEPT_BACK_DAYS.days()).nullable());
    Ok(diesel::delete(session_codes::table.filter(over)).execute(conn).await?)
}
