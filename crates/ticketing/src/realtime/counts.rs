//! How many people look at an event, on all replicas together.
//!
//! Redis keeps for each event a hash of people with the number of replicas they are at, and for each replica a set of who
//! is at it. Both change together, in one script that changes nothing the second time, so a lost answer does no harm; the
//! number is the length of the hash. A replica that says nothing for half a minute is dead, and whoever notices takes its
//! people out. What Redis lost is put there again by the next word of each replica, because the two sides compare how many
//! they believe to be here. Each room speaks at most once a second, and the larger the less often: a crowd that storms in
//! is told about by the second and not by the person.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::{problem::Outcome, redis::Redis};
use deadpool_redis::redis::Script;
use domain::ids::{EventId, Id, UserId};
use tokio::time::Instant;

use super::{
    crowd::Crowd,
    hub::Hub,
    message::RoomInfo,
    place::{Place, Room},
};
use crate::notice::Notice;

/// How often rooms are looked at.
pub(super) const TICK: Duration = Duration::from_millis(250);
/// How long a room waits at least between two words.
const PAUSE: Duration = Duration::from_secs(1);
/// People for whom a room waits as long again: telling 2,000 sockets costs some 20 ms.
const PAUSE_PEOPLE: usize = 2_000;
/// Longest such wait.
const PAUSE_MAX: u32 = 10;
/// How often a room in which nothing happens says that it is there.
const REFRESH: Duration = Duration::from_secs(10);
/// After how long without a word a replica is taken for dead, seconds.
const DEAD_AFTER: u64 = 30;
/// How long Redis keeps what nobody refreshes, seconds.
const KEPT: u64 = 120;
/// Most people in one call of a script.
const AT_ONCE: usize = 1_000;

/// KEYS: people, who is here, replicas. ARGV: this replica, seconds to keep, seconds until dead, how many come, who comes,
/// who goes. Returns how many people there are, how many are here, and the dead replicas.
const SYNC: &str = r"
local coming = tonumber(ARGV[4])
for n = 5, #ARGV do
  local who = ARGV[n]
  if n < 5 + coming then
    if redis.call('SADD', KEYS[2], who) == 1 then redis.call('HINCRBY', KEYS[1], who, 1) end
  elseif redis.call('SREM', KEYS[2], who) == 1 and redis.call('HINCRBY', KEYS[1], who, -1) <= 0 then
    redis.call('HDEL', KEYS[1], who)
  end
end
local now = tonumber(redis.call('TIME')[1])
local here = redis.call('SCARD', KEYS[2])
if here > 0 then redis.call('HSET', KEYS[3], ARGV[1], now) else redis.call('HDEL', KEYS[3], ARGV[1]) end
for n = 1, 3 do redis.call('EXPIRE', KEYS[n], ARGV[2]) end
local dead = {}
local seen = redis.call('HGETALL', KEYS[3])
for n = 1, #seen, 2 do
  if now - tonumber(seen[n + 1]) > tonumber(ARGV[3]) then dead[#dead + 1] = seen[n] end
end
return {redis.call('HLEN', KEYS[1]), here, dead}
";

/// KEYS: people, who was at a replica, replicas. ARGV: the replica, how many to take out at once. Takes them out, and
/// returns how many are left.
const RELEASE: &str = r"
for _, who in ipairs(redis.call('SPOP', KEYS[2], ARGV[2])) do
  if redis.call('HINCRBY', KEYS[1], who, -1) <= 0 then redis.call('HDEL', KEYS[1], who) end
end
local left = redis.call('SCARD', KEYS[2])
if left == 0 then redis.call('HDEL', KEYS[3], ARGV[1]) end
return left
";

/// The counts of the rooms that somebody here is in.
pub(super) struct Counts {
    redis: Redis,
    replica: String,
    sync: Script,
    release: Script,
    rooms: Mutex<HashMap<EventId, Counted>>,
}

/// One event's room.
struct Counted {
    /// Who came or went and is not told to Redis yet.
    pending: HashMap<UserId, bool>,
    /// The number of all replicas, as it was last heard.
    total: i64,
    /// How many of those were here.
    here: i64,
    /// What sockets here were told last.
    told: Option<i64>,
    /// Whether another replica has news.
    is_old: bool,
    spoken_at: Option<Instant>,
}

/// Who has to hear a number.
#[derive(Default)]
struct Settled {
    is_for_here: bool,
    /// Somebody is in the room at another replica.
    is_for_others: bool,
}

/// What a script answered.
type Answer = (i64, i64, Vec<String>);

impl Counts {
    /// Keeps counts in `redis`, as this replica.
    pub(super) fn new(redis: Redis, replica: String) -> Self {
        Self { redis, replica, sync: Script::new(SYNC), release: Script::new(RELEASE), rooms: Mutex::default() }
    }

    /// Returns what the number is likely to be, given how many are here.
    pub(super) fn guess(&self, event_id: EventId, here: usize) -> i64 {
        let rooms = self.rooms();
        let elsewhere = rooms.get(&event_id).map_or(0, |room| (room.total - room.here).max(0));
        elsewhere + count(here)
    }

    /// Hears that another replica has news of rooms. What the number is only Redis knows: of two replicas that say one,
    /// nobody can tell which said it first.
    pub(super) fn hear(&self, events: &[EventId]) {
        let mut rooms = self.rooms();
        for event_id in events {
            if let Some(room) = rooms.get_mut(event_id) {
                room.is_old = true;
            }
        }
    }

    /// Looks at all rooms: what has changed is told to Redis, and the new numbers to whoever is there.
    pub(super) async fn tick(&self, hub: &Hub) {
        if hub.is_closing() {
            return;
        }
        let mut told = Vec::new();
        for event_id in self.due(&hub.crowd) {
            let (total, is_news) = match self.speak(event_id, &hub.crowd).await {
                Ok(spoken) => spoken,
                Err(problem) => {
                    tracing::debug!(code = problem.code(), "rooms are counted without the other replicas");
                    (self.guess(event_id, hub.crowd.count(event_id)), false)
                }
            };
            let settled = self.settle(event_id, total, &hub.crowd);
            if settled.is_for_here {
                hub.tell(Place::new(Room::Event, event_id), "room-info", &RoomInfo { event_id, user_count: total });
            }
            if settled.is_for_others && is_news {
                told.push(event_id);
            }
        }
        if !told.is_empty() {
            hub.relay.say(Notice::Rooms { from: self.replica.clone(), events: told });
        }
    }

    /// Takes everybody here out of all rooms; returns what the others have to hear.
    ///
    /// # Errors
    /// Returns a problem when Redis is away; the others find out by themselves.
    pub(super) async fn leave_all(&self) -> Outcome<Notice> {
        let all: Vec<_> = self.rooms().drain().map(|(event_id, _)| event_id).collect();
        let mut events = Vec::with_capacity(all.len());
        for event_id in all {
            self.release(event_id, &self.replica).await?;
            events.push(event_id);
        }
        Ok(Notice::Rooms { from: self.replica.clone(), events })
    }

    /// Returns the rooms that have something to say, or nothing for a while.
    fn due(&self, crowd: &Crowd) -> Vec<EventId> {
        let mut rooms = self.rooms();
        for (event_id, changes) in crowd.take_changes() {
            rooms.entry(event_id).or_insert_with(Counted::new).pending.extend(changes);
        }
        let is_due = |(event_id, room): (&EventId, &Counted)| {
            let size = u32::try_from(crowd.count(*event_id) / PAUSE_PEOPLE).unwrap_or(u32::MAX);
            let pause = if room.pending.is_empty() && !room.is_old {
                REFRESH
            } else {
                PAUSE * size.saturating_add(1).min(PAUSE_MAX)
            };
            room.spoken_at.is_none_or(|at| at.elapsed() >= pause).then_some(*event_id)
        };
        let due: Vec<_> = rooms.iter().filter_map(is_due).collect();
        let now = Instant::now();
        for event_id in &due {
            if let Some(room) = rooms.get_mut(event_id) {
                room.spoken_at = Some(now);
                room.is_old = false;
            }
        }
        due
    }

    /// Tells Redis who came and went; returns the number of all, and whether there was anything to tell.
    async fn speak(&self, event_id: EventId, crowd: &Crowd) -> Outcome<(i64, bool)> {
        let pending: Vec<_> = {
            let rooms = self.rooms();
            rooms.get(&event_id).map(|room| room.pending.iter().map(|(who, here)| (*who, *here)).collect())
        }
        .unwrap_or_default();
        let answer = self.tell_all(event_id, &pending).await?;
        self.note_told(event_id, &pending);
        let (mut total, here, dead) = answer;
        let mut is_news = !pending.is_empty() || !dead.is_empty();
        let people = crowd.looking_at(event_id);
        let is_settled = self.rooms().get(&event_id).is_some_and(|room| room.pending.is_empty());
        if here != count(people.len()) && is_settled && !crowd.has_changes(event_id) {
            // Redis forgot, or remembers too much: from the beginning.
            metrics::counter!("socketio_room_resets_total").increment(1);
            self.release(event_id, &self.replica).await?;
            let all: Vec<_> = people.into_iter().map(|who| (who, true)).collect();
            total = self.tell_all(event_id, &all).await?.0;
            is_news = true;
        }
        if !dead.is_empty() {
            for replica in dead {
                self.release(event_id, &replica).await?;
            }
            total = self.tell_all(event_id, &[]).await?.0;
        }
        Ok((total, is_news))
    }

    async fn tell_all(&self, event_id: EventId, changes: &[(UserId, bool)]) -> Outcome<Answer> {
        let mut chunks = changes.chunks(AT_ONCE);
        let mut answer = self.tell_some(event_id, chunks.next().unwrap_or_default()).await?;
        for chunk in chunks {
            answer = self.tell_some(event_id, chunk).await?;
        }
        Ok(answer)
    }

    async fn tell_some(&self, event_id: EventId, changes: &[(UserId, bool)]) -> Outcome<Answer> {
        let of = |is_here: bool| changes.iter().filter(move |change| change.1 == is_here).map(|change| change.0);
        let mut call = self.sync.prepare_invoke();
        for key in self.keys(event_id, &self.replica) {
            call.key(key);
        }
        call.arg(&self.replica).arg(KEPT).arg(DEAD_AFTER).arg(of(true).count());
        for who in of(true).chain(of(false)) {
            call.arg(who.uuid().as_bytes().as_slice());
        }
        let mut conn = self.redis.conn().await?;
        Ok(call.invoke_async(&mut conn).await?)
    }

    async fn release(&self, event_id: EventId, replica: &str) -> Outcome<()> {
        let mut conn = self.redis.conn().await?;
        loop {
            let mut call = self.release.prepare_invoke();
            for key in self.keys(event_id, replica) {
                call.key(key);
            }
            let left: i64 = call.arg(replica).arg(AT_ONCE).invoke_async(&mut conn).await?;
            if left == 0 {
                return Ok(());
            }
        }
    }

    /// The keys of a room; the braces keep them together in a cluster.
    fn keys(&self, event_id: EventId, replica: &str) -> [String; 3] {
        let key = |part: &str| self.redis.key(format_args!("ticketing:room:{{{event_id}}}:{part}"));
        [key("people"), key(&format!("at:{replica}")), key("replicas")]
    }

    /// Forgets what Redis knows by now, unless it has changed meanwhile.
    fn note_told(&self, event_id: EventId, told: &[(UserId, bool)]) {
        let mut rooms = self.rooms();
        let Some(room) = rooms.get_mut(&event_id) else { return };
        for (who, is_here) in told {
            if room.pending.get(who) == Some(is_here) {
                room.pending.remove(who);
            }
        }
    }

    /// Remembers the number; returns who has to hear it.
    fn settle(&self, event_id: EventId, total: i64, crowd: &Crowd) -> Settled {
        let here = count(crowd.count(event_id));
        let mut rooms = self.rooms();
        let Some(room) = rooms.get_mut(&event_id) else { return Settled::default() };
        let is_for_here = room.told.replace(total) != Some(total);
        let is_for_others = total > here || room.total > room.here;
        (room.total, room.here) = (total, here);
        if here == 0 && room.pending.is_empty() && !crowd.has_changes(event_id) {
            rooms.remove(&event_id);
        }
        Settled { is_for_here, is_for_others }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<EventId, Counted>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn new() -> Self {
        Self { pending: HashMap::new(), total: 0, here: 0, told: None, is_old: false, spoken_at: None }
    }
}

fn count(people: usize) -> i64 {
    i64::try_from(people).unwrap_or(i64::MAX)
}
