//! Typed identifiers, so that a memo's id cannot be passed where a user's belongs.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// An identifier made from a UUID.
pub trait Id: Copy + Sized {
    /// Wraps a UUID.
    fn from_uuid(uuid: Uuid) -> Self;
    /// Returns the UUID, for the database and the wire.
    fn uuid(self) -> Uuid;
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl Id for $name {
            fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }
            fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )+};
}

ids! {
    /// A person's account.
    UserId
    /// One login of a person on one device; what a logout ends.
    LoginId
    /// A presentation or conversation session.
    SessionId
    /// A focus session.
    FocusId
    /// Somebody who has come into a session by its code.
    ParticipantId
    /// An event that tickets are sold for.
    EventId
    /// One seat of one event.
    SeatId
    /// What an event sells by quantity.
    TicketTypeId
    /// A hold on seats or tickets, from pending to confirmed, cancelled or expired.
    ReservationId
    /// Money for a reservation, on its way or there.
    PaymentId
    /// What one person comes in with.
    TicketId
    /// A conversation with the companion.
    ConversationId
    /// One turn of a conversation: what was said and what was answered.
    StepId
    /// A memo.
    MemoId
    /// A file that belongs to a memo.
    AttachmentId
}
