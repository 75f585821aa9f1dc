//! How often somebody may ask, counted in this process or, where it matters, together with all replicas.
//!
//! [`Local`] counts in memory and costs a hash and a lock. [`Shared`] counts in Redis, in one script with Redis' own
//! clock; while Redis is away it counts in memory, so that an outage neither locks everybody out nor lets everybody try.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use deadpool_redis::redis::Script;
use domain::rate::{Decision, Rate};
use tokio::time::Instant;

use crate::{
    problem::{Outcome, Problem},
    recent::{AsTheyAre, Recent},
    redis::Redis,
};

/// Keys remembered by one process; each costs about 40 bytes. A flood of new ones pushes out only what is not in use.
const REMEMBERED: usize = 200_000;
/// Locks the keys are spread over.
const SHARDS: usize = 16;
/// Longest to wait for Redis before this process counts alone.
const PATIENCE: Duration = Duration::from_millis(150);
/// How long Redis is not asked after it did not answer.
const LEAVE_ALONE: Duration = Duration::from_secs(1);

/// Judges one request of each key, up to the first that refuses it: the arithmetic of [`Rate::take`] with Redis' clock.
/// Returns of each whether it is allowed, the key's arrival time and the time, both in microseconds.
const SCRIPT: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local judged = {}
for n, key in ipairs(KEYS) do
  local interval = tonumber(ARGV[2 * n - 1])
  local window = tonumber(ARGV[2 * n])
  local arrival = tonumber(redis.call('GET', key) or '0')
  local next = math.max(arrival, now) + interval
  if next - now > window then
    judged[n] = {0, arrival, now}
    break
  end
  redis.call('SET', key, string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000) + 1)
  judged[n] = {1, next, now}
end
return judged
";

/// Gives back what one request took: [`Rate::give_back`] on the key's arrival time, for as long as it was kept.
const GIVE_BACK: &str = r"
local arrival = tonumber(redis.call('GET', KEYS[1]) or '0')
if arrival > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', math.max(arrival - tonumber(ARGV[1]), 0)), 'KEEPTTL')
end
";

/// How strict the limits are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// For anything that people use.
    Strict,
    /// For a developer's machine, where everybody comes from one address and tests register hundreds of people.
    Generous,
}

impl Profile {
    /// Chooses between two rates.
    pub fn pick(self, strict: Rate, generous: Rate) -> Rate {
        match self {
            Self::Strict => strict,
            Self::Generous => generous,
        }
    }
}

/// Arrival times by the hash of their keys.
type Times = Recent<u64, i64, AsTheyAre>;

/// Counts in this process.
pub struct Local {
    shards: Vec<Mutex<Times>>,
    hasher: RandomState,
    started: Instant,
}

impl Default for Local {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Recent::hashed_by(REMEMBERED / SHARDS))).collect();
        // Keyed hashes: nobody outside can look for two keys that share a count.
        Self { shards, hasher: RandomState::new(), started: Instant::now() }
    }
}

impl Local {
    /// Counts one request of `key` and judges it.
    pub fn take(&self, key: &impl Hash, rate: Rate) -> Decision {
        self.take_at(key, rate, Instant::now())
    }

    /// Counts one request of `key` at `now`, which has been read just before, and judges it: a past `now` would be judged as
    /// one that comes too early.
    pub fn take_at(&self, key: &impl Hash, rate: Rate, now: Instant) -> Decision {
        let hash = self.hasher.hash_one(key);
        let since = now.saturating_duration_since(self.started);
        // One second in: an arrival time of zero is in the past of every request.
        let now_us = i64::try_from(since.as_micros()).unwrap_or(i64::MAX / 2) + 1_000_000;
        let Some(mut shard) = self.shard(hash) else { return rate.take(0, now_us).0 };
        let (decision, arrival_us) = rate.take(shard.get(&hash).unwrap_or_default(), now_us);
        shard.put(hash, arrival_us);
        decision
    }

    /// Forgets what was counted of `key`.
    pub fn forget(&self, key: &impl Hash) {
        let hash = self.hasher.hash_one(key);
        if let Some(mut shard) = self.shard(hash) {
            shard.put(hash, 0);
        }
    }

    /// Gives back what one request of `key` took.
    pub fn give_back(&self, key: &impl Hash, rate: Rate) {
        let hash = self.hasher.hash_one(key);
        let Some(mut shard) = self.shard(hash) else { return };
        if let Some(arrival_us) = shard.get(&hash) {
            shard.put(hash, rate.give_back(arrival_us));
        }
    }

    fn shard(&self, hash: u64) -> Option<MutexGuard<'_, Times>> {
        // By bits from its middle: a shard's own table goes by the lowest and the highest.
        let shard = usize::try_from((hash >> 32) % SHARDS as u64).unwrap_or_default();
        self.shards.get(shard).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A count that may have others beside it: the counts of one group can be taken in one call.
#[derive(Clone, Copy, Debug)]
pub struct Count<'a> {
    /// What is limited, as in `login-address:192.0.2.1`.
    pub group: &'a str,
    /// Which of its counts; empty for the only one.
    pub part: &'a str,
}

impl<'a> From<&'a str> for Count<'a> {
    fn from(group: &'a str) -> Self {
        Self { group, part: "" }
    }
}

impl Count<'_> {
    /// Returns the name of its key. The braces are Redis Cluster's: what they hold decides where a key lives, and a script
    /// works on keys that live together.
    fn key(self) -> String {
        format!("limit:{{{}}}{}", self.group, self.part)
    }
}

/// Counts together with every process that shares this Redis.
pub struct Shared {
    redis: Redis,
    script: Script,
    give_back: Script,
    alone: Local,
    started: Instant,
    /// Milliseconds after `started` until which Redis is left alone.
    left_alone_until: AtomicI64,
}

impl Shared {
    /// Counts in `redis`.
    pub fn new(redis: Redis) -> Self {
        Self {
            redis,
            script: Script::new(SCRIPT),
            give_back: Script::new(GIVE_BACK),
            alone: Local::default(),
            started: Instant::now(),
            left_alone_until: AtomicI64::new(0),
        }
    }

    /// Counts one request of `key` and judges it; `key` names what is limited, as in `login-address:192.0.2.1`.
    pub async fn take(&self, key: &str, rate: Rate) -> Decision {
        let [decision] = self.take_each([(key.into(), rate)]).await;
        decision
    }

    /// Counts one request at each of these, which share a group, up to the first that refuses it; what comes behind that
    /// one is not counted and refuses as it does.
    pub async fn take_each<const N: usize>(&self, counts: [(Count<'_>, Rate); N]) -> [Decision; N] {
        if self.may_ask() {
            if let Ok(decisions) = self.redis.within(PATIENCE, self.ask(&counts)).await {
                return self.count_along(counts, decisions);
            }
            self.leave_alone();
        }
        in_turn(counts.map(|(count, rate)| move || self.alone.take(&count.key(), rate)))
    }

    /// Counts here too what Redis has counted, so that whoever is judged here when it does not answer is not given
    /// everything a second time. While it is left alone, the answers that still come from it are worth no more than that.
    fn count_along<const N: usize>(&self, counts: [(Count<'_>, Rate); N], decisions: [Decision; N]) -> [Decision; N] {
        let is_left_alone = !self.may_ask();
        let mut decided = decisions.into_iter();
        in_turn(counts.map(|(count, rate)| {
            let there = decided.next().filter(|there| !is_left_alone || !there.is_allowed);
            move || match there {
                Some(there) if !there.is_allowed => there,
                _ => {
                    let here = self.alone.take(&count.key(), rate);
                    there.unwrap_or(here)
                }
            }
        }))
    }

    /// Forgets what was counted, as far as can be: for tries that turn out to have been none.
    pub async fn forget(&self, count: impl Into<Count<'_>>) {
        let key = count.into().key();
        self.alone.forget(&key);
        let command = deadpool_redis::redis::Cmd::del(self.redis.key(key));
        // What stays counted is given back by time.
        if self.may_ask() && self.redis.within(PATIENCE, self.redis.run::<()>(&command)).await.is_err() {
            self.leave_alone();
        }
    }

    /// Gives back what one request of `key` took, wherever it was counted.
    pub async fn give_back(&self, key: &str, rate: Rate) {
        let key = Count::from(key).key();
        self.alone.give_back(&key, rate);
        if self.may_ask() && self.redis.within(PATIENCE, self.return_one(&key, rate)).await.is_err() {
            self.leave_alone();
        }
    }

    async fn return_one(&self, key: &str, rate: Rate) -> Outcome<()> {
        let mut conn = self.redis.conn().await?;
        let mut call = self.give_back.key(self.redis.key(key));
        Ok(call.arg(rate.interval_us()).invoke_async(&mut conn).await?)
    }

    async fn ask<const N: usize>(&self, counts: &[(Count<'_>, Rate); N]) -> Outcome<[Decision; N]> {
        let mut conn = self.redis.conn().await?;
        let mut call = self.script.prepare_invoke();
        for (count, rate) in counts {
            call.key(self.redis.key(count.key())).arg(rate.interval_us()).arg(rate.window_us());
        }
        let judged: Vec<(bool, i64, i64)> = call.invoke_async(&mut conn).await?;
        let decide = |(&(_, rate), &(is_allowed, arrival_us, now_us)): (&(Count<'_>, Rate), &(bool, i64, i64))| {
            rate.decide(is_allowed, arrival_us, now_us)
        };
        let mut decisions: Vec<Decision> = counts.iter().zip(&judged).map(decide).collect();
        // Nothing is asked behind the first that refuses.
        let last = decisions.last().copied();
        decisions.resize(N, last.ok_or_else(|| Problem::unexpected("the script has judged nothing"))?);
        decisions.try_into().map_err(|_more| Problem::unexpected("the script has judged more than it was asked"))
    }

    fn may_ask(&self) -> bool {
        self.now_ms() >= self.left_alone_until.load(Ordering::Relaxed)
    }

    fn leave_alone(&self) {
        let until = self.now_ms() + i64::try_from(LEAVE_ALONE.as_millis()).unwrap_or_default();
        self.left_alone_until.store(until, Ordering::Relaxed);
        metrics::counter!("shared_limits_alone_total").increment(1);
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX / 2)
    }
}

/// Judges one after the other up to the first that refuses; what comes behind that one refuses as it does.
fn in_turn<const N: usize>(judges: [impl FnOnce() -> Decision; N]) -> [Decision; N] {
    let mut refused: Option<Decision> = None;
    judges.map(|judge| {
        let decision = refused.unwrap_or_else(judge);
        refused = refused.or(Some(decision).filter(|decision| !decision.is_allowed));
        decision
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 2, every: Duration::from_secs(10) };

    #[tokio::test(start_paused = true)]
    async fn each_key_has_its_own_count() {
        let local = Local::default();
        assert!(local.take(&"a", RATE).is_allowed && local.take(&"a", RATE).is_allowed);
        assert!(!local.take(&"a", RATE).is_allowed && local.take(&"b", RATE).is_allowed);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(local.take(&"a", RATE).is_allowed && !local.take(&"a", RATE).is_allowed);
        local.forget(&"a");
        assert!(local.take(&"a", RATE).is_allowed && local.take(&"a", RATE).is_allowed);
        local.give_back(&"a", RATE);
        local.give_back(&"unknown", RATE);
        assert!(local.take(&"a", RATE).is_allowed && !local.take(&"a", RATE).is_allowed);
    }
}
