//! The rows of people's prompts, sealed.

use chassis::problem::Outcome;
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
    dsl::{exists, max, select},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::ids::UserId;
use uuid::Uuid;

use crate::{
    schema::{emotion_prompts, person_keys},
    vault::{Column, PersonVault},
};

/// Versions that are kept of one person.
const VERSIONS_KEPT: i32 = 20;

/// The prompt in force. It has no `Debug`, so that no log line can show it.
#[derive(Clone)]
pub struct ActivePrompt {
    /// What it says.
    pub text: String,
    /// Which version it is.
    pub version: i32,
    /// When it was set.
    pub created_at: DateTime<Utc>,
}

/// A prompt to be put in force.
pub(super) struct NewPrompt {
    pub(super) id: Uuid,
    pub(super) text: String,
    pub(super) now: DateTime<Utc>,
}

/// A version, and until when it was in force.
pub type Version = (ActivePrompt, Option<DateTime<Utc>>);

/// The prompt in force, as its row has it.
#[derive(Queryable, Selectable)]
#[diesel(table_name = emotion_prompts, check_for_backend(diesel::pg::Pg))]
pub(crate) struct SealedPrompt {
    id: Uuid,
    prompt_sealed: Vec<u8>,
    version: i32,
    created_at: DateTime<Utc>,
}

impl SealedPrompt {
    /// Opens what is sealed.
    pub(crate) fn open(self, vault: &PersonVault) -> Outcome<ActivePrompt> {
        let text = vault.open(self.id, Column::Prompt, &self.prompt_sealed)?;
        Ok(ActivePrompt { text, version: self.version, created_at: self.created_at })
    }
}

/// Finds the prompt that is in force.
///
/// # Errors
/// Returns a problem when the database is away, or the row was altered behind our back.
pub async fn active(conn: &mut AsyncPgConnection, vault: &PersonVault, owner: UserId) -> Outcome<Option<ActivePrompt>> {
    sealed(conn, owner).await?.map(|sealed| sealed.open(vault)).transpose()
}

/// As [`active`], and leaves it sealed.
///
/// # Errors
/// Returns a problem when the database is away.
pub(crate) async fn sealed(mut conn: &AsyncPgConnection, owner: UserId) -> Outcome<Option<SealedPrompt>> {
    let found = emotion_prompts::table
        .filter(emotion_prompts::user_id.eq(owner.0))
        .filter(emotion_prompts::retired_at.is_null())
        .select(SealedPrompt::as_select())
        .first(&mut conn)
        .await;
    Ok(found.optional()?)
}

/// Lets one change of a person's prompt after the other, until the transaction ends; whoever writes messages meanwhile is
/// not kept waiting.
pub(super) async fn one_at_a_time(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<()> {
    let key = person_keys::table.find(owner.0).select(person_keys::user_id);
    let _held: Vec<Uuid> = key.for_no_key_update().load(conn).await?;
    Ok(())
}

/// Puts a prompt in force in place of the one before.
pub(super) async fn put(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    owner: UserId,
    new: NewPrompt,
) -> Outcome<ActivePrompt> {
    retire(conn, owner, new.now).await?;
    let theirs = emotion_prompts::table.filter(emotion_prompts::user_id.eq(owner.0));
    let last: Option<i32> = theirs.select(max(emotion_prompts::version)).get_result(conn).await?;
    let version = last.unwrap_or_default() + 1;
    diesel::insert_into(emotion_prompts::table)
        .values((
            emotion_prompts::id.eq(new.id),
            emotion_prompts::user_id.eq(owner.0),
            emotion_prompts::version.eq(version),
            emotion_prompts::prompt_sealed.eq(vault.seal(new.id, Column::Prompt, &new.text)?),
            emotion_prompts::created_at.eq(new.now),
        ))
        .execute(conn)
        .await?;
    let old = theirs.filter(emotion_prompts::version.le(version - VERSIONS_KEPT));
    diesel::delete(old).execute(conn).await?;
    Ok(ActivePrompt { text: new.text, version, created_at: new.now })
}

/// Takes the prompt out of force.
pub(super) async fn retire(conn: &mut AsyncPgConnection, owner: UserId, at: DateTime<Utc>) -> Outcome<()> {
    let theirs = emotion_prompts::table.filter(emotion_prompts::user_id.eq(owner.0));
    diesel::update(theirs.filter(emotion_prompts::retired_at.is_null()))
        .set(emotion_prompts::retired_at.eq(at))
        .execute(conn)
        .await?;
    Ok(())
}

/// Lists every version that is kept, the newest first.
///
/// # Errors
/// As [`active`].
pub async fn list(conn: &mut AsyncPgConnection, vault: &PersonVault, owner: UserId) -> Outcome<Vec<Version>> {
    type Row = (Uuid, Vec<u8>, i32, DateTime<Utc>, Option<DateTime<Utc>>);
    let found: Vec<Row> = emotion_prompts::table
        .filter(emotion_prompts::user_id.eq(owner.0))
        .order(emotion_prompts::version.desc())
        .select((
            emotion_prompts::id,
            emotion_prompts::prompt_sealed,
            emotion_prompts::version,
            emotion_prompts::created_at,
            emotion_prompts::retired_at,
        ))
        .load(conn)
        .await?;
    let open = |(id, sealed, version, created_at, retired_at): Row| {
        let text = vault.open(id, Column::Prompt, &sealed)?;
        Ok((ActivePrompt { text, version, created_at }, retired_at))
    };
    found.into_iter().map(open).collect()
}

/// Deletes every version of a person's; returns how many.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn erase(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<usize> {
    let theirs = emotion_prompts::table.filter(emotion_prompts::user_id.eq(owner.0));
    Ok(diesel::delete(theirs).execute(conn).await?)
}

/// Returns whether a person has a version.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn has_any(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<bool> {
    Ok(select(exists(emotion_prompts::table.filter(emotion_prompts::user_id.eq(owner.0)))).get_result(conn).await?)
}
