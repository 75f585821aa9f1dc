//! The sessions that are watched here, and how news of them travels between replicas.
//!
//! After a commit that appended events, the replica says so over Redis, and every replica where the session is watched
//! reads what is new. What Redis loses is found within seconds: the last numbers of all watched sessions are compared
//! with the log, in one query.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::{
    lifecycle::Lifecycle,
    pg::Pg,
    problem::{Outcome, Problem},
    redis::Redis,
};
use domain::{ids::SessionId, session::NOT_FOUND};
use futures_util::StreamExt;
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{room::Room, store};
use crate::qr::Pictures;

/// The Redis channel of ids of sessions with something new, separated by commas.
const NEWS: &str = "session-news";
/// Most ids of one notice.
const NOTICE_IDS: usize = 500;
/// How often the log is compared; the longest a notice that Redis lost goes unnoticed.
const COMPARE_EVERY: Duration = Duration::from_secs(2);
/// Longest to wait for a subscription.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often old events are deleted.
const PRUNE_EVERY: Duration = Duration::from_mins(10);
/// Most viewers of one replica, at about 18 KB each (`maru-bench viewers`).
const VIEWERS_MAX: usize = 20_000;

/// The rooms of this process; clones share them.
#[derive(Clone)]
pub struct Rooms(Arc<Inner>);

struct Inner {
    pg: Pg,
    redis: Redis,
    lifecycle: Lifecycle,
    pictures: Arc<Pictures>,
    rooms: Mutex<Open>,
    /// Sessions with news that are not told to others yet.
    untold: Mutex<HashSet<SessionId>>,
    tell: Notify,
}

#[derive(Default)]
struct Open {
    by_id: HashMap<SessionId, (Arc<Room>, usize)>,
    viewers: usize,
}

/// A viewer's place in a room; the room closes behind the last one.
pub struct Seat {
    /// The room.
    pub room: Arc<Room>,
    rooms: Rooms,
}

impl Rooms {
    /// Makes rooms; [`start`](Self::start) them once per process.
    pub fn new(pg: Pg, redis: Redis, lifecycle: Lifecycle, pictures: Arc<Pictures>) -> Self {
        Self(Arc::new(Inner {
            pg,
            redis,
            lifecycle,
            pictures,
            rooms: Mutex::default(),
            untold: Mutex::default(),
            tell: Notify::new(),
        }))
    }

    /// Starts the loops that carry news.
    pub fn start(&self) {
        self.spawn("session-news-tell", |rooms, stop| async move { rooms.tell_others(stop).await });
        self.spawn("session-news-listen", |rooms, stop| async move { rooms.listen(stop).await });
        self.spawn("session-news-compare", |rooms, stop| async move { rooms.compare(stop).await });
        self.spawn("session-events-prune", |rooms, stop| async move { rooms.prune(stop).await });
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(
        &self,
        name: &'static str,
        run: impl Fn(Self, CancellationToken) -> F + Send + Sync + 'static,
    ) {
        let rooms = self.clone();
        self.0.lifecycle.spawn_loop(name, move |stop| run(rooms.clone(), stop));
    }

    /// Says after a commit that there is something new about a session. Waits for nobody.
    pub fn tell(&self, id: SessionId) {
        if let Some(room) = self.room(id) {
            room.poke();
        }
        lock(&self.0.untold).insert(id);
        self.0.tell.notify_one();
    }

    /// Takes a place among a session's viewers.
    ///
    /// # Errors
    /// `session_not_found`; 503 when this replica is full or the database is away.
    pub async fn enter(&self, id: SessionId) -> Outcome<Seat> {
        if let Some(seat) = self.sit(id, None)? {
            return Ok(seat);
        }
        let mut conn = self.0.pg.conn().await?;
        // The number first: the state is at least as new, and what comes in between is told again.
        let last = store::last(&mut conn, &[id.0]).await?;
        let (_, seq) = *last.first().ok_or(NOT_FOUND)?;
        let state = store::find_state(&mut conn, id, &self.0.pictures).await?.ok_or(NOT_FOUND)?;
        drop(conn);
        let room = Arc::new(Room::new(state, seq, CancellationToken::new()));
        let seat = self.sit(id, Some(room.clone()))?;
        let seat = seat.ok_or_else(|| Problem::unexpected("a room that was brought is not there"))?;
        if Arc::ptr_eq(&seat.room, &room) {
            let (pg, pictures) = (self.0.pg.clone(), Arc::clone(&self.0.pictures));
            // Whatever was told between reading and this moment was told to nobody here.
            room.poke();
            self.0.lifecycle.spawn("session-room", async move { room.keep(pg, &pictures).await });
        }
        Ok(seat)
    }

    /// Takes a place in the room that is open, or in `brought` when there is none.
    fn sit(&self, id: SessionId, brought: Option<Arc<Room>>) -> Outcome<Option<Seat>> {
        let mut open = lock(&self.0.rooms);
        if open.viewers >= VIEWERS_MAX {
            return Err(Problem::unavailable("this replica has as many viewers as it takes").retry_after(5));
        }
        if let Some(brought) = brought {
            open.by_id.entry(id).or_insert((brought, 0));
        }
        let Some((room, viewers)) = open.by_id.get_mut(&id) else { return Ok(None) };
        *viewers += 1;
        let room = room.clone();
        open.viewers += 1;
        open.measure();
        Ok(Some(Seat { room, rooms: self.clone() }))
    }

    fn leave(&self, id: SessionId) {
        let mut open = lock(&self.0.rooms);
        open.viewers = open.viewers.saturating_sub(1);
        if let Some((room, viewers)) = open.by_id.get_mut(&id) {
            *viewers = viewers.saturating_sub(1);
            if *viewers == 0 {
                room.empty.cancel();
                open.by_id.remove(&id);
            }
        }
        open.measure();
    }

    fn room(&self, id: SessionId) -> Option<Arc<Room>> {
        lock(&self.0.rooms).by_id.get(&id).map(|(room, _)| room.clone())
    }

    fn all(&self) -> Vec<Arc<Room>> {
        lock(&self.0.rooms).by_id.values().map(|(room, _)| room.clone()).collect()
    }

    async fn tell_others(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.tell.notified() => {}
            }
            let ids: Vec<SessionId> = lock(&self.0.untold).drain().collect();
            for some in ids.chunks(NOTICE_IDS) {
                let notice = some.iter().map(SessionId::to_string).collect::<Vec<_>>().join(",");
                // What is not said is found by comparing.
                if self.0.redis.publish(NEWS, &notice).await.is_err() {
                    metrics::counter!("session_news_lost_total").increment(1);
                }
            }
        }
    }

    async fn listen(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Ok(Ok(notices)) = timeout(SUBSCRIBE_TIMEOUT, self.0.redis.subscribe(NEWS)).await {
                let heard = notices.take_until(stop.cancelled()).for_each(|notice| {
                    for id in notice.split(',').filter_map(|id| id.parse().ok()) {
                        if let Some(room) = self.room(id) {
                            room.poke();
                        }
                    }
                    std::future::ready(())
                });
                heard.await;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(Redis::resubscribe_pause()) => {}
            }
        }
    }

    async fn compare(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(COMPARE_EVERY) => {}
            }
            let rooms = self.all();
            if rooms.is_empty() {
                continue;
            }
            if let Err(problem) = self.compare_once(&rooms).await {
                tracing::warn!(code = problem.code(), "watched sessions are not compared with the log now");
            }
        }
    }

    async fn compare_once(&self, rooms: &[Arc<Room>]) -> Outcome<()> {
        let ids: Vec<_> = rooms.iter().map(|room| room.id.0).collect();
        let mut conn = self.0.pg.conn().await?;
        let last: HashMap<_, _> = store::last(&mut conn, &ids).await?.into_iter().collect();
        for room in rooms {
            // A session that is not there was deleted.
            if last.get(&room.id) != Some(&room.seq()) {
                room.poke();
            }
        }
        Ok(())
    }

    async fn prune(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PRUNE_EVERY) => {}
            }
            if let Err(problem) = self.prune_once().await {
                tracing::warn!(code = problem.code(), "old events are not deleted yet");
            }
        }
    }

    async fn prune_once(&self) -> Outcome<()> {
        while store::prune(&mut *self.0.pg.conn().await?).await? > 0 {}
        Ok(())
    }
}

impl Open {
    #[expect(clippy::cast_precision_loss, reason = "a gauge of thousands")]
    fn measure(&self) {
        metrics::gauge!("session_viewers").set(self.viewers as f64);
        metrics::gauge!("session_rooms").set(self.by_id.len() as f64);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.rooms.leave(self.room.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
