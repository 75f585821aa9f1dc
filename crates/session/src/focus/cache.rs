//! The current session of each person in Redis, so that a client that asks every second costs no query.
//!
//! An entry is ordered by which of the person's sessions it is and by that one's version, and only a newer one replaces
//! it: what a slow reader or a late writer brings is refused. An end leaves a mark for a while, so that it is not undone
//! by somebody who had read before it. Entries live a minute at most: if Redis misses a change, that is how long the old
//! one can be seen. Time is read by Redis's clock; an entry that is over by it is no hit.

use std::{sync::Arc, time::Duration};

use chassis::{
    problem::{Outcome, Problem},
    redis::Redis,
};
use chrono::{DateTime, Utc};
use deadpool_redis::redis::{Pipeline, Script, cmd};
use domain::{contract::FocusCompleted, ids::UserId};

use super::store::Row;

/// How long an entry lives; bounds what a change that Redis missed can hide.
const LIFE: Duration = Duration::from_mins(1);
/// Longest a request waits for Redis before it asks the database.
const PATIENCE: Duration = Duration::from_millis(300);

/// Replaces an entry by a newer one.
const PUT: &str = r"
local kept = redis.call('HMGET', KEYS[1], 'ordinal', 'version')
if kept[1] then
  local ordinal, version = tonumber(kept[1]), tonumber(kept[2])
  local o, v = tonumber(ARGV[1]), tonumber(ARGV[2])
  if o < ordinal or (o == ordinal and v < version) then return 0 end
end
redis.call('HSET', KEYS[1], 'ordinal', ARGV[1], 'version', ARGV[2], 'body', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
";

/// Reads an entry and the clock.
const GET: &str = r"
local time = redis.call('TIME')
return {redis.call('HGET', KEYS[1], 'body'), time[1], time[2]}
";

/// The cache; clones share its connections.
#[derive(Clone)]
pub struct Cache {
    redis: Redis,
    put: Arc<Script>,
    get: Arc<Script>,
}

impl Cache {
    /// Keeps entries in `redis`.
    pub fn new(redis: Redis) -> Self {
        Self { redis, put: Arc::new(Script::new(PUT)), get: Arc::new(Script::new(GET)) }
    }

    /// Waits for what Redis is told, for `usual` and no longer.
    ///
    /// # Errors
    /// What `telling` comes to, and 504 when it comes to nothing in time.
    pub fn within(
        &self,
        usual: Duration,
        telling: impl Future<Output = Outcome<()>>,
    ) -> impl Future<Output = Outcome<()>> {
        self.redis.within(usual, telling)
    }

    /// Returns a person's current session and the instant it was read at; nothing when it is not known, is over or Redis
    /// does not answer: then the database knows.
    pub async fn get(&self, owner: UserId) -> Option<(Row, DateTime<Utc>)> {
        let (row, now) = self.redis.within(PATIENCE, self.read(owner)).await.ok()??;
        (row.is_current() && row.due_at.is_none_or(|due_at| due_at > now)).then_some((row, now))
    }

    async fn read(&self, owner: UserId) -> Outcome<Option<(Row, DateTime<Utc>)>> {
        let mut conn = self.redis.conn().await?;
        let (body, seconds, micros): (Option<String>, i64, i64) =
            self.get.key(self.key(owner)).invoke_async(&mut conn).await?;
        let now = DateTime::from_timestamp_micros(seconds * 1_000_000 + micros);
        // A mark of an end is empty, and what another version of this program wrote may be unreadable.
        let row = body.and_then(|body| serde_json::from_str(&body).ok());
        Ok(row.zip(now))
    }

    /// Keeps what a session has come to, or the mark that it has ended; `false` when a newer entry is there.
    ///
    /// # Errors
    /// Returns a problem when Redis is away.
    pub async fn put(&self, row: &Row) -> Outcome<bool> {
        let body =
            if row.is_current() { serde_json::to_string(row).map_err(Problem::unexpected)? } else { String::new() };
        self.write(UserId(row.user_id), row.ordinal, row.version, &body).await
    }

    /// Keeps the mark that a session is gone.
    ///
    /// # Errors
    /// Returns a problem when Redis is away.
    pub async fn bury(&self, row: &Row) -> Outcome<bool> {
        self.write(UserId(row.user_id), row.ordinal, row.version + 1, "").await
    }

    async fn write(&self, owner: UserId, ordinal: i64, version: i64, body: &str) -> Outcome<bool> {
        let mut conn = self.redis.conn().await?;
        let mut call = self.put.key(self.key(owner));
        call.arg(ordinal).arg(version).arg(body).arg(life_ms());
        Ok(call.invoke_async(&mut conn).await?)
    }

    /// Adds to a pipeline that a session is completed.
    pub fn end_in(&self, pipeline: &mut Pipeline, completed: &FocusCompleted) {
        let call = pipeline.add_command(cmd("EVAL"));
        call.arg(PUT).arg(1).arg(self.key(completed.user_id));
        call.arg(completed.ordinal).arg(completed.version).arg("").arg(life_ms()).ignore();
    }

    /// Forgets what is known of a person.
    ///
    /// # Errors
    /// Returns a problem when Redis is away.
    pub async fn forget(&self, owner: UserId) -> Outcome<()> {
        self.redis.run(cmd("DEL").arg(self.key(owner))).await
    }

    fn key(&self, owner: UserId) -> String {
        self.redis.key(format_args!("focus:current:{{{owner}}}"))
    }
}

fn life_ms() -> u64 {
    u64::try_from(LIFE.as_millis()).unwrap_or_default()
}
