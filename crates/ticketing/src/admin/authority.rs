//! Whose events somebody may run.

use chassis::principal::Organizer;
use domain::{ids::UserId, principal::Role};
use uuid::Uuid;

/// Which events somebody may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// Everybody's.
    All,
    /// Their own.
    Own(UserId),
}

impl Scope {
    /// Returns whether these are everybody's.
    pub(super) const fn is_all(self) -> bool {
        matches!(self, Self::All)
    }

    /// Returns whose events alone these are; nothing when they are everybody's.
    pub(super) const fn organizer(self) -> Option<Uuid> {
        match self {
            Self::All => None,
            Self::Own(organizer) => Some(organizer.0),
        }
    }
}

impl From<Organizer> for Scope {
    fn from(Organizer(person): Organizer) -> Self {
        if person.role >= Role::Admin { Self::All } else { Self::Own(person.user_id) }
    }
}
