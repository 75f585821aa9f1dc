//! Keeping those who want the same seat from all asking the database at once.
//!
//! Most seats are asked for by one person, and no word is lost about those. Where a second one of this process wants the
//! same while the first is at it, they note in Redis that they are at these seats; who finds such a note, here or at
//! another replica, waits a moment for it to go and then asks as well. It decides nothing: PostgreSQL does, and while
//! Redis is away nobody waits. A note bears its writer's mark and only the writer takes it back, so that one who was slow
//! never removes the note of the next.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use chassis::redis::Redis;
use deadpool_redis::redis::Script;
use domain::ids::{EventId, SeatId};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

/// How long a note stays when its writer dies; a hold takes milliseconds.
const NOTE_MS: u64 = 3_000;
/// Longest to wait for somebody else's note to go.
const PATIENCE: Duration = Duration::from_millis(300);
/// How often to look whether it has gone.
const LOOK_EVERY: Duration = Duration::from_millis(15);
/// Longest to wait for Redis itself.
const ANSWER_WITHIN: Duration = Duration::from_millis(100);
/// How long Redis is not asked after it did not answer.
const LEAVE_ALONE: Duration = Duration::from_secs(1);

/// Notes all seats or none; returns whether it did.
const NOTE: &str = r"
for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then return 0 end
end
for _, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
end
return 1
";

/// Takes back the notes that bear one's own mark.
const TAKE_BACK: &str = r"
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
return 1
";

/// Where notes are made; clones of a service's handle share its judgement of Redis through the application's state.
#[derive(Debug, Default)]
pub struct Shed {
    /// Until when Redis is left alone, milliseconds of `started`.
    left_alone_until: AtomicI64,
    wanted: Arc<Wanted>,
}

/// How many requests of this process are at each seat.
#[derive(Debug, Default)]
struct Wanted(Mutex<HashMap<SeatId, u32>>);

impl Wanted {
    /// Counts somebody who is at these seats; returns whether anybody else is at one of them.
    fn come(&self, seats: &[SeatId]) -> bool {
        let mut wanted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut is_crowded = false;
        for seat in seats {
            let at = wanted.entry(*seat).or_default();
            is_crowded |= *at > 0;
            *at += 1;
        }
        is_crowded
    }

    fn go(&self, seats: &[SeatId]) {
        let mut wanted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for seat in seats {
            if let Some(at) = wanted.get_mut(seat) {
                *at -= 1;
                if *at == 0 {
                    wanted.remove(seat);
                }
            }
        }
    }
}

/// What was noted; take it back when done. One that is dropped goes from Redis by itself.
#[derive(Debug)]
pub struct Note {
    wanted: Arc<Wanted>,
    seats: Vec<SeatId>,
    keys: Vec<String>,
    mark: Option<String>,
}

impl Drop for Note {
    fn drop(&mut self) {
        self.wanted.go(&self.seats);
    }
}

impl Shed {
    /// Notes that somebody is at these seats, if others are too; waits a moment for those who were first.
    pub async fn note(&self, redis: &Redis, event: EventId, seats: &[SeatId], mark: Uuid, now_ms: i64) -> Note {
        let is_crowded = self.wanted.come(seats);
        let mut note = Note { wanted: self.wanted.clone(), seats: seats.to_vec(), keys: Vec::new(), mark: None };
        if !is_crowded || self.left_alone_until.load(Ordering::Relaxed) > now_ms {
            return note;
        }
        // One hash tag: the script's keys must live on one node of a cluster.
        note.keys = seats.iter().map(|seat| redis.key(format!("seat:{{{event}}}:{seat}"))).collect();
        let mark = mark.to_string();
        let until = Instant::now() + PATIENCE;
        loop {
            match timeout(ANSWER_WITHIN, call(redis, NOTE, &note.keys, &mark)).await {
                Ok(Ok(1)) => {
                    note.mark = Some(mark);
                    return note;
                }
                Ok(Ok(_)) if Instant::now() < until => sleep(LOOK_EVERY).await,
                Ok(Ok(_)) => return note,
                Ok(Err(_)) | Err(_) => {
                    let pause = i64::try_from(LEAVE_ALONE.as_millis()).unwrap_or(i64::MAX);
                    self.left_alone_until.store(now_ms.saturating_add(pause), Ordering::Relaxed);
                    return note;
                }
            }
        }
    }
}

impl Note {
    /// Takes the note back, if it is still one's own; one that cannot be taken back goes by itself.
    pub async fn take_back(self, redis: &Redis) {
        if let Some(mark) = &self.mark {
            _ = timeout(ANSWER_WITHIN, call(redis, TAKE_BACK, &self.keys, mark)).await;
        }
    }
}

async fn call(redis: &Redis, script: &str, keys: &[String], mark: &str) -> chassis::problem::Outcome<i64> {
    let script = Script::new(script);
    let mut invocation = script.prepare_invoke();
    for key in keys {
        invocation.key(key);
    }
    let mut conn = redis.conn().await?;
    Ok(invocation.arg(mark).arg(NOTE_MS).invoke_async(&mut conn).await?)
}
