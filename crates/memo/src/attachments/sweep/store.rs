//! What has ended, what was not looked for, and what is known.

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{BoolExpressionMethods, ExpressionMethods, PgSortExpressionMethods, QueryDsl, SelectableHelper};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use crate::{
    attachments::store::{Attachment, INITIATED, READY, REJECTED},
    schema::{attachments, unowned_objects},
};

/// Deletes files whose upload was permitted and can no longer come at `until`, and those that were rejected before
/// `rejected_until`, at most `limit` of each; their objects follow. Returns how many.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn delete_ended(
    conn: &mut AsyncPgConnection,
    until: DateTime<Utc>,
    rejected_until: DateTime<Utc>,
    limit: i64,
) -> Outcome<usize> {
    let expired = attachments::state.eq(INITIATED).and(attachments::upload_expires_at.le(until));
    let rejected = attachments::state.eq(REJECTED).and(attachments::created_at.le(rejected_until));
    let ended = attachments::table.filter(expired.or(rejected)).limit(limit).select(attachments::id);
    let ended: Vec<Uuid> = ended.load(conn).await?;
    if ended.is_empty() {
        return Ok(0);
    }
    // Looked at again: an upload may have been permitted once more.
    let still = attachments::table.filter(attachments::id.eq_any(ended)).filter(expired.or(rejected));
    Ok(diesel::delete(still).execute(conn).await?)
}

/// Lists files that are ready and whose object was not looked for since `before`, the longest unseen first.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list_unseen(conn: &mut AsyncPgConnection, before: DateTime<Utc>, limit: i64) -> Outcome<Vec<Attachment>> {
    let unseen = attachments::seen_at.is_null().or(attachments::seen_at.le(before));
    let old = attachments::state.eq(READY).and(attachments::ready_at.le(before));
    let rows = attachments::table.filter(old).filter(unseen).order(attachments::seen_at.asc().nulls_first());
    Ok(rows.limit(limit).select(Attachment::as_select()).load(conn).await?)
}

/// Remembers that the object of a ready file was looked for at `now`, and whether it was there; returns whether a file
/// that was shown so far is missing now.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn saw(conn: &mut AsyncPgConnection, id: Uuid, is_there: bool, now: DateTime<Utc>) -> Outcome<bool> {
    let file = attachments::table.find(id);
    if is_there {
        let change = (attachments::seen_at.eq(now), attachments::missing_since.eq(None::<DateTime<Utc>>));
        diesel::update(file).set(change).execute(conn).await?;
        return Ok(false);
    }
    diesel::update(file).set(attachments::seen_at.eq(now)).execute(conn).await?;
    let shown = file.filter(attachments::missing_since.is_null());
    Ok(diesel::update(shown).set(attachments::missing_since.eq(now)).execute(conn).await? == 1)
}

/// Returns which of these objects are some file's, or are written down as nobody's.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn known_of(
    conn: &mut AsyncPgConnection,
    keys: &[String],
    ids: &[Uuid],
) -> Outcome<(Vec<Uuid>, Vec<String>)> {
    let owned = attachments::table.filter(attachments::id.eq_any(ids).or(attachments::object_id.eq_any(ids)));
    let owned: Vec<(Uuid, Option<Uuid>)> = owned.select((attachments::id, attachments::object_id)).load(conn).await?;
    let written = unowned_objects::table.filter(unowned_objects::object_key.eq_any(keys));
    let written = written.select(unowned_objects::object_key).load(conn).await?;
    Ok((owned.into_iter().flat_map(|(id, object)| [Some(id), object]).flatten().collect(), written))
}
