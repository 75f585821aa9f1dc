//! The rows of steps.
//!
//! A running step carries a lease, by the database's clock, that its process renews. When the lease has passed the
//! process is gone: the step is marked interrupted with what was kept of it, and the conversation can go on.

use chassis::problem::{Outcome, Problem};
use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
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
use uuid::Uuid;

use super::BUSY;
use crate::schema::emotion_steps;

/// When a lease that is taken or renewed now ends: three renewals may be missed.
const NEW_LEASE: &str = "clock_timestamp() + interval '6 seconds'";
/// Whether a lease has passed.
const LEASE_PASSED: &str = "lease_until < clock_timestamp()";
const RUNNING: [&str; 2] = [StepStatus::Pending.name(), StepStatus::Streaming.name()];
/// What a reply may still be finished from. A process that was believed gone may come back with the whole reply.
const UNFINISHED: [&str; 3] =
    [StepStatus::Pending.name(), StepStatus::Streaming.name(), StepStatus::Interrupted.name()];

/// A step.
#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = emotion_steps, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Step {
    pub id: Uuid,
    pub session_id: Uuid,
    pub step_order: i32,
    pub step_type: String,
    pub user_input: String,
    pub gpt_response: String,
    pub status: String,
    pub provider: String,
    pub insight_tag: Option<String>,
    pub emotion: Option<serde_json::Value>,
    pub created_at: DateTime<Utc>,
}

impl Step {
    /// Returns how far the reply is; a status this version does not know counts as interrupted.
    pub fn status(&self) -> StepStatus {
        StepStatus::parse(&self.status).unwrap_or(StepStatus::Interrupted)
    }
}

/// A step to be written.
#[derive(Clone, Copy, Insertable)]
#[diesel(table_name = emotion_steps)]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct NewStep<'a> {
    pub id: Uuid,
    pub session_id: Uuid,
    pub step_order: i32,
    pub step_type: &'a str,
    pub user_input: &'a str,
    pub gpt_response: &'a str,
    pub status: &'static str,
    pub provider: &'static str,
    pub insight_tag: Option<&'a str>,
    pub created_at: DateTime<Utc>,
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
            return Err(BUSY.into());
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

/// Writes a step and takes its lease.
///
/// # Errors
/// [`BUSY`] when another process was first.
pub async fn insert(conn: &mut AsyncPgConnection, step: NewStep<'_>) -> Outcome<()> {
    diesel::insert_into(emotion_steps::table)
        .values((step, emotion_steps::lease_until.eq(sql::<Timestamptz>(NEW_LEASE))))
        .execute(conn)
        .await
        .map_err(|error| match error {
            Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => BUSY.into(),
            other => Problem::from(other),
        })?;
    Ok(())
}

/// Writes steps that are finished.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert_all(conn: &mut AsyncPgConnection, steps: &[NewStep<'_>]) -> Outcome<()> {
    let rows: Vec<_> = steps
        .iter()
        .map(|step| {
            let written_at = step.created_at;
            (*step, emotion_steps::lease_until.eq(written_at), emotion_steps::finished_at.eq(written_at))
        })
        .collect();
    diesel::insert_into(emotion_steps::table).values(rows).execute(conn).await?;
    Ok(())
}

/// Keeps what was written so far and renews the lease; returns whether the step is still there, running or not.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn checkpoint(conn: &mut AsyncPgConnection, id: StepId, text: &str) -> Outcome<bool> {
    let kept = diesel::update(emotion_steps::table.find(id.0).filter(emotion_steps::status.eq_any(RUNNING)))
        .set((emotion_steps::gpt_response.eq(text), emotion_steps::lease_until.eq(sql::<Timestamptz>(NEW_LEASE))))
        .execute(conn)
        .await?;
    Ok(kept > 0 || select(exists(emotion_steps::table.find(id.0))).get_result(conn).await?)
}

/// Keeps a reply as it ended; returns whether it was still unfinished.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn finish(
    conn: &mut AsyncPgConnection,
    id: StepId,
    text: &str,
    status: StepStatus,
    at: DateTime<Utc>,
) -> Outcome<bool> {
    let finished = diesel::update(emotion_steps::table.find(id.0).filter(emotion_steps::status.eq_any(UNFINISHED)))
        .set((
            emotion_steps::gpt_response.eq(text),
            emotion_steps::status.eq(status.name()),
            emotion_steps::finished_at.eq(at),
        ))
        .execute(conn)
        .await?;
    Ok(finished > 0)
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
/// Returns a problem when the database is away.
pub async fn find(conn: &mut AsyncPgConnection, id: StepId) -> Outcome<Option<Step>> {
    let found = emotion_steps::table.find(id.0).select(Step::as_select()).first(conn).await;
    Ok(found.optional()?)
}

/// Lists a conversation's steps in their order, after place `after`; one more than `limit`, if there is one.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list_of(
    conn: &mut AsyncPgConnection,
    conversation: ConversationId,
    limit: Limit,
    after: i32,
) -> Outcome<Vec<Step>> {
    let found = emotion_steps::table
        .filter(emotion_steps::session_id.eq(conversation.0))
        .filter(emotion_steps::step_order.gt(after))
        .order(emotion_steps::step_order)
        .limit(limit.rows() + 1)
        .select(Step::as_select())
        .load(conn)
        .await?;
    Ok(found)
}

/// Counts a conversation's steps.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn count_of(conn: &mut AsyncPgConnection, conversation: ConversationId) -> Outcome<i64> {
    let steps = emotion_steps::table.filter(emotion_steps::session_id.eq(conversation.0));
    Ok(steps.count().get_result(conn).await?)
}
