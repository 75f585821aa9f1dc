//! The steps of the script that keeps the order in Redis, and what they answer.

use std::time::Duration;

use chassis::{
    problem::{Outcome, Problem},
    redis::Redis,
};
use deadpool_redis::redis::{self, FromRedisValue, Script, ScriptInvocation};
use domain::{
    ids::{EventId, UserId},
    waiting_room::{settings::Settings, ticket::QueueTicket},
};

use super::{config::QueueConfig, store::Line};

const SOURCE: &str = include_str!("queue.lua");
/// The names of an event's keys, in the script's order.
const NAMES: [&str; 10] =
    ["meta", "queue", "seen", "active", "buckets", "changes", "numbers", "missed", "restored", "opening"];
/// The field of [`NAMES`] with the stream of changes.
const CHANGES: usize = 5;
/// Most people that are touched in one call.
pub(super) const TOUCHES: usize = 500;
/// How long a replica that advances a line is the only one to do so, milliseconds: four ticks, so that one that is late
/// keeps it, and one that died is replaced within a second.
const LEASE_MS: u64 = 1_000;
/// How long a replica may take to begin an order anew, milliseconds, before another one tries.
const OPENING_MS: u64 = 2_000;

/// Runs the script.
pub(super) struct Scripts {
    redis: Redis,
    script: Script,
    ttl_ms: u64,
    claim_ms: u64,
}

/// The keys of one event.
pub(super) struct Keys([String; NAMES.len()]);

/// How somebody asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Comes in, or waits.
    Join,
    /// Wants to know.
    Look,
    /// Comes in, or is refused.
    Enter,
}

/// From where somebody goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// From inside, or from the line.
    Anywhere,
    /// From inside only: who waits again does so for something else.
    Inside,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Is inside.
    Active,
    /// Waits.
    Queued,
    /// Neither.
    Out,
    /// There are no more numbers in this block.
    Exhausted,
    /// Too many wait.
    Full,
    /// Redis does not know the line.
    Cold,
}

/// Where somebody stands, and how the line does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    /// Redis' time, milliseconds since 1970.
    pub(super) now_ms: i64,
    pub(super) incarnation: u32,
    pub(super) generation: u32,
    /// The number in line, or the one with which they came in.
    pub(super) seq: i64,
    /// How many are before them in line.
    pub(super) rank: i64,
    pub(super) waiting: i64,
    pub(super) active: i64,
    pub(super) threshold: i64,
}

/// The answer to a step about one person.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) state: State,
    pub(super) numbers: Numbers,
    /// Who came in from the line through this step.
    pub(super) called: Vec<UserId>,
}

/// One thing that happened in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Admitted(UserId),
    Left(UserId),
    Moved(UserId, i64),
    Cleared,
}

/// How a line stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Tick {
    pub(super) numbers: Numbers,
    pub(super) ceiling: i64,
    pub(super) recovers_ms: i64,
    pub(super) leads: bool,
    pub(super) fence: i64,
    /// Whether there was more to do than fits into one call.
    pub(super) more: bool,
    /// Whether changes were missed.
    pub(super) lost: bool,
    /// The last change that has been read.
    pub(super) cursor: i64,
    pub(super) last_change: i64,
    /// How many came in from the line so far.
    pub(super) total_called: i64,
    pub(super) called: Vec<UserId>,
    /// The first of the line with their numbers, when they were asked for.
    pub(super) head: Vec<(UserId, i64)>,
    /// How many wait in each range of numbers, when the head is not all.
    pub(super) buckets: Vec<(i64, i64)>,
    pub(super) news: Vec<Change>,
}

/// Somebody who was let in, as the stream has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admission {
    pub(super) change: i64,
    pub(super) user_id: UserId,
    pub(super) seq: i64,
    pub(super) at_ms: i64,
    pub(super) restored: bool,
    pub(super) generation: i32,
}

type Answer = (String, Vec<i64>, Vec<String>);
type TickAnswer = (String, Vec<i64>, Vec<String>, Vec<String>, Vec<String>, Vec<String>);
type Entries = Vec<(String, Vec<String>)>;

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Keys {
    pub(super) fn new(redis: &Redis, event_id: EventId) -> Self {
        Self(NAMES.map(|name| redis.key(format_args!("queue:{{{event_id}}}:{name}"))))
    }
}

impl Scripts {
    pub(super) fn new(redis: Redis, config: &QueueConfig) -> Self {
        let (ttl_ms, claim_ms) = (ms(config.queue_ttl), ms(config.queue_claim_ttl));
        Self { redis, script: Script::new(SOURCE), ttl_ms, claim_ms }
    }

    async fn run<T: FromRedisValue>(
        &self,
        keys: &Keys,
        step: &str,
        with: impl FnOnce(&mut ScriptInvocation<'_>),
    ) -> Outcome<T> {
        let call = self.call(keys, step, with);
        let mut conn = self.redis.conn().await?;
        call.invoke_async(&mut conn).await.map_err(Problem::from)
    }

    /// Runs a step that may be done twice, together with others': a crowd asks all at once.
    async fn run_with_others<T: FromRedisValue>(
        &self,
        keys: &Keys,
        step: &str,
        with: impl FnOnce(&mut ScriptInvocation<'_>),
    ) -> Outcome<T> {
        let call = self.call(keys, step, with);
        self.redis.share(async |conn| call.invoke_async(conn).await).await
    }

    fn call(&self, keys: &Keys, step: &str, with: impl FnOnce(&mut ScriptInvocation<'_>)) -> ScriptInvocation<'_> {
        let mut call = self.script.prepare_invoke();
        for key in &keys.0 {
            call.key(key);
        }
        call.arg(step).arg(self.ttl_ms).arg(self.claim_ms);
        with(&mut call);
        call
    }

    /// Asks for somebody.
    pub(super) async fn ask(
        &self,
        keys: &Keys,
        how: Ask,
        user_id: UserId,
        ticket: Option<&QueueTicket>,
    ) -> Outcome<Place> {
        let step = match how {
            Ask::Join => "join",
            Ask::Look => "look",
            Ask::Enter => "enter",
        };
        let old = ticket.map_or((0, 0, 0, 0), |t| (t.generation, t.incarnation, t.seq, t.seen_at_ms));
        let answer = self.run_with_others(keys, step, |call| {
            call.arg(user_id.to_string()).arg(old.0).arg(old.1).arg(old.2).arg(old.3);
        });
        read_place(answer.await?)
    }

    /// Lets somebody go, from where they may be.
    pub(super) async fn leave(&self, keys: &Keys, user_id: UserId, from: Leaving) -> Outcome<Place> {
        let from = match from {
            Leaving::Anywhere => "anywhere",
            Leaving::Inside => "inside",
        };
        read_place(self.run(keys, "leave", |call| _ = call.arg(user_id.to_string()).arg(from)).await?)
    }

    /// Lets somebody step back.
    pub(super) async fn defer(&self, keys: &Keys, user_id: UserId, places: u32) -> Outcome<Place> {
        read_place(self.run(keys, "defer", |call| _ = call.arg(user_id.to_string()).arg(places)).await?)
    }

    /// Notes that people were heard of; says of each who is neither inside nor in line. `None`: the line is not known.
    pub(super) async fn touch(&self, keys: &Keys, users: &[UserId]) -> Outcome<Option<Vec<UserId>>> {
        let answer = self.run(keys, "touch", |call| {
            for user in users {
                call.arg(user.to_string());
            }
        });
        let (state, _now, states): Answer = answer.await?;
        if state == "cold" {
            return Ok(None);
        }
        let gone = users.iter().zip(states).filter(|(_, state)| state == "-").map(|(user, _)| *user);
        Ok(Some(gone.collect()))
    }

    /// Claims to begin an order anew; returns whether nobody else does, and nobody did.
    pub(super) async fn claim(&self, keys: &Keys, claim: &str) -> Outcome<bool> {
        let (state, ..): Answer = self.run(keys, "claim", |call| _ = call.arg(claim).arg(OPENING_MS)).await?;
        Ok(state == "claimed")
    }

    /// Begins an order anew; returns whether the claim was still good.
    pub(super) async fn open(&self, keys: &Keys, claim: &str, line: &Line, recovery: Duration) -> Outcome<bool> {
        let recovery_ms = if line.is_crowded() { ms(recovery) } else { 0 };
        let answer = self.run(keys, "open", |call| {
            call.arg(claim)
                .arg(line.incarnation)
                .arg(line.generation)
                .arg(line.seq_from)
                .arg(line.seq_high_water)
                .arg(line.fence)
                .arg(line.alive_at_ms)
                .arg(recovery_ms);
            settings(call, line);
        });
        let (state, ..): Answer = answer.await?;
        Ok(state == "open")
    }

    /// Tells what the database says. The place's number is how many people were sent away.
    pub(super) async fn tell(&self, keys: &Keys, line: &Line) -> Outcome<Place> {
        let answer = self.run(keys, "tell", |call| {
            call.arg(line.generation).arg(line.seq_high_water);
            settings(call, line);
        });
        read_place(answer.await?)
    }

    /// Lets people in, if this replica holds the lease or nobody does, and looks.
    pub(super) async fn tick(&self, keys: &Keys, holder: &str, wants: bool, cursor: i64) -> Outcome<Option<Tick>> {
        let answer = self.run(keys, "tick", |call| {
            call.arg(holder).arg(LEASE_MS).arg(i32::from(wants)).arg(cursor);
        });
        read_tick(answer.await?)
    }

    /// Forgets an order that nobody is in and in which nothing changed since `last_change`; returns whether it did.
    pub(super) async fn close(&self, keys: &Keys, last_change: i64) -> Outcome<bool> {
        let (state, ..): Answer = self.run(keys, "close", |call| _ = call.arg(last_change)).await?;
        Ok(state == "closed")
    }

    /// Forgets an order that is of the past.
    pub(super) async fn wipe(&self, keys: &Keys, incarnation: u32) -> Outcome<()> {
        let _wiped: Answer = self.run(keys, "wipe", |call| _ = call.arg(incarnation)).await?;
        Ok(())
    }

    /// Reads who was let in after a change and not after another, and the last change that was read.
    pub(super) async fn admissions(
        &self,
        keys: &Keys,
        after: i64,
        to: i64,
        most: usize,
    ) -> Outcome<(Vec<Admission>, i64)> {
        let Some(changes) = keys.0.get(CHANGES) else { return Ok((Vec::new(), after)) };
        let mut command = redis::cmd("XRANGE");
        command.arg(changes).arg(format!("{}-0", after + 1)).arg(format!("{to}-0")).arg("COUNT").arg(most);
        let entries: Entries = self.redis.run(&command).await?;
        let mut last = after;
        let mut admissions = Vec::with_capacity(entries.len());
        for (id, fields) in &entries {
            last = id.split('-').next().and_then(|change| change.parse().ok()).unwrap_or(last);
            admissions.extend(read_admission(last, fields));
        }
        Ok((admissions, last))
    }

    /// Forgets changes that are in the log and that every replica has had the time to read.
    pub(super) async fn trim(&self, keys: &Keys, before: i64) -> Outcome<()> {
        let Some(changes) = keys.0.get(CHANGES) else { return Ok(()) };
        let mut command = redis::cmd("XTRIM");
        self.redis.run(command.arg(changes).arg("MINID").arg("~").arg(format!("{}-0", before.max(1)))).await
    }
}

fn settings(call: &mut ScriptInvocation<'_>, line: &Line) {
    let Settings { mode, threshold, paused, .. } = line.settings;
    call.arg(line.settings_version)
        .arg(mode.name())
        .arg(threshold)
        .arg(line.settings.interval_us().unwrap_or_default())
        .arg(i32::from(paused))
        .arg(line.opens_at().timestamp_millis());
}

fn read_place((state, numbers, called): Answer) -> Outcome<Place> {
    let state = match state.as_str() {
        "active" => State::Active,
        "queued" => State::Queued,
        "exhausted" => State::Exhausted,
        "full" => State::Full,
        "cold" => State::Cold,
        _ => State::Out,
    };
    let numbers = match *numbers.as_slice() {
        [now_ms, incarnation, generation, seq, rank, waiting, active, threshold, _until] => Numbers {
            now_ms,
            incarnation: number(incarnation),
            generation: number(generation),
            seq,
            rank,
            waiting,
            active,
            threshold,
        },
        [now_ms] => Numbers { now_ms, ..Numbers::default() },
        _ => return Err(Problem::unexpected("the waiting room's script answered in another form")),
    };
    Ok(Place { state, numbers, called: users(&called) })
}

fn read_tick((state, numbers, called, head, buckets, news): TickAnswer) -> Outcome<Option<Tick>> {
    if state == "cold" {
        return Ok(None);
    }
    let [
        now_ms,
        incarnation,
        generation,
        seq,
        ceiling,
        threshold,
        _opens_ms,
        recovers_ms,
        _paused,
        waiting,
        active,
        leads,
        fence,
        more,
        lost,
        cursor,
        last_change,
        total_called,
    ] = *numbers.as_slice()
    else {
        return Err(Problem::unexpected("the waiting room's script answered in another form"));
    };
    let (incarnation, generation) = (number(incarnation), number(generation));
    let numbers = Numbers { now_ms, incarnation, generation, seq, rank: -1, waiting, active, threshold };
    Ok(Some(Tick {
        numbers,
        ceiling,
        recovers_ms,
        leads: leads == 1,
        fence,
        more: more == 1,
        lost: lost == 1,
        cursor,
        last_change,
        total_called,
        called: users(&called),
        head: pairs(&head),
        buckets: pairs(&buckets),
        news: news.chunks_exact(3).filter_map(read_change).collect(),
    }))
}

fn read_change(entry: &[String]) -> Option<Change> {
    let [kind, user, seq] = entry else { return None };
    match kind.as_str() {
        "a" => Some(Change::Admitted(user.parse().ok()?)),
        "l" => Some(Change::Left(user.parse().ok()?)),
        "d" => Some(Change::Moved(user.parse().ok()?, seq.parse().ok()?)),
        "c" => Some(Change::Cleared),
        _ => None,
    }
}

fn read_admission(change: i64, fields: &[String]) -> Option<Admission> {
    let field = |name: &str| {
        fields.chunks_exact(2).find_map(|pair| match pair {
            [key, value] if key == name => Some(value.as_str()),
            _ => None,
        })
    };
    (field("k")? == "a").then_some(())?;
    Some(Admission {
        change,
        user_id: field("u")?.parse().ok()?,
        seq: field("s")?.parse().ok()?,
        at_ms: field("t")?.parse().ok()?,
        restored: field("r")? == "1",
        generation: field("g")?.parse().ok()?,
    })
}

fn number(value: i64) -> u32 {
    u32::try_from(value).unwrap_or_default()
}

fn users(names: &[String]) -> Vec<UserId> {
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

fn pairs<A: std::str::FromStr, B: std::str::FromStr>(flat: &[String]) -> Vec<(A, B)> {
    let read = |pair: &[String]| match pair {
        [first, second] => Some((first.parse().ok()?, second.parse().ok()?)),
        _ => None,
    };
    flat.chunks_exact(2).filter_map(read).collect()
}
