//! Why somebody is not let in.

use std::fmt;

use chassis::verifier::Unverified;

/// Why a connection is refused: what its client gets as the message of `connect_error`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It did not say who it is.
    Unknown,
    /// What it showed is worth nothing.
    Invalid,
    /// It is somebody who has enough connections.
    Crowded,
    /// It cannot be told now.
    Unavailable,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "Authentication required",
            Self::Invalid => "Invalid authentication token",
            Self::Crowded => "Too many connections",
            // Clients take everything with that word in it for the end of their login.
            Self::Unavailable => "Service temporarily unavailable",
        })
    }
}

impl Refusal {
    /// Returns the name under which it is counted.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
            Self::Crowded => "crowded",
            Self::Unavailable => "unavailable",
        }
    }
}

impl From<Unverified> for Refusal {
    fn from(why: Unverified) -> Self {
        match why {
            Unverified::Refused => Self::Invalid,
            Unverified::Unavailable => Self::Unavailable,
        }
    }
}
