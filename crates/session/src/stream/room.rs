//! A session that somebody watches here: its state, the frames of its last events, and the seconds of its timer.
//!
//! However many watch, the database is read once for each change, and each frame is written once for all. Nothing is
//! queued for anybody: viewers take what is new when they can, and whoever falls behind what is kept gets a snapshot.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use chassis::{pg::Pg, problem::Outcome};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    ids::{ParticipantId, SessionId},
    timer::Status,
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    frame::{self, Reader, Written},
    store::{self, Entry, State},
};
use crate::qr::Pictures;

/// Frames of past events that are kept for viewers that are a little behind.
const RECENT: usize = 64;
/// Shortest time between two looks at the database; what comes in between is told together.
const BREATH: Duration = Duration::from_millis(20);
/// Most of those who left that are known, twice over.
const DEPARTED: usize = 10_000;
/// Pause after a look that failed.
const RETRY: Duration = Duration::from_millis(500);

/// A room, shared by its viewers and by whoever brings news.
pub struct Room {
    /// The session.
    pub id: SessionId,
    news: Notify,
    shown: watch::Sender<Shown>,
    /// Cancelled when nobody is left.
    pub empty: CancellationToken,
}

/// What viewers look at.
pub struct Shown {
    state: State,
    /// When `state.now` was read, so that the database's clock can be told here.
    read_at: Instant,
    /// The last event that is known.
    pub seq: i64,
    recent: VecDeque<Arc<Told>>,
    /// Frames up to this are not kept.
    forgotten: i64,
    /// The last second that was told.
    tick: Option<Written>,
    /// How many have been told.
    ticks: u64,
    /// The session is gone.
    pub is_gone: bool,
    departed: Departed,
}

/// Those who left not long ago: every viewer looks within seconds, so older ones need not be known.
#[derive(Default)]
struct Departed {
    young: HashSet<ParticipantId>,
    old: HashSet<ParticipantId>,
}

impl Departed {
    fn add(&mut self, who: ParticipantId) {
        if self.young.len() >= DEPARTED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(who);
    }

    fn contains(&self, who: ParticipantId) -> bool {
        self.young.contains(&who) || self.old.contains(&who)
    }
}

/// An event as each reader sees it.
struct Told {
    seq: i64,
    to_owner: Option<Written>,
    to_audience: Option<Written>,
}

/// How far a viewer has read.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    /// The last event.
    pub seq: i64,
    ticks: u64,
}

impl Shown {
    fn new(state: State, seq: i64) -> Self {
        let recent = VecDeque::new();
        Self {
            state,
            read_at: Instant::now(),
            seq,
            recent,
            forgotten: seq,
            tick: None,
            ticks: 0,
            is_gone: false,
            departed: Departed::default(),
        }
    }

    /// Returns whether somebody has left while the room was open.
    pub fn has_left(&self, who: ParticipantId) -> bool {
        self.departed.contains(who)
    }

    /// Tells the time by the database's clock; a step of this machine's clock does not matter.
    pub fn now(&self) -> DateTime<Utc> {
        let since = TimeDelta::from_std(self.read_at.elapsed()).unwrap_or_default();
        self.state.now + since
    }

    /// Writes everything there is to know, and where a viewer that has read it stands.
    ///
    /// # Errors
    /// Returns a problem when it cannot be written.
    pub fn snapshot(&self, reader: Reader) -> Outcome<(Written, Mark)> {
        let snapshot = self.state.snapshot(self.seq, self.now(), reader)?;
        Ok((snapshot, Mark { seq: self.seq, ticks: self.ticks }))
    }

    /// Returns what is new to a viewer that stands at `mark`, and moves the mark.
    ///
    /// # Errors
    /// Returns a problem when it cannot be written.
    pub fn since(&self, mark: &mut Mark, reader: Reader) -> Outcome<Vec<Written>> {
        let mut frames = Vec::new();
        if mark.seq < self.forgotten {
            let (snapshot, at) = self.snapshot(reader)?;
            *mark = at;
            return Ok(vec![snapshot]);
        }
        for told in self.recent.iter().filter(|told| told.seq > mark.seq) {
            let frame = if reader == Reader::Owner { &told.to_owner } else { &told.to_audience };
            frames.extend(frame.clone());
        }
        if self.ticks > mark.ticks {
            frames.extend(self.tick.clone());
        }
        *mark = Mark { seq: self.seq, ticks: self.ticks };
        Ok(frames)
    }

    /// Writes events again for a viewer that has come back.
    ///
    /// # Errors
    /// Returns a problem when they cannot be written.
    pub fn replay(&self, entries: &[Entry], reader: Reader) -> Outcome<Vec<Written>> {
        let now = self.now();
        let written = frame::newest(entries).map(|entry| self.state.event(entry, now, reader));
        written.filter_map(Result::transpose).collect()
    }

    fn learn(&mut self, state: State, entries: &[Entry]) -> Outcome<()> {
        self.state = state;
        self.read_at = Instant::now();
        let now = self.now();
        for who in entries.iter().filter_map(Entry::departed) {
            self.departed.add(who);
        }
        for entry in frame::newest(entries) {
            let to_owner = self.state.event(entry, now, Reader::Owner)?;
            let to_audience = self.state.event(entry, now, Reader::Audience)?;
            self.recent.push_back(Arc::new(Told { seq: entry.seq, to_owner, to_audience }));
        }
        while self.recent.len() > RECENT {
            self.forgotten = self.recent.pop_front().map_or(self.forgotten, |told| told.seq);
        }
        self.seq = entries.last().map_or(self.seq, |entry| entry.seq);
        Ok(())
    }

    /// Returns how long it is to the timer's next whole second; nothing while it stands still.
    fn to_next_second(&self) -> Option<Duration> {
        let timer = self.state.timer.as_ref()?;
        let now = self.now();
        if !matches!(timer.status(now), Status::Running | Status::Ended) {
            return None;
        }
        let into_second = timer.elapsed_ms(now).rem_euclid(1_000);
        Some(Duration::from_millis(1_000 - u64::try_from(into_second).unwrap_or_default()))
    }

    fn tick(&mut self) {
        // Fails only where a frame cannot be written; the next second tries again.
        if let Ok(tick) = self.state.tick(self.seq, self.now()) {
            self.tick = Some(tick);
            self.ticks += 1;
        }
    }
}

impl Room {
    /// Makes a room that shows a session as it was found.
    pub fn new(state: State, seq: i64, empty: CancellationToken) -> Self {
        let id = SessionId(state.session.id);
        Self { id, news: Notify::new(), shown: watch::Sender::new(Shown::new(state, seq)), empty }
    }

    /// Lets somebody look.
    pub fn look(&self) -> watch::Receiver<Shown> {
        self.shown.subscribe()
    }

    /// Returns the last event that is known here.
    pub fn seq(&self) -> i64 {
        self.shown.borrow().seq
    }

    /// Says that there is something new.
    pub fn poke(&self) {
        self.news.notify_one();
    }

    /// Keeps what is shown up to date until nobody is left.
    pub async fn keep(&self, pg: Pg, pictures: &Pictures) {
        loop {
            let second = self.shown.borrow().to_next_second();
            tokio::select! {
                () = self.empty.cancelled() => return,
                () = self.news.notified() => {
                    let pause = match self.catch_up(&pg, pictures).await {
                        Ok(()) => BREATH,
                        Err(problem) => {
                            tracing::warn!(code = problem.code(), session_id = %self.id, "viewers wait for the database");
                            self.poke();
                            RETRY
                        }
                    };
                    tokio::time::sleep(pause).await;
                }
                () = sleep(second) => self.shown.send_modify(Shown::tick),
            }
        }
    }

    async fn catch_up(&self, pg: &Pg, pictures: &Pictures) -> Outcome<()> {
        let mut conn = pg.conn().await?;
        loop {
            // The events first: the state is at least as new as the last of them.
            let entries = store::list_after(&mut conn, self.id, self.seq()).await?;
            let Some(state) = store::find_state(&mut conn, self.id, pictures).await? else {
                self.shown.send_modify(|shown| shown.is_gone = true);
                return Ok(());
            };
            let is_all = entries.len() < store::BATCH;
            let mut learnt = Ok(());
            self.shown.send_modify(|shown| learnt = shown.learn(state, &entries));
            learnt?;
            if is_all {
                return Ok(());
            }
        }
    }
}

async fn sleep(duration: Option<Duration>) {
    match duration {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use chassis::document::Document;
    use domain::session::SessionStatus;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::{sessions::store::Session, stream::event::Topic};

    fn state() -> State {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let session = Session {
            id: Uuid::from_u128(7),
            user_id: Uuid::from_u128(8),
            title: "마루 발표".to_owned(),
            description: None,
            kind: "presentation".to_owned(),
            status: SessionStatus::Active.name().to_owned(),
            session_code: "AB23CD".to_owned(),
            event_id: None,
            settings: Document::new(&json!({})).unwrap(),
            metadata: Document::new(&json!({})).unwrap(),
            summary: None,
            started_at: None,
            ended_at: None,
            created_at: now,
            updated_at: now,
            active_since: None,
            active_ms: 0,
            participant_count: 3,
        };
        State { session, timer: None, now, qr_code_url: None }
    }

    fn alerts(seqs: std::ops::RangeInclusive<i64>) -> Vec<Entry> {
        seqs.map(|seq| Entry { seq, topic: Topic::Alert, body: Some(json!({ "name": "custom" })) }).collect()
    }

    fn told(frames: &[Written]) -> Vec<(String, i64)> {
        let kind =
            |frame: &Written| serde_json::from_str::<Value>(&frame.text).unwrap()["type"].as_str().unwrap().to_owned();
        frames.iter().map(|frame| (kind(frame), frame.seq)).collect()
    }

    #[tokio::test]
    async fn a_viewer_that_stops_reading_costs_nothing_and_gets_a_snapshot_when_it_goes_on() {
        let mut shown = Shown::new(state(), 0);
        let (_, mut stalled) = shown.snapshot(Reader::Audience).unwrap();
        let (_, mut follower) = shown.snapshot(Reader::Owner).unwrap();
        for hundred in 0..100 {
            shown.learn(state(), &alerts(hundred * 100 + 1..=hundred * 100 + 50)).unwrap();
            shown.learn(state(), &alerts(hundred * 100 + 51..=hundred * 100 + 100)).unwrap();
            shown.tick();
            if hundred == 0 {
                assert_eq!(told(&shown.since(&mut follower, Reader::Owner).unwrap()), [("snapshot".to_owned(), 100)]);
            }
        }
        assert_eq!(shown.recent.len(), RECENT);
        assert_eq!(told(&shown.since(&mut stalled, Reader::Audience).unwrap()), [("snapshot".to_owned(), 10_000)]);
        assert_eq!(shown.since(&mut stalled, Reader::Audience).unwrap().len(), 0);
    }

    #[tokio::test]
    async fn a_viewer_that_keeps_up_gets_every_event_and_the_newest_second() {
        let mut shown = Shown::new(state(), 4);
        let (_, mut mark) = shown.snapshot(Reader::Audience).unwrap();
        shown.learn(state(), &alerts(5..=7)).unwrap();
        shown.tick();
        shown.tick();
        let expected =
            [("alert", 5), ("alert", 6), ("alert", 7), ("timer", 7)].map(|(kind, seq)| (kind.to_owned(), seq));
        assert_eq!(told(&shown.since(&mut mark, Reader::Audience).unwrap()), expected);
        let advice = Entry { seq: 8, topic: Topic::Feedback, body: Some(json!([])) };
        shown.learn(state(), &[advice]).unwrap();
        assert_eq!(shown.since(&mut mark, Reader::Audience).unwrap().len(), 0);
        assert_eq!(mark.seq, 8);
    }

    #[tokio::test]
    async fn of_several_states_the_newest_is_told() {
        let mut shown = Shown::new(state(), 0);
        let (_, mut mark) = shown.snapshot(Reader::Owner).unwrap();
        let topics = [Topic::Participants, Topic::Alert, Topic::Session, Topic::Participants, Topic::Session];
        let entries: Vec<_> = (1..)
            .zip(topics)
            .map(|(seq, topic)| Entry { seq, topic, body: Some(json!({ "name": "ended" })) })
            .collect();
        shown.learn(state(), &entries).unwrap();
        let expected = [("alert", 2), ("participants", 4), ("session", 5)].map(|(kind, seq)| (kind.to_owned(), seq));
        assert_eq!(told(&shown.since(&mut mark, Reader::Owner).unwrap()), expected);
    }
}
