//! Objects that no file owns: the table that nothing in the object storage escapes.
//!
//! Whoever is about to bring an object into being writes its key here first, with the time at which it is to be deleted;
//! the transaction that makes a file its owner takes the key out. When a file's row is deleted, the database writes its
//! keys here in the same transaction. So a process may die between any two steps: what was not taken is deleted by the
//! [sweep](super::sweep), and its bytes count against its person until it is gone.

use std::time::Duration;

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, Insertable, QueryDsl, QueryableByName, sql_query,
    sql_types::{BigInt, Nullable, Text, Timestamptz},
};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use domain::ids::UserId;
use uuid::Uuid;

use super::store;
use crate::{app::App, schema::unowned_objects};

/// How long an object may be without an owner while a request makes it one's: longer than any request may take.
pub const STAGED_LIFE: Duration = Duration::from_mins(20);
/// How long an upload may go on after its URL has ended: 100 MB at 30 kB/s. The database knows it, too.
pub const UPLOAD_PATIENCE: Duration = Duration::from_hours(1);
/// When a deletion that did not come through is tried again.
const RETRY: Duration = Duration::from_mins(1);

/// An object that no file owns.
#[derive(Debug, Insertable)]
#[diesel(table_name = unowned_objects)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Unowned {
    pub object_key: String,
    pub due_at: DateTime<Utc>,
    pub user_id: Option<Uuid>,
}

/// An object whose deletion has begun.
#[derive(Debug, QueryableByName)]
pub struct Dying {
    /// Its name.
    #[diesel(sql_type = Text)]
    pub object_key: String,
    /// The upload in parts that may still be open.
    #[diesel(sql_type = Nullable<Text>)]
    pub multipart_id: Option<String>,
}

/// Writes down an object that is about to come into being.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn stage(app: &App, owner: UserId, key: &str) -> Outcome<()> {
    let due_at = app.ground.clock.now() + STAGED_LIFE;
    let mut conn = app.ground.pg.conn().await?;
    expect(&mut conn, &Unowned { object_key: key.to_owned(), due_at, user_id: Some(owner.0) }).await
}

/// Writes down an object that may come into being, or when it is due now.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn expect(conn: &mut AsyncPgConnection, object: &Unowned) -> Outcome<()> {
    diesel::insert_into(unowned_objects::table)
        .values(object)
        .on_conflict(unowned_objects::object_key)
        .do_update()
        .set(unowned_objects::due_at.eq(object.due_at))
        .execute(conn)
        .await?;
    Ok(())
}

/// Takes an object out for its new owner; returns whether it was still to be had.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn adopt(conn: &mut AsyncPgConnection, key: &str) -> Outcome<bool> {
    let living = unowned_objects::table.find(key).filter(unowned_objects::is_dying.eq(false));
    Ok(diesel::delete(living).execute(conn).await? == 1)
}

/// Remembers the upload in parts by which an object comes.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn note_parts(app: &App, key: &str, id: &str) -> Outcome<()> {
    let mut conn = app.ground.pg.conn().await?;
    let row = diesel::update(unowned_objects::table.find(key)).set(unowned_objects::multipart_id.eq(id));
    row.execute(&mut conn).await?;
    Ok(())
}

/// Counts bytes that are about to be added to an object against its person.
///
/// # Errors
/// [`QUOTA_EXCEEDED`](super::QUOTA_EXCEEDED).
pub async fn count(app: &App, owner: UserId, key: &str, bytes: usize) -> Outcome<()> {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        let grown = unowned_objects::counted_bytes.eq(unowned_objects::counted_bytes + bytes);
        diesel::update(unowned_objects::table.find(key)).set(grown).execute(conn).await?;
        store::check_quota(conn, owner, app.config.files.quota_bytes()).await
    })
    .await
}

/// Lets objects be deleted now that nobody will take them.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn abandon(conn: &mut AsyncPgConnection, keys: &[String], now: DateTime<Utc>) -> Outcome<()> {
    let rows = unowned_objects::table.filter(unowned_objects::object_key.eq_any(keys));
    diesel::update(rows).set(unowned_objects::due_at.eq(now)).execute(conn).await?;
    Ok(())
}

/// Begins the deletion of what is due at `now`, the earliest first: from here on nobody can take it, and other replicas
/// leave it alone for a minute.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn begin_deletions(conn: &mut AsyncPgConnection, now: DateTime<Utc>, limit: i64) -> Outcome<Vec<Dying>> {
    let query = sql_query(
        "UPDATE unowned_objects SET is_dying = true, due_at = $2 WHERE object_key IN (\
         SELECT object_key FROM unowned_objects WHERE due_at <= $1 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED) \
         RETURNING object_key, multipart_id",
    );
    let query = query.bind::<Timestamptz, _>(now).bind::<Timestamptz, _>(now + RETRY).bind::<BigInt, _>(limit);
    Ok(query.load(conn).await?)
}

/// Forgets objects that are gone.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn forget(conn: &mut AsyncPgConnection, keys: &[String]) -> Outcome<usize> {
    Ok(diesel::delete(unowned_objects::table.filter(unowned_objects::object_key.eq_any(keys))).execute(conn).await?)
}

/// Forgets objects that are gone already, of those that are due.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn forget_due(conn: &mut AsyncPgConnection, keys: &[String], now: DateTime<Utc>) -> Outcome<usize> {
    let due = unowned_objects::table.filter(unowned_objects::object_key.eq_any(keys));
    Ok(diesel::delete(due.filter(unowned_objects::due_at.le(now))).execute(conn).await?)
}
