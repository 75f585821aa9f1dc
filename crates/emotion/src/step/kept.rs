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

/// Writes the lengths of pieces down, bytes.
pub(super) fn write_lengths(lengths: &[u32]) -> String {
    let mut text = String::with_capacity(lengths.len() * 3);
    for length in lengths {
        text.push_str(&length.to_string());
        text.push(' ');
    }
    text
}

fn open_lengths(vault: &PersonVault, id: StepId, sealed: Option<&[u8]>) -> Outcome<Option<Vec<u32>>> {
    let text = sealed.map(|sealed| vault.open(id.0, Column::ReplyEnds, sealed)).transpose()?;
    Ok(text.and_then(|text| text.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()))
}

/// The text of a reply as it was kept. It has no `Debug`.
pub struct KeptText {
    /// The text.
    pub text: String,
    /// The length of each of its pieces, bytes; nothing when that is not known.
    pub lengths: Option<Vec<u32>>,
}

/// A step with the pieces of its reply. It has no `Debug`.
pub struct KeptReply {
    /// The step.
    pub step: Step,
    /// The length of each piece, bytes; nothing when that is not known.
    pub lengths: Option<Vec<u32>>,
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
    Ok(Some(KeptReply { step: row.open(vault)?, lengths: open_lengths(vault, id, sealed.as_deref())? }))
}

/// Reads as much of a reply as is kept of it, in one try.
///
/// # Errors
/// Returns a problem when the database is away, or the step was altered behind our back.
pub async fn find_text(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    id: StepId,
    attempt: i32,
) -> Outcome<Option<KeptText>> {
    type Sealed = Option<Vec<u8>>;
    let found: Option<(Sealed, Sealed)> = emotion_steps::table
        .find(id.0)
        .filter(emotion_steps::attempt.eq(attempt))
        .select((emotion_steps::gpt_response_sealed, emotion_steps::reply_ends_sealed))
        .first(conn)
        .await
        .optional()?;
    let Some((Some(text), lengths)) = found else { return Ok(None) };
    let text = vault.open(id.0, Column::GptResponse, &text)?;
    Ok(Some(KeptText { text, lengths: open_lengths(vault, id, lengths.as_deref())? }))
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
