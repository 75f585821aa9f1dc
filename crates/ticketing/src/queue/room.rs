//! What one replica remembers of one event's waiting room.
//!
//! Answers to people who ask how far they are come from here: Redis is asked once a tick for the whole line, and not once
//! for everybody who waits. What is remembered is a few hundred milliseconds old and never decides anything; whenever it
//! does not suffice, Redis is asked.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use chrono::{DateTime, Utc};
use domain::{
    ids::{EventId, UserId},
    waiting_room::{
        SPACING, Standing,
        chance::Stock,
        estimate::{Conditions, Pace},
    },
};
use tokio::time::Instant;

use super::{
    script::{Change, Keys, Numbers, Place, State, Tick},
    store::Facts,
};

/// Numbers of one range that people are counted in, as in the script.
const BUCKET: i64 = 256 * SPACING;
/// How old a picture of the line may be before it is not shown any more.
const FRESH: Duration = Duration::from_secs(2);
/// How often somebody who is heard of is reported to Redis; many times within the time a place is kept.
const REPORT_EVERY: Duration = Duration::from_secs(20);
/// How long what is remembered of somebody counts without Redis having confirmed it.
const CONFIRMED: Duration = Duration::from_mins(1);
/// How long the line is looked at after somebody asked where they stand.
const INTEREST: Duration = Duration::from_secs(5);
/// How long a room that nobody here asks for is remembered.
const IDLE: Duration = Duration::from_mins(2);

/// One event's waiting room, as this replica knows it.
pub(super) struct Room {
    pub(super) event_id: EventId,
    pub(super) keys: Keys,
    /// Held while the order in Redis is begun anew, so that a hundred requests do that once.
    pub(super) opening: tokio::sync::Mutex<()>,
    /// How often that was tried here.
    pub(super) tried: AtomicU64,
    memory: Mutex<Memory>,
}

/// What changes about a room.
pub(super) struct Memory {
    pub(super) facts: Option<(Instant, Facts)>,
    /// When the facts are asked for next; one request does it and the others go on with what there is.
    pub(super) facts_due: Instant,
    pub(super) picture: Option<Picture>,
    known: HashMap<UserId, Known>,
    touched: HashSet<UserId>,
    pub(super) pace: Pace,
    pub(super) stock: Option<Stock>,
    pub(super) stock_due: Instant,
    pub(super) cursor: i64,
    pub(super) interest_until: Instant,
    pub(super) asked: Instant,
    pub(super) next_tick: Instant,
    pub(super) next_report: Instant,
    pub(super) empty_since: Instant,
    /// How the line stood when this replica last told it to everybody; nothing while another one leads it.
    pub(super) told: Option<(i64, i64, i64)>,
    /// The last change that this replica knows to be in the log.
    pub(super) logged: Option<(u32, i64)>,
}

/// How the line stood.
pub(super) struct Picture {
    pub(super) taken: Instant,
    pub(super) tick: Tick,
    /// Of the first of the line, how many are before them; nothing when they were not asked for.
    ranks: Option<HashMap<UserId, i64>>,
    head_end: i64,
    /// Ranges in order: which, how many wait in it, and how many before it.
    ranges: Vec<(i64, i64, i64)>,
}

#[derive(Clone, Copy)]
struct Known {
    standing: Spot,
    /// When Redis last heard of them through this replica.
    reported: Instant,
    asked: Instant,
}

#[derive(Clone, Copy)]
enum Spot {
    Waiting { seq: i64, rank: i64, at: Instant },
    Inside { seq: i64 },
}

/// Where somebody stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) standing: Standing,
    /// From 1; 0 for who does not wait.
    pub(super) position: i64,
    pub(super) numbers: Numbers,
}

impl Seen {
    pub(super) fn of(place: &Place) -> Self {
        let standing = match place.state {
            State::Active => Standing::Active,
            State::Queued => Standing::Queued,
            _ => Standing::NotInQueue,
        };
        let position = if standing == Standing::Queued { place.numbers.rank + 1 } else { 0 };
        Self { standing, position, numbers: place.numbers }
    }
}

impl Room {
    pub(super) fn new(event_id: EventId, keys: Keys, now: Instant) -> Self {
        let memory = Memory {
            facts: None,
            facts_due: now,
            picture: None,
            known: HashMap::new(),
            touched: HashSet::new(),
            pace: Pace::default(),
            stock: None,
            stock_due: now,
            cursor: -1,
            interest_until: now,
            asked: now,
            next_tick: now,
            next_report: now,
            empty_since: now,
            told: None,
            logged: None,
        };
        Self {
            event_id,
            keys,
            opening: tokio::sync::Mutex::default(),
            tried: AtomicU64::new(0),
            memory: Mutex::new(memory),
        }
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// Remembers what the database says.
    pub(super) fn keep_facts(&mut self, facts: Facts) {
        self.facts = Some((Instant::now(), facts));
    }

    /// Answers from memory where somebody stands, as if Redis had been asked a moment ago; nothing when it must be.
    pub(super) fn recall(&mut self, user_id: UserId, now: Instant) -> Option<Seen> {
        self.interest_until = now + INTEREST;
        self.asked = now;
        let picture = self.picture.as_ref().filter(|picture| now - picture.taken < FRESH)?;
        let known = self.known.get_mut(&user_id)?;
        if now - known.reported > CONFIRMED {
            return None;
        }
        let (standing, position, seq) = match known.standing {
            Spot::Inside { seq } => (Standing::Active, 0, seq),
            Spot::Waiting { seq, rank, at } if at >= picture.taken => (Standing::Queued, rank + 1, seq),
            Spot::Waiting { seq, .. } => (Standing::Queued, picture.position(user_id, seq)?, seq),
        };
        known.asked = now;
        if now - known.reported > REPORT_EVERY {
            known.reported = now;
            self.touched.insert(user_id);
        }
        // Somebody who has joined since the line was looked at is one of those who wait.
        let waiting = picture.tick.numbers.waiting.max(position);
        let numbers = Numbers { seq, rank: position - 1, waiting, ..picture.tick.numbers };
        Some(Seen { standing, position, numbers })
    }

    /// Remembers what Redis said about somebody, at a time before it was asked.
    pub(super) fn remember(&mut self, user_id: UserId, place: &Place, now: Instant) {
        self.asked = now;
        let Numbers { seq, rank, .. } = place.numbers;
        let standing = match place.state {
            State::Active => Spot::Inside { seq },
            State::Queued => {
                // Whoever leads a line in which nobody waited looks after it less often.
                self.next_tick = self.next_tick.min(now);
                Spot::Waiting { seq, rank, at: now }
            }
            _ => {
                self.known.remove(&user_id);
                return;
            }
        };
        self.known.insert(user_id, Known { standing, reported: now, asked: now });
    }

    /// Forgets somebody: Redis is asked about them next time.
    pub(super) fn forget(&mut self, user_id: UserId) {
        self.known.remove(&user_id);
    }

    /// Forgets everybody who is remembered of another line than this one, whoever was first to hear of it.
    pub(super) fn keep_to(&mut self, numbers: &Numbers) {
        if self.picture.as_ref().is_none_or(|picture| line(&picture.tick.numbers) != line(numbers)) {
            self.forget_all();
        }
    }

    /// Forgets everybody: the line they were in is no more.
    pub(super) fn forget_all(&mut self) {
        self.known.clear();
        self.picture = None;
        self.cursor = -1;
        self.pace = Pace::default();
    }

    /// Notes that somebody is there although they ask nothing, so that their place is kept.
    pub(super) fn touch(&mut self, user_id: UserId, now: Instant) {
        match self.known.get_mut(&user_id) {
            Some(known) if now - known.reported <= REPORT_EVERY => return,
            Some(known) => known.reported = now,
            None => {}
        }
        self.touched.insert(user_id);
    }

    /// Takes some of those who are to be reported.
    pub(super) fn take_touched(&mut self, most: usize) -> Vec<UserId> {
        let some: Vec<_> = self.touched.iter().take(most).copied().collect();
        for user in &some {
            self.touched.remove(user);
        }
        some
    }

    /// Puts back who could not be reported.
    pub(super) fn put_back(&mut self, users: Vec<UserId>) {
        self.touched.extend(users);
    }

    /// Takes in how the line stands now.
    pub(super) fn take_in(&mut self, tick: Tick, now: Instant) {
        let is_another = self.picture.as_ref().is_some_and(|p| line(&p.tick.numbers) != line(&tick.numbers));
        if is_another || tick.lost || self.cursor < 0 {
            // Whatever happened before the first look was missed.
            self.known.clear();
            self.pace = Pace::default();
        }
        for change in &tick.news {
            self.hear(*change);
        }
        for user in &tick.called {
            self.known.remove(user);
        }
        self.cursor = if is_another { tick.last_change } else { tick.cursor };
        self.pace.observe(tick.numbers.now_ms, tick.total_called, tick.numbers.waiting > 0);
        if tick.numbers.waiting + tick.numbers.active > 0 {
            self.empty_since = now;
        }
        let keep_ranks = tick.head.is_empty() && tick.numbers.waiting > 0;
        self.picture = Some(Picture::of(tick, now, !keep_ranks));
    }

    fn hear(&mut self, change: Change) {
        match change {
            // Redis is asked about them next time, which tells it that they have noticed.
            Change::Admitted(user) | Change::Left(user) => _ = self.known.remove(&user),
            Change::Moved(user, seq) => {
                if let Some(known) = self.known.get_mut(&user)
                    && !matches!(known.standing, Spot::Waiting { seq: same, .. } if same == seq)
                {
                    self.known.remove(&user);
                }
            }
            Change::Cleared => self.known.clear(),
        }
    }

    /// Forgets people who have not asked for a while.
    pub(super) fn tidy(&mut self, now: Instant) {
        self.known.retain(|_, known| now - known.asked < IDLE);
    }

    /// Returns whether the room need not be remembered.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        now - self.asked > IDLE && self.known.is_empty() && self.touched.is_empty()
    }

    /// Returns what holds the line up.
    pub(super) fn conditions(&self, numbers: &Numbers) -> Conditions {
        let tick = self.picture.as_ref().map(|picture| &picture.tick);
        let settings = self.facts.as_ref().map(|(_, facts)| (facts.settings, facts.sale.opens_at));
        let at = |ms: i64| DateTime::<Utc>::from_timestamp_millis(ms);
        Conditions {
            now: at(numbers.now_ms).unwrap_or_default(),
            opens_at: settings.map(|(settings, sale)| settings.opens_at.unwrap_or(sale)),
            paused: settings.is_some_and(|(settings, _)| settings.paused),
            recovers_at: tick.and_then(|tick| at(tick.recovers_ms)),
            rate_per_second: settings.and_then(|(settings, _)| settings.rate_per_second),
        }
    }
}

/// Tells one line from another.
fn line(numbers: &Numbers) -> (u32, u32) {
    (numbers.incarnation, numbers.generation)
}

impl Picture {
    fn of(tick: Tick, taken: Instant, has_ranks: bool) -> Self {
        let ranks = has_ranks.then(|| tick.head.iter().zip(0..).map(|((user, _), rank)| (*user, rank)).collect());
        let head_end = if tick.buckets.is_empty() { i64::MAX } else { tick.head.last().map_or(0, |(_, seq)| *seq) };
        let mut counts = tick.buckets.clone();
        counts.sort_unstable();
        let mut before = 0;
        let ranges = counts
            .into_iter()
            .map(|(bucket, count)| {
                let range = (bucket, count, before);
                before += count;
                range
            })
            .collect();
        Self { taken, tick, ranks, head_end, ranges }
    }

    /// Returns the position of somebody who waits: exact among the first of the line, else right to less than a range.
    /// Nothing when they are not where they were.
    fn position(&self, user_id: UserId, seq: i64) -> Option<i64> {
        let ranks = self.ranks.as_ref()?;
        if let Some(rank) = ranks.get(&user_id) {
            return Some(rank + 1);
        }
        if seq <= self.head_end {
            return None;
        }
        let bucket = seq.div_euclid(BUCKET);
        let at = self.ranges.binary_search_by_key(&bucket, |(bucket, ..)| *bucket).ok()?;
        let (_, count, before) = self.ranges.get(at)?;
        let within = count * seq.rem_euclid(BUCKET) / BUCKET;
        let ahead = i64::try_from(ranks.len()).unwrap_or(i64::MAX);
        Some((before + within).max(ahead) + 1)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn user(n: i64) -> UserId {
        UserId(Uuid::from_u128(n.unsigned_abs().into()))
    }

    /// A line of `waiting` people with consecutive numbers, as the script would describe it.
    fn line_of(waiting: i64) -> Tick {
        let seq = |n: i64| n * SPACING;
        let mut buckets = HashMap::new();
        for n in 1..=waiting {
            *buckets.entry(seq(n) / BUCKET).or_insert(0) += 1;
        }
        let numbers = Numbers { waiting, incarnation: 1, generation: 1, ..Numbers::default() };
        let head = (1..=waiting.min(512)).map(|n| (user(n), seq(n))).collect();
        let buckets = if waiting > 511 { buckets.into_iter().collect() } else { Vec::new() };
        Tick { numbers, head, buckets, ..Tick::default() }
    }

    #[tokio::test]
    async fn a_place_in_a_long_line_is_right_to_less_than_a_range_and_exact_near_its_head() {
        let picture = Picture::of(line_of(10_000), Instant::now(), true);
        for n in 1..=10_000 {
            let position = picture.position(user(n), n * SPACING).unwrap();
            let error = (position - n).abs();
            assert!(if n <= 512 { error == 0 } else { error < 256 && position > 512 }, "{n}: {position}");
        }
        assert_eq!(picture.position(user(7_777_777), 3 * SPACING), None);
    }

    #[tokio::test]
    async fn who_is_not_known_or_was_not_confirmed_for_a_while_is_asked_about() {
        let now = Instant::now();
        let redis = chassis::redis::RedisConfig {
            redis_url: "redis://127.0.0.1:1".to_owned().into(),
            redis_prefix: "test".to_owned(),
            redis_pool_size: 1,
            patience: Duration::ZERO,
        };
        let redis = chassis::redis::Redis::new(&redis).unwrap();
        let event = EventId(Uuid::nil());
        let room = Room::new(event, Keys::new(&redis, event), now);
        let mut memory = room.memory();
        memory.take_in(line_of(3), now);
        assert_eq!(memory.recall(user(2), now), None);
        let numbers = Numbers { seq: 2 * SPACING, rank: 1, ..Numbers::default() };
        let place = Place { state: State::Queued, numbers, called: Vec::new() };
        memory.remember(user(2), &place, now);
        let later = now + Duration::from_secs(1);
        assert_eq!(memory.recall(user(2), later).unwrap().position, 2);
        // Redis did not answer for a while: nothing is made up.
        assert_eq!(memory.recall(user(2), now + Duration::from_secs(3)), None);
        memory.take_in(line_of(3), now + Duration::from_secs(25));
        assert!(memory.recall(user(2), now + Duration::from_secs(25)).is_some());
        assert_eq!(memory.take_touched(10), [user(2)]);
        // They came in: Redis is asked, and hears that they noticed.
        let tick = Tick { news: vec![Change::Admitted(user(2))], ..line_of(3) };
        memory.take_in(tick, later);
        assert_eq!(memory.recall(user(2), later), None);
    }
}
