//! Refresh tokens: when one is exchanged for the next, and when it is taken for stolen.
//!
//! A login has one counter, and its refresh token names the counter it was made for; the exchange moves the counter by
//! one. A client that asks twice, or whose answer was lost, shows the token before the current one, and so does a thief
//! with an old copy. They differ in this: an honest client shows the old token because the new one never reached it.
//! So the old one stays good until the new one has been seen at work, and for a moment longer, because requests that
//! left together do not arrive together. After that, showing it ends the login.

use chrono::{DateTime, Duration, Utc};

/// How long requests that left together may take to arrive: slower than a mobile network's bad second, faster than a
/// thief who first has to be told what was stolen.
pub const GRACE: Duration = Duration::seconds(10);

/// What is known about the refresh tokens of a login that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    /// The current token's number; grows by one with every exchange.
    pub counter: u32,
    /// When the current token was made; nothing while it is the login's first.
    pub refreshed_at: Option<DateTime<Utc>>,
    /// Whether the current token, or an access token made with it, has been seen at work.
    pub is_in_use: bool,
    /// The oldest token that was exchanged in the current run of exchanges, and when that was. A run is exchanges less
    /// than [`GRACE`] after its first.
    pub run: Option<(u32, DateTime<Utc>)>,
}

/// What becomes of a token that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the current one: exchange it for the next.
    Exchange,
    /// Its exchange took place, and its answer may not have arrived: answer with the current one again.
    Repeat,
    /// Its successor is in use: two hold this login, and one of them should not.
    Reused,
    /// No token of this login: it names a number that was never given out.
    Unknown,
}

impl Chain {
    /// The chain of a new login.
    pub const NEW: Self = Self { counter: 0, refreshed_at: None, is_in_use: false, run: None };

    /// Judges token number `shown` at `now`.
    pub fn judge(&self, shown: u32, now: DateTime<Utc>) -> Verdict {
        if shown == self.counter {
            return Verdict::Exchange;
        }
        if shown > self.counter {
            return Verdict::Unknown;
        }
        let is_recent = |at: DateTime<Utc>| now - at < GRACE;
        let is_the_one_before = shown + 1 == self.counter;
        let may_be_lost = is_the_one_before && (!self.is_in_use || self.refreshed_at.is_some_and(is_recent));
        let left_together = self.run.is_some_and(|(oldest, began_at)| shown >= oldest && is_recent(began_at));
        if may_be_lost || left_together { Verdict::Repeat } else { Verdict::Reused }
    }

    /// Returns the chain after an exchange at `now`.
    #[must_use]
    pub fn exchanged(self, now: DateTime<Utc>) -> Self {
        let run = self.run.filter(|(_, began_at)| now - *began_at < GRACE).unwrap_or((self.counter, now));
        Self { counter: self.counter + 1, refreshed_at: Some(now), is_in_use: false, run: Some(run) }
    }

    /// Returns the chain after an access token of exchange number `counter` was seen at work.
    #[must_use]
    pub fn seen(self, counter: u32) -> Self {
        Self { is_in_use: self.is_in_use || counter == self.counter, ..self }
    }
}

#[cfg(test)]
mod tests;
