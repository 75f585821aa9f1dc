//! The rows of people's keys.

use chassis::problem::Outcome;
use diesel::{
    ExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
    dsl::{exists as exists_in, select},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::ids::UserId;
use uuid::Uuid;

use crate::schema::person_keys;

/// A person's key, wrapped.
#[derive(Queryable, Selectable)]
#[diesel(table_name = person_keys, check_for_backend(diesel::pg::Pg))]
pub(crate) struct WrappedKey {
    pub(super) wrapped_key: Vec<u8>,
    pub(super) master_key_id: String,
}

/// Finds a person's key.
pub(super) async fn find(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<Option<WrappedKey>> {
    let found = person_keys::table.find(owner.0).select(WrappedKey::as_select()).first(conn).await;
    Ok(found.optional()?)
}

/// Finds a person's key and keeps it from being erased until the transaction ends.
pub(super) async fn hold(mut conn: &AsyncPgConnection, owner: UserId) -> Outcome<Option<WrappedKey>> {
    let theirs = person_keys::table.find(owner.0).select(WrappedKey::as_select());
    Ok(theirs.for_key_share().first(&mut conn).await.optional()?)
}

/// Keeps a key, unless the person has one.
pub(super) async fn insert_missing(conn: &mut AsyncPgConnection, owner: UserId, key: &WrappedKey) -> Outcome<()> {
    diesel::insert_into(person_keys::table)
        .values((
            person_keys::user_id.eq(owner.0),
            person_keys::wrapped_key.eq(&key.wrapped_key),
            person_keys::master_key_id.eq(&key.master_key_id),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    Ok(())
}

/// Puts a key that was wrapped anew in the place of the same key.
pub(super) async fn replace(conn: &mut AsyncPgConnection, owner: Uuid, key: &WrappedKey) -> Outcome<()> {
    diesel::update(person_keys::table.find(owner))
        .set((person_keys::wrapped_key.eq(&key.wrapped_key), person_keys::master_key_id.eq(&key.master_key_id)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Lists some keys that a master key wrapped, and holds them; those that somebody else holds are left to them.
pub(super) async fn hold_some_of(
    conn: &mut AsyncPgConnection,
    master_key_id: &str,
    limit: i64,
) -> Outcome<Vec<(Uuid, WrappedKey)>> {
    let theirs = person_keys::table
        .filter(person_keys::master_key_id.eq(master_key_id))
        .order(person_keys::user_id)
        .limit(limit)
        .select((person_keys::user_id, WrappedKey::as_select()));
    Ok(theirs.for_no_key_update().skip_locked().load(conn).await?)
}

/// Deletes a person's key; returns whether there was one.
pub(super) async fn delete(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<bool> {
    Ok(diesel::delete(person_keys::table.find(owner.0)).execute(conn).await? > 0)
}

/// Returns whether a person has a key.
pub(super) async fn exists(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<bool> {
    Ok(select(exists_in(person_keys::table.find(owner.0))).get_result(conn).await?)
}
