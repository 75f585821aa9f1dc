//! The rows of steps, to be read. Those whose reply is being written are [`running`](super::running)'s.
//!
//! What was said and answered is sealed on its way in and opened on its way out, with the vault of the conversation's
//! owner: one that was opened for writing before the transaction locked anything, or one for reading.

use chassis::problem::Outcome;
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, SelectableHelper};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    ids::{ConversationId, StepId},
    page::Limit,
};

use super::row::{NewRow, StepRow};
use crate::{
    schema::{emotion_sessions, emotion_steps},
    vault::PersonVault,
};

pub use super::row::{NewStep, Step};

/// Writes steps that are finished.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert_all(conn: &mut AsyncPgConnection, vault: &PersonVault, steps: &[NewStep<'_>]) -> Outcome<()> {
    let mut rows = Vec::with_capacity(steps.len());
    for step in steps {
        let written_at = step.created_at;
        let row = NewRow::seal(vault, step)?;
        rows.push((row, emotion_steps::lease_until.eq(written_at), emotion_steps::finished_at.eq(written_at)));
    }
    diesel::insert_into(emotion_steps::table).values(rows).execute(conn).await?;
    Ok(())
}

/// Finds a step.
///
/// # Errors
/// Returns a problem when the database is away, or the step was altered behind our back.
pub async fn find(conn: &mut AsyncPgConnection, vault: &PersonVault, id: StepId) -> Outcome<Option<Step>> {
    let found = emotion_steps::table.find(id.0).select(StepRow::as_select()).first(conn).await;
    found.optional()?.map(|row| row.open(vault)).transpose()
}

/// Finds the step that a client calls by a name of its own, sealed.
///
/// # Errors
/// Returns a problem when the database is away.
pub(crate) async fn find_said(
    mut conn: &AsyncPgConnection,
    conversation: ConversationId,
    client_msg_id: &str,
) -> Outcome<Option<StepRow>> {
    let found = emotion_steps::table
        .filter(emotion_steps::session_id.eq(conversation.0))
        .filter(emotion_steps::client_msg_id.eq(client_msg_id))
        .select(StepRow::as_select())
        .first(&mut conn)
        .await;
    Ok(found.optional()?)
}

/// Lists the newest steps of a conversation that its rolling summary does not hold, sealed, the newest first.
///
/// # Errors
/// Returns a problem when the database is away.
pub(crate) async fn list_not_summed_up(
    mut conn: &AsyncPgConnection,
    conversation: ConversationId,
    limit: i64,
) -> Outcome<Vec<StepRow>> {
    let found = emotion_steps::table
        .inner_join(emotion_sessions::table)
        .filter(emotion_steps::session_id.eq(conversation.0))
        .filter(emotion_steps::step_order.gt(emotion_sessions::rolling_summary_order))
        .order(emotion_steps::step_order.desc())
        .limit(limit)
        .select(StepRow::as_select())
        .load(&mut conn)
        .await;
    Ok(found?)
}

/// Lists a conversation's steps in their order, after place `after`; one more than `limit`, if there is one.
///
/// # Errors
/// As [`find`].
pub async fn list_of(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    conversation: ConversationId,
    limit: Limit,
    after: i32,
) -> Outcome<Vec<Step>> {
    let found = emotion_steps::table
        .filter(emotion_steps::session_id.eq(conversation.0))
        .filter(emotion_steps::step_order.gt(after))
        .order(emotion_steps::step_order)
        .limit(limit.rows() + 1)
        .select(StepRow::as_select())
        .load(conn)
        .await?;
    found.into_iter().map(|row| row.open(vault)).collect()
}

/// Lists the newest steps of a conversation that come after place `after`, the newest first.
///
/// # Errors
/// As [`find`].
pub async fn list_newest(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    conversation: ConversationId,
    after: i32,
    limit: i64,
) -> Outcome<Vec<Step>> {
    let found = emotion_steps::table
        .filter(emotion_steps::session_id.eq(conversation.0))
        .filter(emotion_steps::step_order.gt(after))
        .order(emotion_steps::step_order.desc())
        .limit(limit)
        .select(StepRow::as_select())
        .load(conn)
        .await?;
    found.into_iter().map(|row| row.open(vault)).collect()
}

/// Counts a conversation's steps.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn count_of(conn: &mut AsyncPgConnection, conversation: ConversationId) -> Outcome<i64> {
    let steps = emotion_steps::table.filter(emotion_steps::session_id.eq(conversation.0));
    Ok(steps.count().get_result(conn).await?)
}
