//! The rows of feedback.

use chassis::problem::{Outcome, Problem};
use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, JoinOnDsl, NullableExpressionMethods, OptionalExtension,
    QueryDsl, Queryable, Selectable, SelectableHelper,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    fault::Violations,
    feedback::{FeedbackSettings, FeedbackState, FeedbackSummary, Judgement, Totals},
    ids::{SessionId, UserId},
    page::Limit,
    session::{NOT_FOUND, SessionStatus, SessionType, lifecycle::ENDED},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use crate::schema::{feedback_cues, feedback_settings, feedback_states, sessions};

/// Most cues of a session that are kept: hours of one every ten seconds.
pub const HISTORY_MAX: i64 = 1_000;
/// Most cues that are erased at once; they are small and lie together, so that this takes tens of milliseconds.
pub const ERASE_CUES: i64 = 10_000;

/// A cue.
#[derive(Clone, Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = feedback_cues, check_for_backend(diesel::pg::Pg))]
#[expect(missing_docs, reason = "the columns are described in the migration")]
pub struct Cue {
    pub id: Uuid,
    pub session_id: Uuid,
    pub user_id: Uuid,
    pub rule: String,
    pub pattern: String,
    pub intensity: i16,
    pub at: DateTime<Utc>,
    pub created_at: DateTime<Utc>,
}

/// What samples of a session are judged on.
#[derive(Debug)]
pub struct Standing {
    /// The person's own, or those the session begins with.
    pub settings: FeedbackSettings,
    /// What is remembered of the samples before.
    pub state: FeedbackState,
    /// What these amount to.
    pub totals: Totals,
}

/// Type and settings of the session, then the person's settings, state and totals.
type StandingRow = (String, Value, Option<Value>, Option<Value>, Option<Value>);

/// Which part of a history is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Only what is older than this.
    pub before: Option<DateTime<Utc>>,
    /// How many.
    pub limit: Limit,
    /// How many come before.
    pub offset: i64,
}

/// How many rows of a kind were erased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Cues.
    pub cues: usize,
    /// Settings.
    pub settings: usize,
    /// States with their totals.
    pub states: usize,
    /// Whether that was all there were.
    pub is_all: bool,
}

/// Takes the row of a person's session for the rest of the transaction: whoever else would change its feedback waits.
///
/// # Errors
/// `session_not_found` when there is no such session of this person, `session_ended` when it is over.
pub async fn hold(conn: &mut AsyncPgConnection, owner: UserId, id: SessionId) -> Outcome<()> {
    let held: Option<String> = sessions::table
        .filter(sessions::id.eq(id.0))
        .filter(sessions::user_id.eq(owner.0))
        .select(sessions::status)
        .for_no_key_update()
        .first(conn)
        .await
        .optional()?;
    let status = held.ok_or(NOT_FOUND)?;
    if status == SessionStatus::Ended.name() { Err(ENDED.into()) } else { Ok(()) }
}

/// Reads how a person's session stands; what is held does not change before the transaction is over.
///
/// # Errors
/// `session_not_found` when there is no such session of this person.
pub async fn see(conn: &mut AsyncPgConnection, owner: UserId, id: SessionId) -> Outcome<Standing> {
    let of_owner = feedback_settings::session_id.eq(sessions::id).and(feedback_settings::user_id.eq(sessions::user_id));
    let of_state = feedback_states::session_id.eq(sessions::id).and(feedback_states::user_id.eq(sessions::user_id));
    let found: Option<StandingRow> = sessions::table
        .left_join(feedback_settings::table.on(of_owner))
        .left_join(feedback_states::table.on(of_state))
        .filter(sessions::id.eq(id.0))
        .filter(sessions::user_id.eq(owner.0))
        .select((
            sessions::kind,
            sessions::settings,
            feedback_settings::settings.nullable(),
            feedback_states::state.nullable(),
            feedback_states::totals.nullable(),
        ))
        .first(conn)
        .await
        .optional()?;
    let (kind, document, settings, state, totals) = found.ok_or(NOT_FOUND)?;
    let begun = || {
        let kind = SessionType::parse(&kind, "/type", &mut Violations::new()).unwrap_or_default();
        FeedbackSettings::of_session(kind, &document)
    };
    Ok(Standing {
        settings: read(settings)?.unwrap_or_else(begun),
        state: read(state)?.unwrap_or_default(),
        totals: read(totals)?.unwrap_or_default(),
    })
}

/// Writes a person's settings.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn put_settings(
    conn: &mut AsyncPgConnection,
    owner: UserId,
    id: SessionId,
    settings: &FeedbackSettings,
    now: DateTime<Utc>,
) -> Outcome<()> {
    let settings = write(settings)?;
    diesel::insert_into(feedback_settings::table)
        .values((
            feedback_settings::session_id.eq(id.0),
            feedback_settings::user_id.eq(owner.0),
            feedback_settings::settings.eq(&settings),
            feedback_settings::updated_at.eq(now),
        ))
        .on_conflict((feedback_settings::session_id, feedback_settings::user_id))
        .do_update()
        .set((feedback_settings::settings.eq(&settings), feedback_settings::updated_at.eq(now)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes what is remembered of samples, and what all of them amount to by now.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn put_state(
    conn: &mut AsyncPgConnection,
    owner: UserId,
    id: SessionId,
    judged: &Judgement,
    totals: &Totals,
) -> Outcome<()> {
    let (state, totals) = (write(&judged.state)?, write(totals)?);
    diesel::insert_into(feedback_states::table)
        .values((
            feedback_states::session_id.eq(id.0),
            feedback_states::user_id.eq(owner.0),
            feedback_states::state.eq(&state),
            feedback_states::totals.eq(&totals),
        ))
        .on_conflict((feedback_states::session_id, feedback_states::user_id))
        .do_update()
        .set((feedback_states::state.eq(&state), feedback_states::totals.eq(&totals)))
        .execute(conn)
        .await?;
    Ok(())
}

/// Adds cues to a session's history.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn insert(conn: &mut AsyncPgConnection, cues: &[Cue]) -> Outcome<()> {
    diesel::insert_into(feedback_cues::table).values(cues).execute(conn).await?;
    Ok(())
}

/// Deletes what is older than the newest [`HISTORY_MAX`] cues of a session.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn trim(conn: &mut AsyncPgConnection, owner: UserId, id: SessionId) -> Outcome<()> {
    let first_too_old: Option<DateTime<Utc>> = feedback_cues::table
        .filter(feedback_cues::session_id.eq(id.0))
        .filter(feedback_cues::user_id.eq(owner.0))
        .order(feedback_cues::at.desc())
        .offset(HISTORY_MAX)
        .select(feedback_cues::at)
        .first(conn)
        .await
        .optional()?;
    let Some(at) = first_too_old else { return Ok(()) };
    let too_old = feedback_cues::table
        .filter(feedback_cues::session_id.eq(id.0))
        .filter(feedback_cues::user_id.eq(owner.0))
        .filter(feedback_cues::at.le(at));
    diesel::delete(too_old).execute(conn).await?;
    Ok(())
}

/// Lists a part of a session's cues, newest first, and says whether more follow.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn page(conn: &mut AsyncPgConnection, owner: UserId, id: SessionId, part: Part) -> Outcome<(Vec<Cue>, bool)> {
    let rows = part.limit.rows();
    let mut query = feedback_cues::table
        .filter(feedback_cues::session_id.eq(id.0))
        .filter(feedback_cues::user_id.eq(owner.0))
        .order(feedback_cues::at.desc())
        .limit(rows.saturating_add(1))
        .offset(part.offset)
        .select(Cue::as_select())
        .into_boxed();
    if let Some(before) = part.before {
        query = query.filter(feedback_cues::at.lt(before));
    }
    let mut cues = query.load(conn).await?;
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    let more = cues.len() > rows;
    cues.truncate(rows);
    Ok((cues, more))
}

/// Lists all cues of a session, newest first.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list_all(conn: &mut AsyncPgConnection, session: Uuid) -> Outcome<Vec<Cue>> {
    let cues = feedback_cues::table
        .filter(feedback_cues::session_id.eq(session))
        .order(feedback_cues::at.desc())
        .limit(HISTORY_MAX)
        .select(Cue::as_select())
        .load(conn)
        .await?;
    Ok(cues)
}

/// Counts a session's cues.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn count(conn: &mut AsyncPgConnection, owner: UserId, id: SessionId) -> Outcome<i64> {
    let cues =
        feedback_cues::table.filter(feedback_cues::session_id.eq(id.0)).filter(feedback_cues::user_id.eq(owner.0));
    Ok(cues.count().get_result(conn).await?)
}

/// Returns what a session's samples amount to, as it is shown; nothing before the first.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn totals(conn: &mut AsyncPgConnection, id: SessionId) -> Outcome<Option<Value>> {
    let (_, totals) = kept_totals(conn, &[id.0]).await?.pop().unzip();
    totals.map(|totals| write(&totals)).transpose()
}

/// Lists the totals of several sessions, each with its session.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn kept_totals(conn: &mut AsyncPgConnection, sessions: &[Uuid]) -> Outcome<Vec<(Uuid, FeedbackSummary)>> {
    let kept: Vec<(Uuid, Value)> = feedback_states::table
        .filter(feedback_states::session_id.eq_any(sessions))
        .select((feedback_states::session_id, feedback_states::totals))
        .load(conn)
        .await?;
    let totals = kept.into_iter().map(|(session, totals)| Ok((session, read::<Totals>(Some(totals))?)));
    totals.map(|kept: Outcome<_>| kept.map(|(session, totals)| (session, totals.unwrap_or_default().view()))).collect()
}

/// Lists the settings of several sessions, each with its session.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn kept_settings(conn: &mut AsyncPgConnection, sessions: &[Uuid]) -> Outcome<Vec<(Uuid, Value)>> {
    let kept = feedback_settings::table
        .filter(feedback_settings::session_id.eq_any(sessions))
        .select((feedback_settings::session_id, feedback_settings::settings))
        .load(conn)
        .await?;
    Ok(kept)
}

/// Deletes the feedback of some sessions that are held, at most [`ERASE_CUES`] cues of it.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn erase(conn: &mut AsyncPgConnection, sessions: &[Uuid]) -> Outcome<Erased> {
    let some: Vec<Uuid> = feedback_cues::table
        .filter(feedback_cues::session_id.eq_any(sessions))
        .limit(ERASE_CUES)
        .select(feedback_cues::id)
        .load(conn)
        .await?;
    let cues = diesel::delete(feedback_cues::table.filter(feedback_cues::id.eq_any(&some))).execute(conn).await?;
    if i64::try_from(cues).unwrap_or(i64::MAX) >= ERASE_CUES {
        return Ok(Erased { cues, ..Erased::default() });
    }
    let settings = feedback_settings::table.filter(feedback_settings::session_id.eq_any(sessions));
    let states = feedback_states::table.filter(feedback_states::session_id.eq_any(sessions));
    Ok(Erased {
        cues,
        settings: diesel::delete(settings).execute(conn).await?,
        states: diesel::delete(states).execute(conn).await?,
        is_all: true,
    })
}

fn read<T: DeserializeOwned>(kept: Option<Value>) -> Outcome<Option<T>> {
    kept.map(serde_json::from_value).transpose().map_err(Problem::unexpected)
}

fn write(value: &impl Serialize) -> Outcome<Value> {
    serde_json::to_value(value).map_err(Problem::unexpected)
}
