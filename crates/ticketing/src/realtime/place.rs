//! The rooms of an event, and what clients are told in them.

use domain::ids::EventId;

/// What kind of room it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Room {
    /// Everybody who looks at the event.
    Event,
    /// Everybody in its waiting room.
    Queue,
    /// Everybody who chooses seats.
    Seats,
}

/// One room of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// Which of its rooms.
    pub(super) room: Room,
    /// The event.
    pub(super) event_id: EventId,
}

impl Place {
    /// Describes a room of an event.
    pub(super) const fn new(room: Room, event_id: EventId) -> Self {
        Self { room, event_id }
    }
}
