//! The rows of conversations. What a person wrote is sealed on its way in and opened on its way out, with the vault of
//! the conversation's owner.

use chassis::{prepared::Prepare, problem::Outcome};
use diesel::{BoolExpressionMethods, ExpressionMethods, OptionalExtension, QueryDsl, SelectableHelper};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{ConversationId, UserId},
    page::Limit,
};
use serde_json::Value;

use super::row::{ConversationRow, NewRow};
use crate::{
    schema::emotion_sessions,
    vault::{Column, PersonVault},
};

pub use super::row::Conversation;

/// Writes a conversation unless it is there; returns whether it was new.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert_missing(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    conversation: &Conversation,
) -> Outcome<bool> {
    let made = diesel::insert_into(emotion_sessions::table)
        .values(NewRow::seal(vault, conversation)?)
        .on_conflict_do_nothing()
        // Its text differs by which notes are there: a handful of texts.
        .prepared()
        .execute(conn)
        .await?;
    Ok(made > 0)
}

/// Finds a conversation of `owner`.
///
/// # Errors
/// Returns a problem when the database is away, or the conversation was altered behind our back.
pub async fn find(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    owner: UserId,
    id: ConversationId,
) -> Outcome<Option<Conversation>> {
    let found = emotion_sessions::table
        .find(id.0)
        .filter(emotion_sessions::user_id.eq(owner.0))
        .select(ConversationRow::as_select())
        .first(conn)
        .await;
    found.optional()?.map(|row| row.open(vault)).transpose()
}

/// Finds a conversation of `owner` and holds its row until the transaction ends.
///
/// # Errors
/// As [`find`].
pub async fn lock(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    owner: UserId,
    id: ConversationId,
) -> Outcome<Option<Conversation>> {
    lock_row(conn, owner, id).await?.map(|row| row.open(vault)).transpose()
}

/// As [`lock`], and leaves it sealed.
///
/// # Errors
/// Returns a problem when the database is away.
pub(crate) async fn lock_row(
    mut conn: &AsyncPgConnection,
    owner: UserId,
    id: ConversationId,
) -> Outcome<Option<ConversationRow>> {
    let found = emotion_sessions::table
        .find(id.0)
        .filter(emotion_sessions::user_id.eq(owner.0))
        .select(ConversationRow::as_select())
        .for_update()
        .first(&mut conn)
        .await;
    Ok(found.optional()?)
}

/// Lists a person's conversations, newest first, after the one at `after`; one more than `limit`, if there is one.
///
/// # Errors
/// As [`find`].
pub async fn list_of(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    owner: UserId,
    limit: Limit,
    after: Option<&Conversation>,
) -> Outcome<Vec<Conversation>> {
    let mut query = emotion_sessions::table
        .filter(emotion_sessions::user_id.eq(owner.0))
        .order((emotion_sessions::started_at.desc(), emotion_sessions::id.desc()))
        .limit(limit.rows() + 1)
        .select(ConversationRow::as_select())
        .into_boxed();
    if let Some(last) = after {
        let same_instant = emotion_sessions::started_at.eq(last.started_at).and(emotion_sessions::id.lt(last.id));
        query = query.filter(emotion_sessions::started_at.lt(last.started_at).or(same_instant));
    }
    let found: Vec<ConversationRow> = query.load(conn).await?;
    found.into_iter().map(|row| row.open(vault)).collect()
}

/// Counts a person's conversations.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn count_of(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<i64> {
    let count = emotion_sessions::table.filter(emotion_sessions::user_id.eq(owner.0)).count().get_result(conn).await;
    Ok(count?)
}

/// Keeps the end of a conversation whose row the transaction holds, with what was put down about it.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn keep_end(conn: &mut AsyncPgConnection, vault: &PersonVault, ended: &Conversation) -> Outcome<()> {
    let note = |column, text: &Option<String>| vault.seal_note(ended.id, column, text.as_deref());
    let open = emotion_sessions::table.find(ended.id).filter(emotion_sessions::ended_at.is_null());
    diesel::update(open)
        .set((
            emotion_sessions::ended_at.eq(ended.ended_at),
            emotion_sessions::emotion_label_sealed.eq(note(Column::EmotionLabel, &ended.emotion_label)?),
            emotion_sessions::topic_sealed.eq(note(Column::Topic, &ended.topic)?),
            emotion_sessions::trigger_summary_sealed.eq(note(Column::TriggerSummary, &ended.trigger_summary)?),
            emotion_sessions::insight_summary_sealed.eq(note(Column::InsightSummary, &ended.insight_summary)?),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// What the rules of a conversation remember from one turn to the next: numbers and names, never a word of the person's.
#[derive(Clone, Default)]
pub struct Course<'a> {
    /// The step of the arc.
    pub arc_step: i16,
    /// What else the arc remembers.
    pub arc_state: Option<&'a Value>,
    /// The level of danger of this turn; the conversation keeps the highest.
    pub risk_level: i16,
    /// What the rules of danger remember.
    pub risk_state: Option<&'a Value>,
    /// The version of the person's prompt that was given.
    pub prompt_version: Option<i32>,
}

/// Keeps where a conversation stands after a turn.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn keep_course(mut conn: &AsyncPgConnection, id: ConversationId, course: Course<'_>) -> Outcome<()> {
    diesel::sql_query(
        "UPDATE emotion_sessions SET arc_step = $2, arc_state = $3, risk_level = greatest(risk_level, $4), \
         risk_state = $5, prompt_version = $6 WHERE id = $1",
    )
    .bind::<diesel::sql_types::Uuid, _>(id.0)
    .bind::<diesel::sql_types::SmallInt, _>(course.arc_step)
    .bind::<diesel::sql_types::Nullable<diesel::sql_types::Jsonb>, _>(course.arc_state)
    .bind::<diesel::sql_types::SmallInt, _>(course.risk_level)
    .bind::<diesel::sql_types::Nullable<diesel::sql_types::Jsonb>, _>(course.risk_state)
    .bind::<diesel::sql_types::Nullable<diesel::sql_types::Integer>, _>(course.prompt_version)
    .prepared()
    .execute(&mut conn)
    .await?;
    Ok(())
}

/// What was said until a step, in short. It has no `Debug`, so that no log line can show it.
#[derive(Clone)]
pub struct RollingSummary {
    /// The text.
    pub text: String,
    /// The last step that is in it.
    pub order: i32,
    /// How many tokens it has.
    pub tokens: i32,
}

/// Keeps a rolling summary, unless one that reaches as far is there.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn keep_rolling_summary(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    id: ConversationId,
    summary: &RollingSummary,
) -> Outcome<bool> {
    let shorter = emotion_sessions::table.find(id.0).filter(emotion_sessions::rolling_summary_order.lt(summary.order));
    let kept = diesel::update(shorter)
        .set((
            emotion_sessions::rolling_summary_sealed.eq(vault.seal(id.0, Column::RollingSummary, &summary.text)?),
            emotion_sessions::rolling_summary_order.eq(summary.order),
            emotion_sessions::rolling_summary_tokens.eq(summary.tokens),
        ))
        .execute(conn)
        .await?;
    Ok(kept > 0)
}

/// Deletes a conversation of `owner` with its steps; returns whether it was there.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn delete(conn: &mut AsyncPgConnection, owner: UserId, id: ConversationId) -> Outcome<bool> {
    let theirs = emotion_sessions::table.find(id.0).filter(emotion_sessions::user_id.eq(owner.0));
    Ok(diesel::delete(theirs).execute(conn).await? > 0)
}
