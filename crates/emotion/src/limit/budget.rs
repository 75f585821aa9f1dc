//! The tokens of a person's day: reserved before a reply and settled after it.
//!
//! Of a reply whose process dies, the prompt and what there is of the reply count as used: see
//! [`interrupt_abandoned`](crate::step::running::interrupt_abandoned).

use chassis::{
    prepared::Prepare,
    problem::{Outcome, Problem},
};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use diesel::{
    ExpressionMethods, OptionalExtension, QueryDsl, QueryableByName,
    dsl::{exists, select},
    sql_query,
    sql_types::{BigInt, Bool, Date, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::ids::{StepId, UserId};
use futures_util::try_join;

use super::{DAILY_LIMIT, LimitConfig, REPLY_PAUSE, TOO_MANY_REPLIES, whole_seconds};
use crate::schema::emotion_usage;

/// Tokens that are reserved for what a prompt holds beside the message; what is not used is given back.
pub const PROMPT_RESERVE: i64 = 1_500;
/// Days that are remembered; nothing asks for older ones.
const DAYS_KEPT: i64 = 40;

/// What became of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// The tokens are taken from the day.
    Taken,
    /// The day has not as many left; it ends after this many seconds.
    Exhausted {
        /// Seconds until the next day (UTC).
        retry_after: u32,
    },
    /// As many replies to this person as may be are being written.
    TooMany,
}

impl Reserved {
    /// Refuses a message that is not to be answered by rules instead.
    ///
    /// # Errors
    /// [`DAILY_LIMIT`] or [`TOO_MANY_REPLIES`].
    pub fn or_refuse(self) -> Outcome<()> {
        match self {
            Self::Taken => Ok(()),
            Self::Exhausted { retry_after } => Err(Problem::from(DAILY_LIMIT).retry_after(retry_after)),
            Self::TooMany => Err(Problem::from(TOO_MANY_REPLIES).retry_after(REPLY_PAUSE)),
        }
    }
}

#[derive(QueryableByName)]
struct Used {
    #[diesel(sql_type = BigInt)]
    tokens: i64,
}

#[derive(QueryableByName)]
struct Fits {
    #[diesel(sql_type = Bool)]
    fits: bool,
}

/// Counts a message and reserves tokens for its reply, in the transaction that writes the step; keep `tokens` with the
/// step as `reserved_tokens`. The row of the day is held until the end, so that one message of a person is judged after
/// the other. A reply that costs nothing reserves nothing, and is only counted among those that are being written.
///
/// # Errors
/// Returns a problem when the database is away. A refusal is an answer, because whoever is in danger is not refused.
pub async fn reserve(
    conn: &AsyncPgConnection,
    owner: UserId,
    now: DateTime<Utc>,
    tokens: i32,
    limits: &LimitConfig,
) -> Outcome<Reserved> {
    let (day, tokens) = (now.date_naive(), i64::from(tokens.max(0)));
    // Asked together, in this order: the second waits behind the first, and as a statement of its own it sees every reply
    // that was begun before the row of the day was let go.
    let (used, taken) = try_join!(count_message(conn, owner, day), take(conn, owner, day, tokens, limits))?;
    if tokens > 0 && used.saturating_add(tokens) > limits.tokens_per_day {
        return Ok(Reserved::Exhausted { retry_after: until_tomorrow(now, day) });
    }
    Ok(if taken { Reserved::Taken } else { Reserved::TooMany })
}

/// Counts a message and holds the row of the day; returns the tokens that were used.
async fn count_message(mut conn: &AsyncPgConnection, owner: UserId, day: NaiveDate) -> Outcome<i64> {
    let Used { tokens } = sql_query(
        "INSERT INTO emotion_usage AS u (user_id, day, messages) VALUES ($1, $2, 1) \
         ON CONFLICT (user_id, day) DO UPDATE SET messages = u.messages + 1 RETURNING tokens",
    )
    .bind::<SqlUuid, _>(owner.0)
    .bind::<Date, _>(day)
    .prepared()
    .get_result(&mut conn)
    .await?;
    Ok(tokens)
}

/// Takes tokens from the day if they are there and few enough replies are being written; returns whether it did.
async fn take(
    mut conn: &AsyncPgConnection,
    owner: UserId,
    day: NaiveDate,
    tokens: i64,
    limits: &LimitConfig,
) -> Outcome<bool> {
    let taken: Vec<Fits> = sql_query(
        "UPDATE emotion_usage SET tokens = tokens + $3 WHERE user_id = $1 AND day = $2 AND \
         ($3 = 0 OR tokens + $3 <= $5) AND \
         (SELECT count(*) FROM emotion_steps WHERE user_id = $1 AND status IN ('pending', 'streaming') \
          AND lease_until > clock_timestamp()) < $4 RETURNING true AS fits",
    )
    .bind::<SqlUuid, _>(owner.0)
    .bind::<Date, _>(day)
    .bind::<BigInt, _>(tokens)
    .bind::<BigInt, _>(limits.replies_per_user)
    .bind::<BigInt, _>(limits.tokens_per_day)
    .prepared()
    .load(&mut conn)
    .await?;
    Ok(taken.iter().any(|row| row.fits))
}

/// Returns how many tokens of their day a person has used, what is reserved included.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn used(mut conn: &AsyncPgConnection, owner: UserId, now: DateTime<Utc>) -> Outcome<i64> {
    let day = emotion_usage::table.find((owner.0, now.date_naive())).select(emotion_usage::tokens);
    Ok(day.first(&mut conn).await.optional()?.unwrap_or_default())
}

/// Takes tokens from a person's day for something that is no reply; returns whether there were enough.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn spend(
    conn: &mut AsyncPgConnection,
    owner: UserId,
    now: DateTime<Utc>,
    tokens: i64,
    limits: &LimitConfig,
) -> Outcome<bool> {
    if tokens > limits.tokens_per_day {
        return Ok(false);
    }
    let taken = sql_query(
        "INSERT INTO emotion_usage AS u (user_id, day, tokens) VALUES ($1, $2, $3) \
         ON CONFLICT (user_id, day) DO UPDATE SET tokens = u.tokens + excluded.tokens \
         WHERE u.tokens + excluded.tokens <= $4",
    )
    .bind::<SqlUuid, _>(owner.0)
    .bind::<Date, _>(now.date_naive())
    .bind::<BigInt, _>(tokens.max(0))
    .bind::<BigInt, _>(limits.tokens_per_day)
    .prepared()
    .execute(conn)
    .await?;
    Ok(taken > 0)
}

/// Puts what a reply really cost in the place of what was reserved for it; a second time it does nothing.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn settle(conn: &mut AsyncPgConnection, step: StepId, used: i64) -> Outcome<()> {
    sql_query(
        "WITH step AS (SELECT id, user_id, reserved_tokens, (created_at AT TIME ZONE 'UTC')::date AS day \
                       FROM emotion_steps WHERE id = $1 AND reserved_tokens > 0 FOR UPDATE), \
         freed AS (UPDATE emotion_steps s SET reserved_tokens = 0 FROM step WHERE s.id = step.id) \
         UPDATE emotion_usage u SET tokens = greatest(0, u.tokens - step.reserved_tokens + $2) FROM step \
         WHERE u.user_id = step.user_id AND u.day = step.day",
    )
    .bind::<SqlUuid, _>(step.0)
    .bind::<BigInt, _>(used.max(0))
    .prepared()
    .execute(conn)
    .await?;
    Ok(())
}

fn until_tomorrow(now: DateTime<Utc>, today: NaiveDate) -> u32 {
    let tomorrow = today.succ_opt().and_then(|day| day.and_hms_opt(0, 0, 0)).map(|midnight| midnight.and_utc());
    let left = tomorrow.map_or(TimeDelta::days(1), |midnight| midnight - now);
    whole_seconds(left.to_std().unwrap_or_default())
}

/// Forgets days that nothing asks for any more; returns how many.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn forget_old_days(conn: &mut AsyncPgConnection, now: DateTime<Utc>, limit: i64) -> Outcome<usize> {
    let oldest = now.date_naive() - TimeDelta::days(DAYS_KEPT);
    let some =
        sql_query("DELETE FROM emotion_usage WHERE ctid IN (SELECT ctid FROM emotion_usage WHERE day < $1 LIMIT $2)");
    Ok(some.bind::<Date, _>(oldest).bind::<BigInt, _>(limit).execute(conn).await?)
}

/// Lists the days that a person used, with the tokens and messages of each; the newest first.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn list_days(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<Vec<(NaiveDate, i64, i32)>> {
    let days = emotion_usage::table
        .filter(emotion_usage::user_id.eq(owner.0))
        .order(emotion_usage::day.desc())
        .select((emotion_usage::day, emotion_usage::tokens, emotion_usage::messages))
        .load(conn)
        .await;
    Ok(days?)
}

/// Deletes what a person used; returns how many days it was.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn erase(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<usize> {
    // A row a day, and old ones are forgotten: never many.
    Ok(diesel::delete(emotion_usage::table.filter(emotion_usage::user_id.eq(owner.0))).execute(conn).await?)
}

/// Returns whether there is a day that a person used.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn has_any(conn: &mut AsyncPgConnection, owner: UserId) -> Outcome<bool> {
    Ok(select(exists(emotion_usage::table.filter(emotion_usage::user_id.eq(owner.0)))).get_result(conn).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_that_is_used_up_says_when_the_next_one_begins() {
        let now: DateTime<Utc> = "2026-11-28T23:59:30.500Z".parse().unwrap();
        assert_eq!(until_tomorrow(now, now.date_naive()), 30);
        let now: DateTime<Utc> = "2026-11-28T00:00:00Z".parse().unwrap();
        assert_eq!(until_tomorrow(now, now.date_naive()), 86_400);
        let refused = Reserved::Exhausted { retry_after: 30 }.or_refuse().unwrap_err();
        assert_eq!((refused.code(), refused.status().as_u16()), ("daily_limit", 429));
        assert!(Reserved::Taken.or_refuse().is_ok());
        assert_eq!(Reserved::TooMany.or_refuse().unwrap_err().code(), "too_many_replies");
    }
}
