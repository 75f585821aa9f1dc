//! What a queue ticket says: whose place it is, in which line, and when its owner was last heard of.
//!
//! The order of a line lives where it may be lost. Whoever holds a ticket gets the old place back then, and only then:
//! a ticket is worth nothing while the line it was written in still stands, because the line itself knows its people.

use uuid::Uuid;

use crate::ids::{EventId, UserId};

/// The first byte of every ticket; another form will have another.
const VERSION: u8 = 1;
/// Bytes of what a ticket says.
pub const BYTES: usize = 1 + 16 + 16 + 4 + 4 + 8 + 8;

/// What a queue ticket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueTicket {
    /// The event that is waited for.
    pub event_id: EventId,
    /// Who waits.
    pub user_id: UserId,
    /// Which line: a new one begins when whoever runs the event empties the room.
    pub generation: u32,
    /// How often the line's memory had been begun anew when the ticket was written.
    pub incarnation: u32,
    /// The number in line.
    pub seq: i64,
    /// When its owner was heard of, milliseconds since 1970 by the line's own clock.
    pub seen_at_ms: i64,
}

impl QueueTicket {
    /// Writes what is signed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(BYTES + 32);
        bytes.push(VERSION);
        bytes.extend_from_slice(self.event_id.0.as_bytes());
        bytes.extend_from_slice(self.user_id.0.as_bytes());
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(&self.incarnation.to_be_bytes());
        bytes.extend_from_slice(&self.seq.to_be_bytes());
        bytes.extend_from_slice(&self.seen_at_ms.to_be_bytes());
        bytes
    }

    /// Reads what was signed; nothing when it has another form. Whether it was signed is not known here.
    pub fn from_bytes(bytes: &[u8; BYTES]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (event, rest) = rest.split_first_chunk::<16>()?;
        let (user, rest) = rest.split_first_chunk::<16>()?;
        let (generation, rest) = rest.split_first_chunk::<4>()?;
        let (incarnation, rest) = rest.split_first_chunk::<4>()?;
        let (seq, rest) = rest.split_first_chunk::<8>()?;
        let ticket = Self {
            event_id: EventId(Uuid::from_bytes(*event)),
            user_id: UserId(Uuid::from_bytes(*user)),
            generation: u32::from_be_bytes(*generation),
            incarnation: u32::from_be_bytes(*incarnation),
            seq: i64::from_be_bytes(*seq),
            seen_at_ms: i64::from_be_bytes(*rest.first_chunk()?),
        };
        (*version == VERSION && ticket.seq > 0).then_some(ticket)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_ticket_is_read_as_it_was_written(
            event: u128, user: u128, generation: u32, incarnation: u32, seq in 1_i64.., seen_at_ms: i64,
        ) {
            let (event_id, user_id) = (EventId(Uuid::from_u128(event)), UserId(Uuid::from_u128(user)));
            let ticket = QueueTicket { event_id, user_id, generation, incarnation, seq, seen_at_ms };
            let bytes = ticket.to_bytes();
            prop_assert_eq!(QueueTicket::from_bytes(bytes.first_chunk().unwrap()), Some(ticket));
            prop_assert_eq!(bytes.len(), BYTES);
        }

        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes: [u8; 32], more: [u8; 25]) {
            let mut all = [0; BYTES];
            all[..32].copy_from_slice(&bytes);
            all[32..].copy_from_slice(&more);
            let read = QueueTicket::from_bytes(&all);
            prop_assert!(read.is_none_or(|ticket| ticket.to_bytes() == all));
        }
    }
}
