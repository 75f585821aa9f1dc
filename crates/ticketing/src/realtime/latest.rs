//! Updates of which only the latest is worth telling.
//!
//! In a hot sale the stock of one ticket type changes hundreds of times a second. Whoever looks on is told what it is some
//! twenty times a second and never what it was: each update waits here until the next beat, and a newer one takes its
//! place.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::ids::{EventId, TicketTypeId};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    hub::Hub,
    message::{QueueUpdated, TicketUpdated},
    place::{Place, Room},
};

/// How long an update waits for a newer one.
const BEAT: Duration = Duration::from_millis(50);

/// The updates that wait.
#[derive(Default)]
pub(super) struct Latest {
    waiting: Mutex<Waiting>,
    some: Notify,
}

#[derive(Default)]
struct Waiting {
    tickets: HashMap<TicketTypeId, (EventId, TicketUpdated)>,
    queues: HashMap<EventId, QueueUpdated>,
}

impl Latest {
    /// Takes the stock of a ticket type, unless a newer one waits.
    pub(super) fn ticket(&self, event_id: EventId, update: TicketUpdated) {
        let mut waiting = self.waiting();
        let known = waiting.tickets.get(&update.ticket_type_id);
        if known.is_none_or(|(_, known)| known.version <= update.version) {
            waiting.tickets.insert(update.ticket_type_id, (event_id, update));
        }
        drop(waiting);
        self.some.notify_one();
    }

    /// Takes the state of a waiting room.
    pub(super) fn queue(&self, update: QueueUpdated) {
        self.waiting().queues.insert(update.event_id, update);
        self.some.notify_one();
    }

    /// Tells what waits, beat by beat.
    pub(super) async fn run(hub: Hub, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = hub.latest.some.notified() => {}
            }
            sleep(BEAT).await;
            let Waiting { tickets, queues } = std::mem::take(&mut *hub.latest.waiting());
            for (event_id, update) in tickets.into_values() {
                hub.tell(Place::new(Room::Event, event_id), "ticket-updated", &update);
            }
            for update in queues.into_values() {
                hub.tell(Place::new(Room::Queue, update.event_id), "queue-updated", &update);
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use chassis::clock::Clock;

    use super::*;

    #[test]
    fn of_two_updates_the_newer_one_waits_whichever_came_first() {
        let (latest, clock) = (Latest::default(), Clock::system());
        let (event_id, ticket_type_id) = (clock.id(), clock.id());
        for version in [3, 5, 4] {
            let update = TicketUpdated {
                ticket_type_id,
                available_quantity: 100 - version,
                total_quantity: 100,
                timestamp: clock.now().into(),
                version,
            };
            latest.ticket(event_id, update);
        }
        assert_eq!(latest.waiting().tickets[&ticket_type_id].1.version, 5);
    }
}
