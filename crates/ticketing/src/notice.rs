//! What becomes known about an event, and how the replicas hear of it.
//!
//! A change writes its notice into the outbox in its own transaction; after the commit a relay appends it to one Redis
//! stream, which every replica reads and passes on to whoever it serves. So the cost in Redis follows the changes and
//! the replicas, not the people who look on. A notice tells that something is different and carries a version: who
//! sees a gap, or an older one after a newer, reads the state afresh.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use chassis::{
    lifecycle::Lifecycle,
    outbox::{DeliverTogether, Lane, Message, Outbox, QUICK},
    pg::Pg,
    problem::{Outcome, Problem},
    recent::Recent,
    redis::Redis,
};
use deadpool_redis::redis;
use domain::{
    ids::{EventId, ReservationId, SeatId, TicketTypeId, UserId},
    seat_hold::SeatStatus,
    time::Instant,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use uuid::Uuid;

/// The outbox topic of notices; SQL functions that move seats and stock write it too.
pub const TOPIC: &str = "notice";
/// The Redis stream of notices, below the deployment's prefix.
pub const STREAM: &str = "ticketing:notices";
/// The field of an entry that holds the notice as JSON.
pub const FIELD: &str = "notice";
/// How many notices the stream keeps, about: what a replica can miss and still read. A hot sale makes some hundred a
/// second, so that is more than the time a connection takes to come back.
const KEPT: usize = 20_000;
/// Notices that one replica remembers to have told itself.
const HERE: usize = 4_096;

/// Something that became known about an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the fields are named for what they are; units stand with the variants")]
pub enum Notice {
    /// Seats changed hands.
    Seats { event_id: EventId, seats: Vec<SeatNotice> },
    /// The stock of a ticket type changed.
    Tickets {
        event_id: EventId,
        ticket_type_id: TicketTypeId,
        available_quantity: i64,
        total_quantity: i64,
        version: i64,
    },
    /// A person was let in from the waiting room; nobody else may hear of it.
    Admitted { event_id: EventId, user_id: UserId },
    /// The waiting room of an event moved.
    Queue { event_id: EventId, queue_size: i64, current_users: i64, threshold: i64 },
    /// The waiting room of an event was emptied by who runs it.
    QueueCleared { event_id: EventId },
    /// Tickets that came back are held for a person of the waiting list; nobody else may hear of it.
    Offered {
        event_id: EventId,
        ticket_type_id: TicketTypeId,
        user_id: UserId,
        reservation_id: ReservationId,
        quantity: i32,
        expires_at: Instant,
    },
    /// What somebody marks in a hall and has not reserved; for those who look at the same hall elsewhere.
    Selections { from: String, selections: Vec<Selection> },
    /// People came into or left the rooms of these events at one replica, so that the others count anew.
    Rooms { from: String, events: Vec<EventId> },
    /// The event itself, or what is for sale in it, was changed: whatever is kept about it is old.
    Event { event_id: EventId },
}

/// What somebody marks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The event.
    pub event_id: EventId,
    /// All seats that they mark now.
    pub seats: Vec<SeatId>,
}

/// A seat that changed hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatNotice {
    /// The seat.
    pub seat_id: SeatId,
    /// Whose it is now.
    pub status: SeatStatus,
    /// Grows with every change of hands.
    pub version: i64,
}

/// Tells all replicas; clones share it.
#[derive(Clone)]
pub struct Notices {
    redis: Redis,
    here: Arc<Here>,
}

/// What is told on this replica alone, while Redis is away.
struct Here {
    tell: mpsc::Sender<Notice>,
    told: Mutex<Recent<Uuid, ()>>,
    hear: Mutex<Option<mpsc::Receiver<Notice>>>,
}

impl Notices {
    /// Tells over this Redis.
    pub fn new(redis: Redis) -> Self {
        let (tell, hear) = mpsc::channel(HERE);
        let here = Here { tell, told: Mutex::new(Recent::new(HERE)), hear: Mutex::new(Some(hear)) };
        Self { redis, here: Arc::new(here) }
    }

    /// Returns what this replica hears from itself while Redis is away, to whoever asks first: each notice once, and when
    /// Redis is back once more with everybody.
    pub fn hear(&self) -> Option<mpsc::Receiver<Notice>> {
        lock(&self.here.hear).take()
    }

    /// Tells all replicas at once what is not written in the database.
    ///
    /// # Errors
    /// 503 when Redis is away.
    pub async fn tell(&self, notices: &[Notice]) -> Outcome<()> {
        let texts: Result<Vec<_>, _> = notices.iter().map(serde_json::to_string).collect();
        self.append(&texts.map_err(Problem::unexpected)?).await
    }

    /// Starts the relay of notices that were written with a commit.
    pub fn relay(&self, lifecycle: &Lifecycle, pg: Pg, outbox: &Outbox) {
        let lane = Lane { name: "notice", topics: &[TOPIC], patience: QUICK };
        outbox.relay_together(lifecycle, pg, lane, Arc::new(self.clone()));
    }

    async fn append(&self, texts: &[String]) -> Outcome<()> {
        if texts.is_empty() {
            return Ok(());
        }
        let key = self.redis.key(STREAM);
        let mut pipe = redis::pipe();
        for text in texts {
            pipe.cmd("XADD").arg(&key).arg("MAXLEN").arg("~").arg(KEPT).arg("*").arg(FIELD).arg(text).ignore();
        }
        let mut conn = self.redis.conn().await?;
        pipe.query_async(&mut conn).await.map_err(Problem::from)
    }
}

impl Here {
    /// Tells what could not be told to all; what was told before is tried again with the same id.
    fn tell(&self, messages: &[Message]) {
        let mut told = lock(&self.told);
        for message in messages {
            if told.get(&message.id).is_none()
                && let Ok(notice) = serde_json::from_value(message.payload.clone())
                // When there is no room it comes with the stream, like everything else.
                && self.tell.try_send(notice).is_ok()
            {
                told.put(message.id, ());
            }
        }
    }
}

fn lock<T>(memory: &Mutex<T>) -> MutexGuard<'_, T> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl DeliverTogether for Notices {
    async fn deliver(&self, messages: &[Message]) -> Outcome<()> {
        let texts: Vec<_> = messages.iter().map(|message| message.payload.to_string()).collect();
        self.append(&texts).await.inspect_err(|_away| self.here.tell(messages))
    }
}
