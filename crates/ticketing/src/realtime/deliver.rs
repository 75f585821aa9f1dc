//! What becomes of a notice: who on this replica is told, and how.

use domain::{
    ids::{EventId, UserId},
    seat_hold::SeatStatus,
    time::Instant,
};

use super::{
    hub::{Hub, note_sent},
    message::{
        ADMITTED, CLEARED, EntryAllowed, OFFERED, QueueCleared, QueueUpdated, SeatChanged, SeatUpdate, TicketUpdated,
        TicketsOffered,
    },
    place::{Place, Room},
};
use crate::notice::{Notice, SeatNotice, Selection};

/// What clients of either generation listen to when a seat is taken.
const TAKEN: [&str; 2] = ["seat-locked", "seat-selected"];
/// And when it is free again.
const FREE: [&str; 1] = ["seat-released"];

impl Hub {
    /// Tells whoever is here and concerned by something that became known at `at`.
    pub(super) fn deliver(&self, notice: Notice, at: Instant) {
        match notice {
            Notice::Seats { event_id, seats } => {
                let place = Place::new(Room::Seats, event_id);
                for seat in seats {
                    self.deliver_seat(place, seat, at);
                }
            }
            Notice::Tickets { event_id, ticket_type_id, available_quantity, total_quantity, version } => {
                let update =
                    TicketUpdated { ticket_type_id, available_quantity, total_quantity, timestamp: at, version };
                self.latest.ticket(event_id, update);
            }
            Notice::Admitted { event_id, user_id } => self.deliver_admission(event_id, user_id),
            Notice::Offered { event_id, ticket_type_id, user_id, reservation_id, quantity, expires_at } => {
                for line in self.crowd.lines_of(user_id) {
                    let message = OFFERED.in_locale(line.connection.locale);
                    let offered =
                        TicketsOffered { event_id, ticket_type_id, reservation_id, quantity, expires_at, message };
                    note_sent(&line.socket.emit("tickets-offered", &offered));
                }
            }
            Notice::Queue { event_id, queue_size, current_users, threshold } => {
                self.latest.queue(QueueUpdated { event_id, queue_size, timestamp: at, current_users, threshold });
            }
            Notice::QueueCleared { event_id } => {
                let cleared = QueueCleared { message: CLEARED.in_locale(self.locale), event_id };
                self.tell(Place::new(Room::Queue, event_id), "queue-cleared", &cleared);
            }
            Notice::Event { event_id } => self.events.forget(event_id),
            Notice::Selections { from, selections } if from != self.replica => {
                for Selection { event_id, seats } in selections {
                    self.tell(Place::new(Room::Seats, event_id), "seat-update", &SeatUpdate { seats: &seats });
                }
            }
            Notice::Rooms { from, events } if from != self.replica => self.counts.hear(&events),
            // Everybody here heard it from whoever said it.
            Notice::Selections { .. } | Notice::Rooms { .. } => {}
        }
    }

    fn deliver_seat(&self, place: Place, seat: SeatNotice, at: Instant) {
        let SeatNotice { seat_id, status, version } = seat;
        let changed = SeatChanged { seat_id, status, version, timestamp: at };
        let events: &[&'static str] = if status == SeatStatus::Available { &FREE } else { &TAKEN };
        for event in events {
            self.tell(place, event, &changed);
        }
    }

    fn deliver_admission(&self, event_id: EventId, user_id: UserId) {
        for line in self.crowd.lines_of(user_id) {
            let message = ADMITTED.in_locale(line.connection.locale);
            note_sent(&line.socket.emit("queue-entry-allowed", &EntryAllowed { event_id, user_id, message }));
        }
    }
}
