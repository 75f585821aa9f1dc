//! Which session is over next: an index in Redis over what PostgreSQL knows.
//!
//! A sorted set holds each running session by its due time. A replica claims what is due: the ids move to a second set,
//! scored by when the claim runs out, in one script; so nothing is lost when the replica dies between the two. The index
//! may lag behind, repeat itself or be lost; it decides nothing. A third key says that it is whole: when that is gone,
//! Redis has been emptied, and the index is built again.

use std::{sync::Arc, time::Duration};

use chassis::{problem::Outcome, redis::Redis};
use chrono::{DateTime, Utc};
use deadpool_redis::redis::{Script, cmd, pipe};
use domain::focus::Status;
use tokio::sync::Notify;
use uuid::Uuid;

use super::store::Row;

/// Sessions claimed at once: their transaction takes a few ten milliseconds.
const CLAIM: usize = 500;
/// How long a claim lasts; one whose replica died is claimed again after it.
const LEASE: Duration = Duration::from_secs(5);

/// Claims what is due by Redis's clock. All keys share one hash tag.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lost = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, id in ipairs(lost) do
  redis.call('ZREM', KEYS[2], id)
  redis.call('ZADD', KEYS[1], now, id)
end
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, id in ipairs(ids) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('ZADD', KEYS[2], now + ARGV[2], id)
end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local wait = -1
if first[2] then wait = math.max(0, first[2] - now) end
return {ids, wait}
";

/// Sessions this replica has claimed.
#[derive(Debug)]
pub struct Claim {
    /// Whatever is due by the index.
    pub ids: Vec<Uuid>,
    /// Until the next one is due; nothing when there is none.
    pub next_in: Option<Duration>,
}

impl Claim {
    /// Returns whether there may be more of what is due now.
    pub fn is_full(&self) -> bool {
        self.ids.len() >= CLAIM
    }
}

/// The index; clones share it.
#[derive(Clone)]
pub struct Agenda {
    redis: Redis,
    take: Arc<Script>,
    wake: Arc<Notify>,
}

impl Agenda {
    /// Keeps the index in `redis`.
    pub fn new(redis: Redis) -> Self {
        Self { redis, take: Arc::new(Script::new(TAKE)), wake: Arc::default() }
    }

    /// Follows a change of a session.
    ///
    /// # Errors
    /// Returns a problem when Redis is away.
    pub async fn follow(&self, row: &Row) -> Outcome<()> {
        match row.due_at {
            Some(due_at) if row.status == Status::Started.name() => {
                self.add(&[(row.id, due_at)]).await?;
                self.wake.notify_one();
                Ok(())
            }
            _ => self.settle(&[row.id], &[]).await,
        }
    }

    /// Waits until this replica has put something on the agenda.
    pub async fn changed(&self) {
        self.wake.notified().await;
    }

    /// Claims what is due.
    ///
    /// # Errors
    /// Returns a problem when Redis is away.
    pub async fn claim(&self) -> Outcome<Claim> {
        let mut conn = self.redis.conn().await?;
        let mut call = self.take.key(self.due());
        call.key(self.inflight()).arg(CLAIM).arg(u64::try_from(LEASE.as_millis()).unwrap_or_default());
        let (ids, wait_ms): (Vec<String>, i64) = call.invoke_async(&mut conn).await?;
        let next_in = u64::try_from(wait_ms).ok().map(Duration::from_millis);
        Ok(Claim { ids: ids.iter().filter_map(|id| id.parse().ok()).collect(), next_in })
    }

    /// Ends the claim on `ids`, after those of them that still run were put `back` at their due time.
    ///
    /// # Errors
    /// Returns a problem when Redis is away; the claim runs out then.
    pub async fn settle(&self, ids: &[Uuid], back: &[(Uuid, DateTime<Utc>)]) -> Outcome<()> {
        let mut pipeline = pipe();
        let gone: Vec<String> =
            ids.iter().filter(|id| !back.iter().any(|(kept, _)| kept == *id)).map(Uuid::to_string).collect();
        if !back.is_empty() {
            pipeline.add_command(self.adding(back)).ignore();
        }
        if !gone.is_empty() {
            pipeline.cmd("ZREM").arg(self.due()).arg(gone).ignore();
        }
        let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
        pipeline.cmd("ZREM").arg(self.inflight()).arg(ids).ignore();
        let mut conn = self.redis.conn().await?;
        Ok(pipeline.query_async(&mut conn).await?)
    }

    /// Puts running sessions on the agenda, each at its due time.
    ///
    /// # Errors
    /// Returns a problem when Redis is away.
    pub async fn add(&self, sessions: &[(Uuid, DateTime<Utc>)]) -> Outcome<()> {
        self.redis.run(&self.adding(sessions)).await
    }

    fn adding(&self, sessions: &[(Uuid, DateTime<Utc>)]) -> deadpool_redis::redis::Cmd {
        let mut command = cmd("ZADD");
        command.arg(self.due());
        for (id, due_at) in sessions {
            command.arg(due_at.timestamp_millis()).arg(id.to_string());
        }
        command
    }

    /// Returns whether the index is whole; after Redis was emptied it is not.
    ///
    /// # Errors
    /// Returns a problem when Redis is away.
    pub async fn is_whole(&self) -> Outcome<bool> {
        self.redis.run(cmd("EXISTS").arg(self.whole())).await
    }

    /// Says that the index is whole.
    ///
    /// # Errors
    /// Returns a problem when Redis is away.
    pub async fn mark_whole(&self) -> Outcome<()> {
        self.redis.run(cmd("SET").arg(self.whole()).arg(1)).await
    }

    fn due(&self) -> String {
        self.redis.key("{focus}:due")
    }

    fn inflight(&self) -> String {
        self.redis.key("{focus}:inflight")
    }

    fn whole(&self) -> String {
        self.redis.key("{focus}:whole")
    }
}
