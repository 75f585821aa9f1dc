//! Idempotency keys: a POST that is sent twice takes effect once.
//!
//! The key's row is written in the same transaction as the effect, so a crash leaves both or neither. The same key with
//! the same body gets the first answer again, with another body 422, and while the first is still being handled 409.
//! Keys belong to a person and a route, and are kept for a day.
//!
//! Each database that uses it has this table: `idempotency_keys(user_id uuid, route text, key text, body_hash bytea,
//! status smallint, answer jsonb, created_at timestamptz, primary key (user_id, route, key))`.

use std::{
    future::{Ready, ready},
    time::Duration,
};

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload, http::StatusCode};
use diesel::{
    OptionalExtension, QueryableByName, sql_query,
    sql_types::{BigInt, Binary, Bool, Jsonb, SmallInt, Text, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    fault::{Violations, common},
    ids::UserId,
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    lifecycle::Lifecycle,
    pg::Pg,
    prepared::Prepare,
    problem::{Outcome, Problem},
};

/// Longest key.
const KEY_MAX: usize = 128;

/// How often keys whose day is over are deleted.
const PRUNE_EVERY: Duration = Duration::from_mins(10);

/// Starts the loop that deletes keys whose day is over: answers hold what people wrote.
pub fn prune(lifecycle: &Lifecycle, pg: Pg) {
    lifecycle.spawn_every("idempotency_keys", PRUNE_EVERY, move || {
        let pg = pg.clone();
        async move {
            if let Err(problem) = delete_old(&pg).await {
                tracing::warn!(code = problem.code(), "old idempotency keys are not deleted yet");
            }
        }
    });
}

async fn delete_old(pg: &Pg) -> Outcome<usize> {
    let mut conn = pg.conn().await?;
    let old = sql_query("DELETE FROM idempotency_keys WHERE created_at < now() - interval '24 hours'");
    Ok(old.execute(&mut conn).await?)
}

/// Deletes at most `limit` of a person's keys, whose answers hold what they wrote; returns how many there were.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn erase(conn: &mut AsyncPgConnection, user: UserId, limit: i64) -> Outcome<usize> {
    let theirs = sql_query(
        "DELETE FROM idempotency_keys WHERE user_id = $1 AND (route, key) IN \
         (SELECT route, key FROM idempotency_keys WHERE user_id = $1 LIMIT $2)",
    );
    Ok(theirs.bind::<SqlUuid, _>(user.0).bind::<BigInt, _>(limit).execute(conn).await?)
}

/// Returns whether a person has a key.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn has_any(conn: &mut AsyncPgConnection, user: UserId) -> Outcome<bool> {
    let any = sql_query("SELECT EXISTS (SELECT FROM idempotency_keys WHERE user_id = $1) AS found");
    let Found { found } = any.bind::<SqlUuid, _>(user.0).get_result(conn).await?;
    Ok(found)
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

/// The request's `Idempotency-Key`, if it sent one.
#[derive(Clone, Debug, Default)]
pub struct IdempotencyKey(pub Option<String>);

impl FromRequest for IdempotencyKey {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let Some(value) = req.headers().get("idempotency-key") else { return ready(Ok(Self(None))) };
        let key = value.to_str().unwrap_or_default();
        let sound = (1..=KEY_MAX).contains(&key.len())
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        ready(if sound {
            Ok(Self(Some(key.to_owned())))
        } else {
            let mut violations = Violations::new();
            violations.add(
                "Idempotency-Key",
                "not_valid",
                "멱등 키는 1-128자의 영문, 숫자, -, _ 이어야 합니다.",
                "An idempotency key has 1-128 letters, digits, - or _.",
            );
            Err(violations.into())
        })
    }
}

/// An answer that can be given again.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// JSON body.
    pub body: serde_json::Value,
}

impl Answer {
    /// Makes an answer of a status and a body.
    ///
    /// # Errors
    /// Returns an unexpected problem when the body cannot be written as JSON.
    pub fn new(status: StatusCode, body: &impl Serialize) -> Outcome<Self> {
        Ok(Self { status, body: serde_json::to_value(body).map_err(Problem::unexpected)? })
    }

    /// Makes a `201 Created` answer.
    ///
    /// # Errors
    /// Returns an unexpected problem when the body cannot be written as JSON.
    pub fn created(body: &impl Serialize) -> Outcome<Self> {
        Self::new(StatusCode::CREATED, body)
    }
}

impl From<Answer> for HttpResponse {
    fn from(answer: Answer) -> Self {
        Self::build(answer.status).json(answer.body)
    }
}

/// One use of a key: who, where, with what body.
#[derive(Clone, Debug)]
pub struct Attempt {
    user: UserId,
    route: &'static str,
    key: Option<String>,
    body_hash: Vec<u8>,
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = Binary)]
    body_hash: Vec<u8>,
    #[diesel(sql_type = SmallInt)]
    status: i16,
    #[diesel(sql_type = Jsonb)]
    answer: serde_json::Value,
}

impl Attempt {
    /// Describes a request to `route` (method and path template) by `user`.
    ///
    /// # Errors
    /// Returns an unexpected problem when the body cannot be written as JSON.
    pub fn new(user: UserId, route: &'static str, key: IdempotencyKey, body: &impl Serialize) -> Outcome<Self> {
        let bytes = serde_json::to_vec(body).map_err(Problem::unexpected)?;
        Ok(Self { user, route, key: key.0, body_hash: Sha256::digest(bytes).to_vec() })
    }

    /// Returns the key, if the request has one: for a statement that keeps the answer itself.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Returns what tells the request's body from another.
    pub fn body_hash(&self) -> &[u8] {
        &self.body_hash
    }

    /// Looks for the answer that this key was given before; call first in the transaction of the effect.
    ///
    /// # Errors
    /// 422 when the key came with another body, 409 while the first request is still being handled.
    pub async fn replay(&self, conn: &mut AsyncPgConnection) -> Outcome<Option<Answer>> {
        let Some(key) = &self.key else { return Ok(None) };
        let Locked { locked } = sql_query("SELECT pg_try_advisory_xact_lock($1) AS locked")
            .bind::<BigInt, _>(self.lock())
            .prepared()
            .get_result(conn)
            .await?;
        if !locked {
            return Err(Problem::from(common::IDEMPOTENCY_IN_PROGRESS).retry_after(1));
        }
        let kept: Option<Kept> = sql_query(
            "SELECT body_hash, status, answer FROM idempotency_keys WHERE user_id = $1 AND route = $2 AND key = $3 \
             AND created_at > now() - interval '24 hours'",
        )
        .bind::<SqlUuid, _>(self.user.0)
        .bind::<Text, _>(self.route)
        .bind::<Text, _>(key)
        .prepared()
        .get_result(conn)
        .await
        .optional()?;
        match kept {
            None => Ok(None),
            Some(kept) if kept.body_hash != self.body_hash => Err(common::IDEMPOTENCY_KEY_REUSED.into()),
            Some(kept) => {
                let status = u16::try_from(kept.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
                Ok(Some(Answer { status: status.unwrap_or(StatusCode::OK), body: kept.answer }))
            }
        }
    }

    /// Keeps the answer under the key; call last in the transaction of the effect.
    ///
    /// # Errors
    /// Returns an error when the row cannot be written; the transaction fails with it.
    pub async fn keep(&self, conn: &mut AsyncPgConnection, answer: &Answer) -> Outcome<()> {
        let Some(key) = &self.key else { return Ok(()) };
        sql_query(
            "INSERT INTO idempotency_keys (user_id, route, key, body_hash, status, answer) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (user_id, route, key) DO UPDATE SET body_hash = excluded.body_hash, status = excluded.status, \
             answer = excluded.answer, created_at = now()",
        )
        .bind::<SqlUuid, _>(self.user.0)
        .bind::<Text, _>(self.route)
        .bind::<Text, _>(key)
        .bind::<Binary, _>(&self.body_hash)
        .bind::<SmallInt, _>(i16::try_from(answer.status.as_u16()).unwrap_or(200))
        .bind::<Jsonb, _>(&answer.body)
        .prepared()
        .execute(conn)
        .await?;
        Ok(())
    }

    /// Names the advisory lock of this key; a collision costs a spurious 409, never a double effect.
    fn lock(&self) -> i64 {
        let key = self.key.as_deref().unwrap_or_default();
        let digest = Sha256::digest(format!("{}\n{}\n{key}", self.user, self.route).as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(digest.get(..8).unwrap_or(&[0; 8]));
        i64::from_be_bytes(first)
    }
}
