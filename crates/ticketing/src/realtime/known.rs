//! Which events there are, as far as rooms need to know.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chassis::{pg::Pg, problem::Outcome, recent::Recent};
use diesel::{ExpressionMethods, QueryDsl, dsl::exists, select};
use diesel_async::RunQueryDsl;
use domain::ids::EventId;
use tokio::{sync::Semaphore, time::Instant};

use crate::schema::events;

/// Events remembered.
const REMEMBERED: usize = 4_096;
/// How long an event is believed to be there.
const THERE: Duration = Duration::from_mins(1);
/// How long one is believed not to be there: it may just be made.
const NOT_THERE: Duration = Duration::from_secs(2);
/// Questions at once: when a sale opens everybody asks about the same event, and one question answers them.
const QUESTIONS: usize = 4;

/// Looks events up, and remembers.
pub(super) struct KnownEvents {
    pg: Pg,
    questions: Semaphore,
    known: Mutex<Recent<EventId, (bool, Instant)>>,
}

impl KnownEvents {
    /// Looks into `pg`.
    pub(super) fn new(pg: Pg) -> Self {
        Self { pg, questions: Semaphore::new(QUESTIONS), known: Mutex::new(Recent::new(REMEMBERED)) }
    }

    /// Returns whether there is such an event.
    ///
    /// # Errors
    /// Returns a problem when the database is away and the event was not asked about lately.
    pub(super) async fn contains(&self, event_id: EventId) -> Outcome<bool> {
        if let Some(is_there) = self.recall(event_id) {
            return Ok(is_there);
        }
        let turn = self.questions.acquire().await;
        // Somebody else may have asked meanwhile.
        if let Some(is_there) = self.recall(event_id) {
            return Ok(is_there);
        }
        let mut conn = self.pg.conn().await?;
        let is_there = select(exists(events::table.filter(events::id.eq(event_id.0)))).get_result(&mut conn).await?;
        drop((conn, turn));
        self.known().put(event_id, (is_there, Instant::now()));
        Ok(is_there)
    }

    /// Forgets an event that was changed.
    pub(super) fn forget(&self, event_id: EventId) {
        let long_ago = Instant::now().checked_sub(THERE);
        if let Some(long_ago) = long_ago {
            self.known().put(event_id, (false, long_ago));
        }
    }

    fn recall(&self, event_id: EventId) -> Option<bool> {
        let (is_there, at) = self.known().get(&event_id)?;
        let good_for = if is_there { THERE } else { NOT_THERE };
        (at.elapsed() < good_for).then_some(is_there)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Recent<EventId, (bool, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
