//! The rows of steps.
//!
//! A running step carries a lease, by the database's clock, that its process renews. When the lease has passed the
//! process is gone: the step is marked interrupted with what was kept of it, and the conversation can go on.
//!
//! What was said and answered is sealed on its way in and opened on its way out, with the vault of the conversation's
//! owner: one that was opened for writing before the transaction locked anything, or one for reading.

use chassis::problem::{Outcome, Problem};
use chrono::{DateTime, Utc};
use diesel::{
    DecoratableTarget, ExpressionMethods, OptionalExtension, QueryDsl, SelectableHelper,
    dsl::{exists, select, sql},
    result::{DatabaseErrorKind, Error},
    sql_types::{Bool, Timestamptz},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    companion::StepStatus,
    ids::{ConversationId, StepId},
    page::Limit,
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    BUSY,
    kept::seal_ends,
    row::{NewRow, StepRow},
};
use crate::{
    schema::emotion_steps,
    vault::{Column, PersonVault},
};

pub use super::row::{NewStep, Step};

/// When a lease that is taken or renewed now ends: three renewals may be missed.
const NEW_LEASE: &str = "clock_timestamp() + interval '6 seconds'";
/// Whether a lease has passed.
const LEASE_PASSED: &str = "lease_until < clock_timestamp()";
const RUNNING: [&str; 2] = [StepStatus::Pending.name(), StepStatus::Streaming.name()];
/// What a reply may still be finished from. A process that was believed gone may come back with the whole reply.
const UNFINISHED: [&str; 3] =
    [StepStatus::Pending.name(), StepStatus::Streaming.name(), StepStatus::Interrupted.name()];

/// A reply as far as it got.
#[derive(Clone, Copy, Default)]
pub struct Progress<'a> {
    /// The text.
    pub text: &'a str,
    /// Where its pieces end, bytes.
    pub ends: &'a [u32],
}

impl Progress<'_> {
    fn seq(&self) -> i32 {
        i32::try_from(self.ends.len()).unwrap_or(i32::MAX)
    }
}

/// How a reply ended. Numbers that are not known are left as they are.
#[derive(Clone, Copy)]
pub struct Ended<'a> {
    /// What there is of it.
    pub reply: Progress<'a>,
    /// How.
    pub status: StepStatus,
    /// When.
    pub at: DateTime<Utc>,
    /// Who answered in the end, when that is not who was asked first.
    pub provider: Option<&'a str>,
    /// The model that answered.
    pub model: Option<&'a str>,
    /// Why the model stopped, in its provider's words.
    pub finish_reason: Option<&'a str>,
    /// Tokens of the prompt, by the provider's count.
    pub prompt_tokens: Option<i32>,
    /// Tokens of the reply, by the provider's count.
    pub completion_tokens: Option<i32>,
    /// Tokens of the reply, by ours.
    pub reply_tokens: Option<i32>,
    /// Milliseconds until the first piece.
    pub ttft_ms: Option<i32>,
}

impl<'a> Ended<'a> {
    /// Describes an end of which nothing else is known.
    pub const fn new(reply: Progress<'a>, status: StepStatus, at: DateTime<Utc>) -> Self {
        Self {
            reply,
            status,
            at,
            provider: None,
            model: None,
            finish_reason: None,
            prompt_tokens: None,
            completion_tokens: None,
            reply_tokens: None,
            ttft_ms: None,
        }
    }
}

/// What a step's row was written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// A step of its own.
    New,
    /// The client had said this before: a step with its `client_msg_id` is there.
    Repeated,
}

/// Returns the next place in a conversation whose row the transaction holds.
///
/// # Errors
/// [`BUSY`] while a reply is being written.
pub async fn next_order(conn: &mut AsyncPgConnection, conversation: ConversationId) -> Outcome<i32> {
    // Only the last step can be running: nothing is added while one runs.
    let last: Option<(Uuid, i32, String, bool)> = emotion_steps::table
        .filter(emotion_steps::session_id.eq(conversation.0))
        .order(emotion_steps::step_order.desc())
        .select((emotion_steps::id, emotion_steps::step_order, emotion_steps::status, sql::<Bool>(LEASE_PASSED)))
        .first(conn)
        .await
        .optional()?;
    let Some((id, order, status, lease_passed)) = last else { return Ok(1) };
    if StepStatus::parse(&status).is_some_and(StepStatus::is_running) {
        if !lease_passed {
            return Err(Problem::from(BUSY).with("step_id", id));
        }
        let abandoned = emotion_steps::table.find(id);
        diesel::update(abandoned)
            .set((
                emotion_steps::status.eq(StepStatus::Interrupted.name()),
                emotion_steps::finished_at.eq(sql("clock_timestamp()")),
            ))
            .execute(conn)
            .await?;
    }
    order.checked_add(1).ok_or_else(|| Problem::unexpected("a conversation has no more places"))
}

/// Writes a step and takes its lease, unless the client has said it before.
///
/// The transaction that holds the conversation's row may look with [`find_said`] first; this settles the race of those
/// that do not hold it.
///
/// # Errors
/// [`BUSY`] when another process was first.
pub async fn insert(conn: &mut AsyncPgConnection, vault: &PersonVault, step: NewStep<'_>) -> Outcome<Written> {
    let row = NewRow::seal(vault, &step)?;
    let written = diesel::insert_into(emotion_steps::table)
        .values((row, emotion_steps::lease_until.eq(sql::<Timestamptz>(NEW_LEASE))))
        .on_conflict((emotion_steps::session_id, emotion_steps::client_msg_id))
        .filter_target(emotion_steps::client_msg_id.is_not_null())
        .do_nothing()
        .execute(conn)
        .await;
    match written {
        Ok(0) => Ok(Written::Repeated),
        Ok(_) => Ok(Written::New),
        Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => Err(BUSY.into()),
        Err(other) => Err(other.into()),
    }
}

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

/// Begins an interrupted or failed reply again, in the same step: takes the lease, forgets what was kept of the try
/// before, and returns which try this is; nothing when the step is not one that may be tried again.
///
/// # Errors
/// [`BUSY`] while another reply of the conversation is being written.
pub async fn try_again(conn: &mut AsyncPgConnection, vault: &PersonVault, id: StepId) -> Outcome<Option<i32>> {
    let again = [StepStatus::Interrupted.name(), StepStatus::Failed.name()];
    let begun = diesel::update(emotion_steps::table.find(id.0).filter(emotion_steps::status.eq_any(again)))
        .set((
            emotion_steps::status.eq(StepStatus::Streaming.name()),
            emotion_steps::gpt_response.eq(""),
            emotion_steps::gpt_response_sealed.eq(vault.seal(id.0, Column::GptResponse, "")?),
            emotion_steps::reply_seq.eq(0),
            emotion_steps::reply_ends_sealed.eq(None::<Vec<u8>>),
            emotion_steps::attempt.eq(emotion_steps::attempt + 1),
            emotion_steps::finished_at.eq(None::<DateTime<Utc>>),
            emotion_steps::lease_until.eq(sql::<Timestamptz>(NEW_LEASE)),
        ))
        .returning(emotion_steps::attempt)
        .get_result(conn)
        .await
        .optional();
    begun.map_err(|error| match error {
        Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => BUSY.into(),
        other => other.into(),
    })
}

/// Keeps what was written so far and renews the lease; returns whether the step is still there, running or not.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn checkpoint(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    id: StepId,
    reply: Progress<'_>,
) -> Outcome<bool> {
    let kept = diesel::update(emotion_steps::table.find(id.0).filter(emotion_steps::status.eq_any(RUNNING)))
        .set((
            emotion_steps::gpt_response_sealed.eq(vault.seal(id.0, Column::GptResponse, reply.text)?),
            emotion_steps::reply_seq.eq(reply.seq()),
            emotion_steps::reply_ends_sealed.eq(seal_ends(vault, id, reply.ends)?),
            emotion_steps::lease_until.eq(sql::<Timestamptz>(NEW_LEASE)),
        ))
        .execute(conn)
        .await?;
    Ok(kept > 0 || select(exists(emotion_steps::table.find(id.0))).get_result(conn).await?)
}

/// Keeps a reply as it ended; returns whether it was still unfinished.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn finish(conn: &mut AsyncPgConnection, vault: &PersonVault, id: StepId, ended: Ended<'_>) -> Outcome<bool> {
    // Fields that are not known are skipped: a tuple of `Option`s leaves its empty ones out of the statement.
    let known = (
        ended.provider.map(|provider| emotion_steps::provider.eq(provider)),
        ended.model.map(|model| emotion_steps::model.eq(model)),
        ended.finish_reason.map(|reason| emotion_steps::finish_reason.eq(reason)),
        ended.prompt_tokens.map(|tokens| emotion_steps::prompt_tokens.eq(tokens)),
        ended.completion_tokens.map(|tokens| emotion_steps::completion_tokens.eq(tokens)),
        ended.reply_tokens.map(|tokens| emotion_steps::reply_tokens.eq(tokens)),
        ended.ttft_ms.map(|ms| emotion_steps::ttft_ms.eq(ms)),
    );
    let finished = diesel::update(emotion_steps::table.find(id.0).filter(emotion_steps::status.eq_any(UNFINISHED)))
        .set((
            emotion_steps::gpt_response_sealed.eq(vault.seal(id.0, Column::GptResponse, ended.reply.text)?),
            emotion_steps::reply_seq.eq(ended.reply.seq()),
            emotion_steps::reply_ends_sealed.eq(seal_ends(vault, id, ended.reply.ends)?),
            emotion_steps::status.eq(ended.status.name()),
            emotion_steps::finished_at.eq(ended.at),
            known,
        ))
        .execute(conn)
        .await?;
    Ok(finished > 0)
}

/// Keeps the feeling of a step; returns whether the step is still there.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn keep_emotion(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    id: StepId,
    emotion: &Value,
) -> Outcome<bool> {
    let sealed = vault.seal_json(id.0, Column::StepEmotion, emotion)?;
    let judged = diesel::update(emotion_steps::table.find(id.0)).set(emotion_steps::emotion_sealed.eq(sealed));
    Ok(judged.execute(conn).await? > 0)
}

/// Raises the level of danger that a step shows; it is never lowered.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn raise_risk(conn: &mut AsyncPgConnection, id: StepId, level: i16) -> Outcome<()> {
    let calmer = emotion_steps::table.find(id.0).filter(emotion_steps::risk_level.lt(level));
    diesel::update(calmer).set(emotion_steps::risk_level.eq(level)).execute(conn).await?;
    Ok(())
}

/// Marks every step whose process is gone; returns how many there were.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn interrupt_abandoned(conn: &mut AsyncPgConnection) -> Outcome<usize> {
    let abandoned =
        emotion_steps::table.filter(emotion_steps::status.eq_any(RUNNING)).filter(sql::<Bool>(LEASE_PASSED));
    let marked = diesel::update(abandoned)
        .set((
            emotion_steps::status.eq(StepStatus::Interrupted.name()),
            emotion_steps::finished_at.eq(sql("clock_timestamp()")),
        ))
        .execute(conn)
        .await?;
    Ok(marked)
}

/// Finds a step.
///
/// # Errors
/// Returns a problem when the database is away, or the step was altered behind our back.
pub async fn find(conn: &mut AsyncPgConnection, vault: &PersonVault, id: StepId) -> Outcome<Option<Step>> {
    let found = emotion_steps::table.find(id.0).select(StepRow::as_select()).first(conn).await;
    found.optional()?.map(|row| row.open(vault)).transpose()
}

/// Finds the step that a client calls by a name of its own.
///
/// # Errors
/// As [`find`].
pub async fn find_said(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    conversation: ConversationId,
    client_msg_id: &str,
) -> Outcome<Option<Step>> {
    let found = emotion_steps::table
        .filter(emotion_steps::session_id.eq(conversation.0))
        .filter(emotion_steps::client_msg_id.eq(client_msg_id))
        .select(StepRow::as_select())
        .first(conn)
        .await;
    found.optional()?.map(|row| row.open(vault)).transpose()
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
