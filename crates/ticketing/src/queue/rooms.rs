//! The waiting rooms of this process: who asks, and how an order that Redis lost is begun anew.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chassis::{
    mac::Mac,
    pg::Pg,
    problem::{Outcome, Problem},
    redis::Redis,
    service::Foundation,
};
use deadpool_redis::redis;
use diesel_async::AsyncConnection;
use domain::{
    ids::{EventId, UserId},
    seat_hold::{EVENT_NOT_FOUND, EventStatus, SALE_CLOSED},
    waiting_room::{
        ROOM_FULL,
        settings::{Mode, Settings, SettingsChange},
        ticket::QueueTicket,
    },
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    config::QueueConfig,
    room::{Room, Seen},
    script::{Ask, Keys, Leaving, Numbers, Place, Scripts, State},
    store::{self, Facts},
    ticket,
};
use crate::notice::{Notice, Notices};

/// How long what the database says about an event counts here.
const FACTS_LIFE: Duration = Duration::from_secs(1);
/// How long it still counts while the database is away: a line moves on without it.
const FACTS_STALE: Duration = Duration::from_mins(1);
/// How long a step is tried: an order may have to be begun, by this replica or another, and a block of numbers taken,
/// before it can be made.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long to wait for another replica that begins an order.
const PAUSE: Duration = Duration::from_millis(20);

/// The waiting rooms of this process; clones share them.
#[derive(Clone)]
pub struct WaitingRooms(pub(super) Arc<Inner>);

/// What can be changed about a line.
#[derive(Clone, Copy, Debug)]
pub(super) enum LineChange {
    /// How it is run. Turning it off sends everybody away who waits: nobody needs to any more.
    Settings(SettingsChange),
    /// Everybody is sent away.
    Empty,
}

impl LineChange {
    fn settings(self, line: &store::Line) -> Outcome<Option<Settings>> {
        match self {
            Self::Settings(change) => Ok(Some(line.settings.change(change)?)),
            Self::Empty => Ok(None),
        }
    }
}

/// What waiting rooms work with.
pub(super) struct Inner {
    pub(super) scripts: Scripts,
    pub(super) redis: Redis,
    pub(super) pg: Pg,
    pub(super) notices: Notices,
    pub(super) config: QueueConfig,
    pub(super) holder: String,
    /// How often this replica claimed to begin an order: each claim has another name.
    claims: AtomicU64,
    mac: Mac,
    rooms: Mutex<HashMap<EventId, Arc<Room>>>,
}

impl WaitingRooms {
    /// Opens the waiting rooms of a replica.
    pub fn new(ground: &Foundation, notices: Notices, config: QueueConfig, mac: Mac) -> Self {
        let (redis, pg) = (ground.redis.clone(), ground.pg.clone());
        let scripts = Scripts::new(redis.clone(), &config);
        let holder = ground.clock.uuid().to_string();
        Self(Arc::new(Inner {
            scripts,
            redis,
            pg,
            notices,
            config,
            holder,
            claims: AtomicU64::new(0),
            mac,
            rooms: Mutex::default(),
        }))
    }

    /// Returns the room of an event.
    pub(super) fn room(&self, event_id: EventId) -> Arc<Room> {
        let mut rooms = self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Room::new(event_id, Keys::new(&self.0.redis, event_id), Instant::now()));
        rooms.entry(event_id).or_insert_with(make).clone()
    }

    /// Finds the room of an event among those that this replica knows.
    pub(super) fn find(&self, event_id: EventId) -> Option<Arc<Room>> {
        self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner).get(&event_id).cloned()
    }

    /// Lists the rooms that this replica knows.
    pub(super) fn known(&self) -> Vec<Arc<Room>> {
        self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Forgets a room.
    pub(super) fn drop_room(&self, event_id: EventId) {
        self.0.rooms.lock().unwrap_or_else(PoisonError::into_inner).remove(&event_id);
    }

    /// Returns an event whose tickets can be bought, now or later, and its room.
    ///
    /// # Errors
    /// 404 for an unknown event, 409 for one that is over or cancelled.
    pub(super) async fn open_event(&self, event_id: EventId) -> Outcome<(Arc<Room>, Facts)> {
        let (room, facts) = self.event(event_id).await?;
        if is_over(&facts) {
            return Err(SALE_CLOSED.into());
        }
        Ok((room, facts))
    }

    /// Returns an event and its room.
    ///
    /// # Errors
    /// 404 for an unknown event.
    pub(super) async fn event(&self, event_id: EventId) -> Outcome<(Arc<Room>, Facts)> {
        let Some(room) = self.find(event_id) else {
            // Only events that there are get a room: nobody fills the memory with made-up ones.
            let facts = self.find_facts(event_id).await?.ok_or(EVENT_NOT_FOUND)?;
            let room = self.room(event_id);
            room.memory().keep_facts(facts.clone());
            return Ok((room, facts));
        };
        let facts = self.facts(&room).await?;
        Ok((room, facts))
    }

    async fn find_facts(&self, event_id: EventId) -> Outcome<Option<Facts>> {
        store::find_facts(&mut *self.0.pg.conn().await?, event_id).await
    }

    /// Returns what is known about a room's event, asking the database once a second.
    async fn facts(&self, room: &Room) -> Outcome<Facts> {
        let now = Instant::now();
        let kept = {
            let mut memory = room.memory();
            let kept = memory.facts.clone().filter(|(at, _)| now - *at < FACTS_STALE);
            if let Some((at, facts)) = &kept
                && now < memory.facts_due
            {
                return Ok(facts.clone().later(now - *at));
            }
            memory.facts_due = now + FACTS_LIFE;
            kept
        };
        match self.find_facts(room.event_id).await {
            Ok(Some(facts)) => {
                room.memory().keep_facts(facts.clone());
                Ok(facts)
            }
            Ok(None) => {
                self.drop_room(room.event_id);
                Err(EVENT_NOT_FOUND.into())
            }
            Err(problem) => kept.map(|(at, facts)| facts.later(now - at)).ok_or(problem),
        }
    }

    /// Lets somebody in or has them wait; who asks again keeps their place.
    pub(super) async fn join(&self, room: &Room, user_id: UserId, ticket: Option<&QueueTicket>) -> Outcome<Seen> {
        let place = self.ask(room, Ask::Join, user_id, ticket).await?;
        metrics::counter!("queue_joins_total").increment(1);
        Ok(Seen::of(&place))
    }

    /// Returns where somebody stands, from memory where that suffices.
    pub(super) async fn look(&self, room: &Room, user_id: UserId, ticket: Option<&QueueTicket>) -> Outcome<Seen> {
        if let Some(seen) = room.memory().recall(user_id, Instant::now()) {
            return Ok(seen);
        }
        Ok(Seen::of(&self.ask(room, Ask::Look, user_id, ticket).await?))
    }

    /// Returns whether somebody is inside, letting them in where nobody waits and there is room.
    pub(super) async fn enter(&self, room: &Room, user_id: UserId, ticket: Option<&QueueTicket>) -> Outcome<bool> {
        Ok(self.ask(room, Ask::Enter, user_id, ticket).await?.state == State::Active)
    }

    /// Counts who waits and who is inside; nobody where the line was never opened.
    pub(super) async fn numbers(&self, room: &Room) -> Outcome<Numbers> {
        Ok(self.0.scripts.ask(&room.keys, Ask::Look, UserId(Uuid::nil()), None).await?.numbers)
    }

    async fn ask(&self, room: &Room, how: Ask, user_id: UserId, ticket: Option<&QueueTicket>) -> Outcome<Place> {
        let asked = Instant::now();
        let place = self.until_done(room, async || self.0.scripts.ask(&room.keys, how, user_id, ticket).await).await?;
        room.memory().remember(user_id, &place, asked);
        Ok(place)
    }

    /// Lets somebody go; their place is the next one's at once.
    pub(super) async fn leave(&self, room: &Room, user_id: UserId, from: Leaving) -> Outcome<()> {
        let place = self.0.scripts.leave(&room.keys, user_id, from).await?;
        room.memory().forget(user_id);
        self.call(room.event_id, &place.called).await;
        Ok(())
    }

    /// Lets somebody step back.
    pub(super) async fn defer(&self, room: &Room, user_id: UserId, places: u32) -> Outcome<Seen> {
        let asked = Instant::now();
        let step = async || self.0.scripts.defer(&room.keys, user_id, places).await;
        let place = self.until_done(room, step).await?;
        room.memory().remember(user_id, &place, asked);
        Ok(Seen::of(&place))
    }

    /// Makes a step until it is made, mending what is missing in between.
    async fn until_done(&self, room: &Room, step: impl AsyncFn() -> Outcome<Place>) -> Outcome<Place> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            let tried = room.tried.load(Ordering::Acquire);
            let place = step().await?;
            match place.state {
                State::Cold => self.begin(room, tried).await?,
                State::Exhausted => self.extend(room, place.numbers.seq).await?,
                State::Full => return Err(ROOM_FULL.into()),
                _ => return Ok(place),
            }
        }
        Err(Problem::unavailable("the waiting room could not be opened"))
    }

    /// Begins the order in Redis anew, behind every number that was ever given.
    ///
    /// One replica does it and the others wait: of two blocks of numbers that are taken for one order, the database would
    /// know the second and Redis the first.
    async fn begin(&self, room: &Room, tried: u64) -> Outcome<()> {
        let alone = room.opening.lock().await;
        // A hundred requests here try once.
        if room.tried.load(Ordering::Acquire) == tried {
            let is_open = self.open(room).await;
            room.tried.fetch_add(1, Ordering::Release);
            if is_open? {
                return Ok(());
            }
        }
        drop(alone);
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    /// Tries to begin the order; returns whether it did. Whoever is held up in here for longer than their claim is good
    /// finds that somebody else was faster, in the database or in Redis; a block of numbers that nobody uses is no loss.
    async fn open(&self, room: &Room) -> Outcome<bool> {
        let mut conn = self.0.pg.conn().await?;
        let before = store::find(&mut conn, room.event_id).await?.map_or(0, |line| line.incarnation);
        let claim = format!("{}:{}", self.0.holder, self.0.claims.fetch_add(1, Ordering::Relaxed));
        if !self.0.scripts.claim(&room.keys, &claim).await? {
            return Ok(false);
        }
        let Some(line) = store::begin(&mut conn, room.event_id, before).await? else { return Ok(false) };
        drop(conn);
        if !self.0.scripts.open(&room.keys, &claim, &line, self.0.config.queue_recovery).await? {
            return Ok(false);
        }
        self.register(room.event_id).await?;
        room.memory().forget_all();
        tracing::info!(event_id = %room.event_id, incarnation = line.incarnation, waited = line.waiting, "a waiting room opens");
        Ok(true)
    }

    async fn extend(&self, room: &Room, seq: i64) -> Outcome<()> {
        let line = store::extend(&mut *self.0.pg.conn().await?, room.event_id, seq).await?;
        self.tell(room, &line).await.map(drop)
    }

    /// Tells Redis what the database says about a line; who may come in then does. Nothing when Redis does not know
    /// the line.
    pub(super) async fn tell(&self, room: &Room, line: &store::Line) -> Outcome<Option<Place>> {
        let place = self.0.scripts.tell(&room.keys, line).await?;
        if place.state == State::Cold {
            return Ok(None);
        }
        room.memory().keep_to(&place.numbers);
        // Another line has begun.
        if place.numbers.rank == 0 {
            self.notify(&[Notice::QueueCleared { event_id: room.event_id }]).await;
        }
        self.call(room.event_id, &place.called).await;
        Ok(Some(place))
    }

    /// Changes a line in the database, and then in Redis. While Redis is away its turn comes with the next report.
    pub(super) async fn change(&self, room: &Room, change: LineChange) -> Outcome<(store::Line, Option<Place>)> {
        let mut conn = self.0.pg.conn().await?;
        let line = conn
            .transaction(async |conn| {
                let line = store::lock(conn, room.event_id).await?;
                let Some(settings) = change.settings(&line)? else {
                    return store::begin_line(conn, room.event_id).await;
                };
                let changed = store::set(conn, room.event_id, &settings).await?;
                let turned_off = settings.mode == Mode::Off && line.settings.mode != Mode::Off;
                if turned_off { store::begin_line(conn, room.event_id).await } else { Ok(changed) }
            })
            .await?;
        drop(conn);
        room.memory().facts_due = Instant::now();
        let place = self.tell(room, &line).await?;
        Ok((line, place))
    }

    /// Tells people that they may come in.
    pub(super) async fn call(&self, event_id: EventId, called: &[UserId]) {
        if called.is_empty() {
            return;
        }
        metrics::counter!("queue_called_total").increment(called.len() as u64);
        let notices: Vec<_> = called.iter().map(|&user_id| Notice::Admitted { event_id, user_id }).collect();
        self.notify(&notices).await;
    }

    /// Sends notices. One that is lost costs comfort only: who asks finds the same.
    pub(super) async fn notify(&self, notices: &[Notice]) {
        if let Err(problem) = self.0.notices.tell(notices).await {
            tracing::warn!(code = problem.code(), count = notices.len(), "notices of a waiting room were not sent");
        }
    }

    /// Reads a ticket of this person for this event.
    pub(super) fn read_ticket(&self, text: Option<&str>, event_id: EventId, user_id: UserId) -> Option<QueueTicket> {
        ticket::read(text?, &self.0.mac, event_id, user_id)
    }

    /// Writes the ticket of somebody who stands somewhere.
    pub(super) fn write_ticket(&self, event_id: EventId, user_id: UserId, seen: &Seen) -> Option<String> {
        let numbers = seen.numbers;
        let ticket = QueueTicket {
            event_id,
            user_id,
            generation: numbers.generation,
            incarnation: numbers.incarnation,
            seq: numbers.seq,
            seen_at_ms: numbers.now_ms,
        };
        (numbers.seq > 0 && seen.position >= 0).then(|| ticket::write(&ticket, &self.0.mac))
    }

    fn registry(&self) -> String {
        self.0.redis.key("queue:open")
    }

    /// Has every replica look after a room.
    pub(super) async fn register(&self, event_id: EventId) -> Outcome<()> {
        let mut command = redis::cmd("SADD");
        self.0.redis.run(command.arg(self.registry()).arg(event_id.to_string())).await
    }

    /// Has nobody look after a room any more.
    pub(super) async fn unregister(&self, event_id: EventId) -> Outcome<()> {
        let mut command = redis::cmd("SREM");
        self.0.redis.run(command.arg(self.registry()).arg(event_id.to_string())).await
    }

    /// Lists the rooms that somebody must look after.
    pub(super) async fn registered(&self) -> Outcome<Vec<EventId>> {
        let mut command = redis::cmd("SMEMBERS");
        let names: Vec<String> = self.0.redis.run(command.arg(self.registry())).await?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }
}

/// Returns whether nothing is sold any more.
pub(super) fn is_over(facts: &Facts) -> bool {
    matches!(facts.sale.status(facts.now, false), EventStatus::Ended | EventStatus::Cancelled)
}

/// Returns whether admission is ever needed.
pub(super) fn is_off(facts: &Facts) -> bool {
    facts.settings.mode == Mode::Off
}
