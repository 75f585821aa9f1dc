//! What sockets of this replica say to those of the others.
//!
//! It is true for a moment and nobody's right, so it goes over the stream of notices in batches, and is dropped when Redis
//! is away: everybody here has heard it already.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::problem::Outcome;
use domain::ids::{EventId, SeatId};
use socketioxide::socket::Sid;
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use super::hub::Hub;
use crate::notice::{Notice, Notices, Selection};

/// How long a batch gathers.
const GATHER: Duration = Duration::from_millis(100);
/// Most selections of one batch; of more the rest is dropped.
const SELECTIONS_MAX: usize = 500;
/// Most other notices that wait.
const NOTICES_MAX: usize = 100;

/// What waits to be told.
pub(super) struct Relay {
    notices: Notices,
    waiting: Mutex<Waiting>,
    some: Notify,
}

#[derive(Default)]
struct Waiting {
    selections: HashMap<Sid, (EventId, Vec<SeatId>)>,
    notices: Vec<Notice>,
}

impl Relay {
    /// Tells by `notices`.
    pub(super) fn new(notices: Notices) -> Self {
        Self { notices, waiting: Mutex::default(), some: Notify::new() }
    }

    /// Tells which seats somebody marks; only the last of several is.
    pub(super) fn selected(&self, sid: Sid, event_id: EventId, seats: Vec<SeatId>) {
        let mut waiting = self.waiting();
        if waiting.selections.len() >= SELECTIONS_MAX && !waiting.selections.contains_key(&sid) {
            metrics::counter!("socketio_relay_dropped_total").increment(1);
            return;
        }
        waiting.selections.insert(sid, (event_id, seats));
        drop(waiting);
        self.some.notify_one();
    }

    /// Tells something else.
    pub(super) fn say(&self, notice: Notice) {
        let mut waiting = self.waiting();
        if waiting.notices.len() >= NOTICES_MAX {
            metrics::counter!("socketio_relay_dropped_total").increment(1);
            return;
        }
        waiting.notices.push(notice);
        drop(waiting);
        self.some.notify_one();
    }

    /// Tells something at once.
    ///
    /// # Errors
    /// Returns a problem when Redis is away.
    pub(super) async fn say_now(&self, notice: Notice) -> Outcome<()> {
        self.notices.tell(&[notice]).await
    }

    /// Tells what waits, batch by batch.
    pub(super) async fn run(hub: Hub, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = hub.relay.some.notified() => {}
            }
            sleep(GATHER).await;
            let Waiting { selections, mut notices } = std::mem::take(&mut *hub.relay.waiting());
            if !selections.is_empty() {
                let selections = selections.into_values().map(|(event_id, seats)| Selection { event_id, seats });
                notices.push(Notice::Selections { from: hub.replica.clone(), selections: selections.collect() });
            }
            if hub.relay.notices.tell(&notices).await.is_err() {
                metrics::counter!("socketio_relay_dropped_total").increment(1);
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
