//! The row of the operator's instructions.

use chassis::problem::{Outcome, Problem};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, dsl::sql, sql_types::Timestamptz};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::instructions::BYTES_MAX;
use crate::schema::emotion_instructions;

/// The one row.
const ROW: i16 = 1;

/// Finds the instructions.
///
/// # Errors
/// Returns a problem when the database is away.
pub(crate) async fn find(mut conn: &AsyncPgConnection) -> Outcome<Option<String>> {
    let found = emotion_instructions::table.find(ROW).select(emotion_instructions::text).first(&mut conn).await;
    Ok(found.optional()?)
}

/// Sets them.
///
/// # Errors
/// Returns a problem when they are empty, longer than 8 KiB, or hold a NUL, and when the database is away.
pub(crate) async fn put(conn: &mut AsyncPgConnection, text: &str) -> Outcome<()> {
    let text = text.trim();
    if text.is_empty() || text.len() > BYTES_MAX || text.contains('\0') {
        return Err(Problem::unexpected("a system prompt has 1 to 8,192 bytes and no NUL"));
    }
    let now = || sql::<Timestamptz>("clock_timestamp()");
    diesel::insert_into(emotion_instructions::table)
        .values((emotion_instructions::id.eq(ROW), emotion_instructions::text.eq(text)))
        .on_conflict(emotion_instructions::id)
        .do_update()
        .set((emotion_instructions::text.eq(text), emotion_instructions::updated_at.eq(now())))
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes them.
///
/// # Errors
/// Returns a problem when the database is away.
pub(crate) async fn delete(conn: &mut AsyncPgConnection) -> Outcome<()> {
    diesel::delete(emotion_instructions::table.find(ROW)).execute(conn).await?;
    Ok(())
}
