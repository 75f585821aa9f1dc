//! People who are there without asking anything: a joined socket keeps its owner's place.

use domain::ids::{EventId, UserId};
use tokio::time::Instant;

use super::WaitingRooms;

impl WaitingRooms {
    /// Notes that these people are there. Costs a look into memory each; Redis hears of them together, and of each at
    /// most every twenty seconds.
    pub(crate) fn touch(&self, event_id: EventId, users: &[UserId]) {
        // Whoever waits or is inside does so in a room that every replica knows of.
        let Some(room) = self.find(event_id) else { return };
        let now = Instant::now();
        let mut memory = room.memory();
        for user in users {
            memory.touch(*user, now);
        }
    }
}
