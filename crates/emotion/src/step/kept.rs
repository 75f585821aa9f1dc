//! Replies as they were kept, with the places where their pieces end: what is read on from any piece.

use chassis::problem::Outcome;
use diesel::{BoolExpressionMethods, ExpressionMethods, OptionalExtension, QueryDsl, SelectableHelper};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    companion::StepStatus,
    ids::{ConversationId, StepId, UserId},
};
use uuid::Uuid;

use super::row::{Step, StepRow};
use crate::{
    schema::{emotion_sessions, emotion_steps},
    vault::{Column, PersonVault},
};

/// Seals where the pieces of a reply end, as the length of each.
pub(super) fn seal_ends(vault: &PersonVault, id: StepId, ends: &[u32]) -> Outcome<Vec<u8>> {
    let mut text = String::with_capacity(ends.len() * 3);
    let mut before = 0;
    for end in ends {
        text.push_str(&end.saturating_sub(before).to_string());
        text.push(' ');
        before = *end;
    }
    vault.seal(id.0, Column::ReplyEnds, &text)
}

fn open_ends(vault: &PersonVault, id: StepId, sealed: &[u8]) -> Outcome<Option<Vec<u32>>> {
    let text = vault.open(id.0, Column::ReplyEnds, sealed)?;
    let lengths: Result<Vec<u32>, _> = text.split_whitespace().map(str::parse).collect();
    let sum = |end: &mut u32, length: u32| {
        *end = end.checked_add(length)?;
        Some(*end)
    };
    Ok(lengths.ok().map(|lengths| lengths.into_iter().scan(0, sum).collect()))
}

/// A step with the pieces of its reply. It has no `Debug`.
pub struct KeptReply {
    /// The step.
    pub step: Step,
    /// Where the pieces end; nothing when that is not known.
    pub ends: Option<Vec<u32>>,
}

/// Finds a step of a conversation of `owner`, with the pieces of its reply.
///
/// # Errors
/// Returns a problem when the database is away, or the step was altered behind our back.
pub async fn find_reply(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    owner: UserId,
    id: StepId,
) -> Outcome<Option<KeptReply>> {
    let found: Option<(StepRow, Option<Vec<u8>>)> = emotion_steps::table
        .inner_join(emotion_sessions::table)
        .filter(emotion_steps::id.eq(id.0).and(emotion_sessions::user_id.eq(owner.0)))
        .select((StepRow::as_select(), emotion_steps::reply_ends_sealed))
        .first(conn)
        .await
        .optional()?;
    let Some((row, sealed)) = found else { return Ok(None) };
    let ends = sealed.map(|sealed| open_ends(vault, id, &sealed)).transpose()?.flatten();
    Ok(Some(KeptReply { step: row.open(vault)?, ends }))
}

/// Returns how far the reply of a step of `owner` is.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn status_of(conn: &mut AsyncPgConnection, owner: UserId, id: StepId) -> Outcome<Option<StepStatus>> {
    let found: Option<String> = emotion_steps::table
        .inner_join(emotion_sessions::table)
        .filter(emotion_steps::id.eq(id.0).and(emotion_sessions::user_id.eq(owner.0)))
        .select(emotion_steps::status)
        .first(conn)
        .await
        .optional()?;
    Ok(found.map(|status| StepStatus::parse(&status).unwrap_or(StepStatus::Interrupted)))
}

/// Returns the newest step of a conversation of `owner`.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn newest_of(
    conn: &mut AsyncPgConnection,
    owner: UserId,
    conversation: ConversationId,
) -> Outcome<Option<StepId>> {
    let found: Option<Uuid> = emotion_steps::table
        .inner_join(emotion_sessions::table)
        .filter(emotion_steps::session_id.eq(conversation.0).and(emotion_sessions::user_id.eq(owner.0)))
        .order(emotion_steps::step_order.desc())
        .select(emotion_steps::id)
        .first(conn)
        .await
        .optional()?;
    Ok(found.map(StepId))
}
