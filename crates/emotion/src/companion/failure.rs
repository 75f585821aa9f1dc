//! Why a provider did not answer.

use std::time::Duration;

/// Why a try failed. Nothing in it repeats what anybody wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The key is not accepted.
    Key,
    /// The provider asks to be left alone, for this long if it says so.
    Busy(Option<Duration>),
    /// The prompt is longer than the model takes.
    TooLong,
    /// The request is refused for another reason.
    Refused(u16),
    /// The provider is broken.
    Broken(u16),
    /// It cannot be reached.
    Unreachable,
    /// It does not say anything for too long.
    Silent,
    /// It sent what cannot be read.
    Garbled,
    /// It ended before its end.
    Truncated,
    /// It told of an error in the middle.
    Told,
}

impl Failure {
    /// Returns why a request or its response failed.
    pub(super) fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() && !error.is_connect() {
            Self::Silent
        } else if error.is_body() || error.is_decode() {
            Self::Truncated
        } else {
            Self::Unreachable
        }
    }

    /// Returns the name under which it is counted.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Busy(_) => "busy",
            Self::TooLong => "too_long",
            Self::Refused(_) => "refused",
            Self::Broken(_) => "broken",
            Self::Unreachable => "unreachable",
            Self::Silent => "silent",
            Self::Garbled => "garbled",
            Self::Truncated => "truncated",
            Self::Told => "told",
        }
    }

    /// Returns whether the same request may go well a moment later.
    pub(super) const fn may_pass(self) -> bool {
        matches!(
            self,
            Self::Busy(_) | Self::Broken(_) | Self::Unreachable | Self::Truncated | Self::Told | Self::Garbled
        )
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(status) | Self::Broken(status) => write!(f, "the model's provider answered {status}"),
            other => write!(f, "the model's provider failed: {}", other.name()),
        }
    }
}

impl std::error::Error for Failure {}
