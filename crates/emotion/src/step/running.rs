//! The rows of steps whose reply is being written.
//!
//! A running step carries a lease, by the database's clock, that its process renews. When the lease has passed the
//! process is gone: the step is marked interrupted with what was kept of it, and the conversation can go on.

use chassis::{
    prepared::Prepare,
    problem::{Outcome, Problem},
};
use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, OptionalExtension, QueryDsl, QueryableByName,
    dsl::sql,
    result::{DatabaseErrorKind, Error},
    sql_query,
    sql_types::{Array, BigInt, Binary, Bool, Integer, Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    companion::StepStatus,
    ids::{ConversationId, Id, StepId},
};
use serde_json::Value;
use uuid::Uuid;

use super::{BUSY, kept::write_lengths, row::NewStep};
use crate::{
    limit,
    schema::emotion_steps,
    vault::{Column, Part, PersonVault},
};

/// When a lease that is taken or renewed now ends: three renewals may be missed.
const NEW_LEASE: &str = "clock_timestamp() + interval '6 seconds'";
/// Whether a lease has passed.
const LEASE_PASSED: &str = "lease_until < clock_timestamp()";
/// What a reply may still be finished from. A process that was believed gone may come back with the whole reply.
const UNFINISHED: [&str; 3] =
    [StepStatus::Pending.name(), StepStatus::Streaming.name(), StepStatus::Interrupted.name()];

/// The text of a reply.
#[derive(Clone, Copy, Default)]
pub struct Reply<'a> {
    /// The text.
    pub text: &'a str,
    /// The length of each piece, bytes.
    pub lengths: &'a [u32],
}

impl Reply<'_> {
    fn pieces(&self) -> u32 {
        u32::try_from(self.lengths.len()).unwrap_or(u32::MAX)
    }
}

/// Returns a number as the database has it, where all of them have a sign.
pub(crate) fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// How a reply ended. Numbers that are not known are left as they are.
#[derive(Clone, Copy)]
pub struct Ended<'a> {
    /// What there is of it.
    pub reply: Reply<'a>,
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
    /// The feeling of the step.
    pub emotion: Option<&'a Value>,
    /// Milliseconds until the first piece.
    pub ttft_ms: Option<i32>,
}

impl<'a> Ended<'a> {
    /// Describes an end of which nothing else is known.
    pub const fn new(reply: Reply<'a>, status: StepStatus, at: DateTime<Utc>) -> Self {
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
            emotion: None,
            ttft_ms: None,
        }
    }
}

/// The last step of a conversation: only it can be running, since nothing is added while one runs.
#[derive(Clone, Copy, Debug)]
pub struct Last {
    /// The step.
    pub id: StepId,
    /// When it was said.
    pub created_at: DateTime<Utc>,
    is_running: bool,
    lease_passed: bool,
}

impl Last {
    /// Refuses another step while this one's reply is being written; returns whether the process that wrote it is gone.
    ///
    /// # Errors
    /// [`BUSY`] while it is being written.
    pub fn or_busy(self) -> Outcome<bool> {
        if self.is_running && !self.lease_passed {
            return Err(Problem::from(BUSY).with("step_id", self.id));
        }
        Ok(self.is_running)
    }
}

/// Finds the last step of a conversation.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn last(mut conn: &AsyncPgConnection, conversation: ConversationId) -> Outcome<Option<Last>> {
    let last: Option<(Uuid, DateTime<Utc>, String, bool)> = emotion_steps::table
        .filter(emotion_steps::session_id.eq(conversation.0))
        .order(emotion_steps::step_order.desc())
        .select((emotion_steps::id, emotion_steps::created_at, emotion_steps::status, sql::<Bool>(LEASE_PASSED)))
        .first(&mut conn)
        .await
        .optional()?;
    Ok(last.map(|(id, created_at, status, lease_passed)| {
        let is_running = StepStatus::parse(&status).is_some_and(StepStatus::is_running);
        Last { id: StepId::from_uuid(id), created_at, is_running, lease_passed }
    }))
}

/// Marks a step whose process is gone, if it still is, and gives back what its reply did not use.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn interrupt(conn: &mut AsyncPgConnection, id: StepId) -> Outcome<()> {
    let only = format!("id = '{id}' AND");
    sql_query(interruption(&only)).bind::<BigInt, _>(limit::PROMPT_RESERVE).execute(conn).await?;
    Ok(())
}

/// Marks every step whose process is gone, and gives back what their replies did not use; returns how many there were.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn interrupt_abandoned(conn: &mut AsyncPgConnection) -> Outcome<i64> {
    let all = sql_query(interruption("")).bind::<BigInt, _>(limit::PROMPT_RESERVE).prepared();
    let Marked { steps } = all.get_result(conn).await?;
    Ok(steps)
}

#[derive(QueryableByName)]
struct Marked {
    #[diesel(sql_type = BigInt)]
    steps: i64,
}

/// The statement that marks abandoned steps. Of the tokens that were reserved those of the prompt are counted as used,
/// and of the reply as many as it has pieces.
fn interruption(only: &str) -> String {
    format!(
        "WITH gone AS (SELECT id, user_id, (created_at AT TIME ZONE 'UTC')::date AS day, \
                       greatest(0, reserved_tokens - coalesce(input_tokens, 0) - $1 - reply_seq) AS unused \
                       FROM emotion_steps WHERE {only} status IN ('pending', 'streaming') AND {LEASE_PASSED} \
                       ORDER BY id FOR UPDATE SKIP LOCKED), \
         marked AS (UPDATE emotion_steps s SET status = 'interrupted', finished_at = clock_timestamp(), \
                    reserved_tokens = 0 FROM gone WHERE s.id = gone.id RETURNING s.id), \
         given_back AS (UPDATE emotion_usage u SET tokens = greatest(0, u.tokens - g.unused) \
                        FROM (SELECT user_id, day, sum(unused)::bigint AS unused FROM gone GROUP BY user_id, day) g \
                        WHERE u.user_id = g.user_id AND u.day = g.day AND g.unused > 0) \
         SELECT count(*) AS steps FROM marked"
    )
}

#[derive(QueryableByName)]
struct Placed {
    #[diesel(sql_type = Integer)]
    step_order: i32,
}

/// Writes a step at the next place of its conversation, whose row the transaction holds, and takes its lease; returns the
/// place. Nothing when the client has said it before.
///
/// # Errors
/// [`BUSY`] while another reply of the conversation is being written.
pub async fn insert(mut conn: &AsyncPgConnection, vault: &PersonVault, step: NewStep<'_>) -> Outcome<Option<i32>> {
    let placed: Result<Placed, _> = sql_query(format!(
        "INSERT INTO emotion_steps (id, session_id, user_id, step_order, step_type, user_input_sealed, \
         gpt_response_sealed, insight_tag_sealed, status, provider, model, client_msg_id, arc_step, risk_level, \
         input_tokens, reserved_tokens, created_at, lease_until) \
         SELECT $1, $2, $3, coalesce(max(step_order), 0) + 1, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, \
         {NEW_LEASE} FROM emotion_steps WHERE session_id = $2 \
         ON CONFLICT (session_id, client_msg_id) WHERE client_msg_id IS NOT NULL DO NOTHING RETURNING step_order"
    ))
    .bind::<SqlUuid, _>(step.id)
    .bind::<SqlUuid, _>(step.session_id)
    .bind::<SqlUuid, _>(step.user_id)
    .bind::<Text, _>(step.step_type)
    .bind::<Binary, _>(vault.seal(step.id, Column::UserInput, step.user_input)?)
    .bind::<Binary, _>(vault.seal(step.id, Column::GptResponse, step.gpt_response)?)
    .bind::<Nullable<Binary>, _>(vault.seal_note(step.id, Column::InsightTag, step.insight_tag)?)
    .bind::<Text, _>(step.status.name())
    .bind::<Text, _>(step.provider)
    .bind::<Nullable<Text>, _>(step.model)
    .bind::<Nullable<Text>, _>(step.client_msg_id)
    .bind::<Nullable<SmallInt>, _>(step.arc_step)
    .bind::<SmallInt, _>(step.risk_level)
    .bind::<Nullable<Integer>, _>(step.input_tokens)
    .bind::<Integer, _>(step.reserved_tokens)
    .bind::<Timestamptz, _>(step.created_at)
    .prepared()
    .get_result(&mut conn)
    .await;
    match placed.optional() {
        Ok(placed) => Ok(placed.map(|placed| placed.step_order)),
        Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)) => Err(BUSY.into()),
        Err(other) => Err(other.into()),
    }
}

/// Has prepared sentences answer a step that was just written for a model.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn answer_by_rules(conn: &mut AsyncPgConnection, id: StepId, provider: &str) -> Outcome<()> {
    diesel::update(emotion_steps::table.find(id.0))
        .set((
            emotion_steps::provider.eq(provider),
            emotion_steps::model.eq(None::<&str>),
            emotion_steps::reserved_tokens.eq(0),
        ))
        .execute(conn)
        .await?;
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

/// What a reply has grown by, sealed.
pub struct Checkpoint {
    id: StepId,
    attempt: i32,
    first: u32,
    until: u32,
    reply: Vec<u8>,
    lengths: Vec<u8>,
}

impl Checkpoint {
    /// Seals what the reply of a step has grown by since it had the first `first` pieces, in a try.
    ///
    /// # Errors
    /// Returns a problem when the person's key does not work.
    pub fn seal(vault: &PersonVault, id: StepId, attempt: i32, first: u32, grown: Reply<'_>) -> Outcome<Self> {
        let pieces = grown.pieces();
        let part = |text| Part { first, pieces, text };
        let (reply, lengths) = if pieces == 0 {
            (Vec::new(), Vec::new())
        } else {
            let lengths = write_lengths(grown.lengths);
            (
                vault.seal_part(id.0, Column::GptResponse, part(grown.text))?,
                vault.seal_part(id.0, Column::ReplyEnds, part(&lengths))?,
            )
        };
        Ok(Self { id, attempt, first, until: first.saturating_add(pieces), reply, lengths })
    }
}

/// What is there of a step.
#[derive(QueryableByName)]
struct There {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Integer)]
    reply_seq: i32,
}

/// Keeps what some replies have grown by and renews their leases; returns the steps that are still there, running or not,
/// with the same try, and how many pieces are kept of each. One that somebody else holds just then is passed over: nobody
/// waits for anybody here. What was kept before, because its answer was lost, is not kept twice.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn checkpoint(conn: &mut AsyncPgConnection, some: &[Checkpoint]) -> Outcome<Vec<(StepId, u32)>> {
    let there: Vec<There> = sql_query(format!(
        "WITH grown AS (SELECT * FROM unnest($1, $2, $3, $4, $5, $6) AS g(id, attempt, first, until, reply, lengths)), \
         held AS (SELECT s.id, s.reply_seq <> g.first OR g.until = g.first AS is_same \
                  FROM emotion_steps s JOIN grown g ON s.id = g.id AND s.attempt = g.attempt \
                  WHERE s.status IN ('pending', 'streaming') FOR UPDATE OF s SKIP LOCKED), \
         kept AS (UPDATE emotion_steps s SET lease_until = {NEW_LEASE}, \
                  reply_seq = CASE WHEN h.is_same THEN s.reply_seq ELSE g.until END, \
                  gpt_response_sealed = CASE WHEN h.is_same THEN s.gpt_response_sealed WHEN g.first = 0 THEN g.reply \
                                             ELSE s.gpt_response_sealed || g.reply END, \
                  reply_ends_sealed = CASE WHEN h.is_same THEN s.reply_ends_sealed WHEN g.first = 0 THEN g.lengths \
                                           ELSE s.reply_ends_sealed || g.lengths END \
                  FROM grown g JOIN held h ON h.id = g.id WHERE s.id = g.id RETURNING s.id, s.reply_seq) \
         SELECT s.id, coalesce(k.reply_seq, s.reply_seq) AS reply_seq \
         FROM emotion_steps s JOIN grown g ON s.id = g.id AND s.attempt = g.attempt LEFT JOIN kept k ON k.id = s.id"
    ))
    .bind::<Array<SqlUuid>, _>(some.iter().map(|one| one.id.0).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(some.iter().map(|one| one.attempt).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(some.iter().map(|one| signed(one.first)).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(some.iter().map(|one| signed(one.until)).collect::<Vec<_>>())
    .bind::<Array<Binary>, _>(some.iter().map(|one| &one.reply[..]).collect::<Vec<_>>())
    .bind::<Array<Binary>, _>(some.iter().map(|one| &one.lengths[..]).collect::<Vec<_>>())
    .prepared()
    .load(conn)
    .await?;
    Ok(there.into_iter().map(|step| (StepId::from_uuid(step.id), step.reply_seq.unsigned_abs())).collect())
}

/// Keeps a reply as it ended; returns whether this try was still unfinished, or has been kept so before: whoever lost the
/// answer asks again.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn finish(
    conn: &mut AsyncPgConnection,
    vault: &PersonVault,
    (id, attempt): (StepId, i32),
    ended: Ended<'_>,
) -> Outcome<bool> {
    let is_open = emotion_steps::status.eq_any(UNFINISHED).or(emotion_steps::status.eq(ended.status.name()));
    let theirs = is_open.and(emotion_steps::attempt.eq(attempt));
    let emotion = ended.emotion.map(|emotion| vault.seal_json(id.0, Column::StepEmotion, emotion)).transpose()?;
    // Fields that are not known are skipped: a tuple of `Option`s leaves its empty ones out of the statement.
    let known = (
        ended.provider.map(|provider| emotion_steps::provider.eq(provider)),
        ended.model.map(|model| emotion_steps::model.eq(model)),
        ended.finish_reason.map(|reason| emotion_steps::finish_reason.eq(reason)),
        ended.prompt_tokens.map(|tokens| emotion_steps::prompt_tokens.eq(tokens)),
        ended.completion_tokens.map(|tokens| emotion_steps::completion_tokens.eq(tokens)),
        ended.reply_tokens.map(|tokens| emotion_steps::reply_tokens.eq(tokens)),
        emotion.map(|sealed| emotion_steps::emotion_sealed.eq(sealed)),
        ended.ttft_ms.map(|ms| emotion_steps::ttft_ms.eq(ms)),
    );
    let finished = diesel::update(emotion_steps::table.find(id.0).filter(theirs))
        .set((
            emotion_steps::gpt_response_sealed.eq(vault.seal(id.0, Column::GptResponse, ended.reply.text)?),
            emotion_steps::reply_seq.eq(signed(ended.reply.pieces())),
            emotion_steps::reply_ends_sealed.eq(vault.seal(
                id.0,
                Column::ReplyEnds,
                &write_lengths(ended.reply.lengths),
            )?),
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
