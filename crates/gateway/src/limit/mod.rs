//! Who may ask how often.
//!
//! Every request counts: for the person who makes it, or for the address it comes from when nobody is recognised. Those
//! usual limits are kept in this process, because a lock and a hash are all that a fast path may cost, and they only
//! keep one client from crowding out the others. What is worth guessing or fighting for has a limit of its own beside
//! them ([`Class`]), and there all gateways count together.

mod fields;
mod policy;

use std::{fmt, net::IpAddr};

use chassis::{
    limit::{Local, Profile, Shared},
    redis::Redis,
};
use domain::{ids::UserId, rate::Decision};
pub use fields::Fields;
use policy::Limit;
use tokio::time::Instant;

use crate::address;

/// What a route is limited for beside the usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nothing else.
    Usual,
    /// Passwords and codes of other providers, by address.
    Login,
    /// New accounts, by address.
    Register,
    /// Mails with codes, and the codes, by address.
    Reset,
    /// New tokens for old ones, by address.
    Refresh,
    /// What everybody wants at the same moment, by person.
    Sale,
    /// Codes short enough to guess, by address; one that is right costs nothing.
    Code,
}

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// A person, wherever they are.
    Person(UserId),
    /// Whoever asks from there.
    Address(IpAddr),
}

impl Who {
    /// Counts a person, or where there is none the client's address.
    pub fn new(person: Option<UserId>, address: IpAddr) -> Self {
        person.map_or_else(|| Self::Address(address::counted(address)), Self::Person)
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(user_id) => user_id.fmt(f),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// What became of a request at one limit.
pub struct Taken {
    /// Whether it may go on.
    pub is_allowed: bool,
    /// How long to wait when it may not, seconds.
    pub retry_after: u32,
    /// What the client is told about the limit.
    pub fields: Fields,
}

/// The limits; all workers share them.
pub struct Limits {
    table: policy::Table,
    local: Local,
    shared: Shared,
}

impl Limits {
    /// Counts with the rates of `profile`, together with all that share `redis`.
    pub fn new(profile: Profile, redis: Redis) -> Self {
        Self { table: policy::Table::new(profile), local: Local::default(), shared: Shared::new(redis) }
    }

    /// Counts a request at the usual limit, at `now`, which has been read just before.
    pub fn take_usual(&self, who: Who, now: Instant) -> Taken {
        let limit = self.usual(who);
        judged(limit, self.local.take_at(&(limit.name, who), limit.rate, now))
    }

    /// Forgets a request that turned out to be somebody else's.
    pub fn give_back_usual(&self, who: Who) {
        let limit = self.usual(who);
        self.local.give_back(&(limit.name, who), limit.rate);
    }

    fn usual(&self, who: Who) -> &Limit {
        match who {
            Who::Person(_) => &self.table.user,
            Who::Address(_) => &self.table.address,
        }
    }

    /// Counts a request at its route's own limit, if it has one.
    pub async fn take(&self, class: Class, person: Option<UserId>, address: IpAddr) -> Option<Taken> {
        let limit = self.table.of(class)?;
        let who = Self::counted(class, person, address);
        let decision = if limit.together {
            // Kept apart, as is whatever few requests need: the future of every request has room for all it might wait
            // for, and is copied.
            Box::pin(self.shared.take(&format!("{}:{who}", limit.name), limit.rate)).await
        } else {
            self.local.take(&(limit.name, who), limit.rate)
        };
        Some(judged(limit, decision))
    }

    /// Forgets a request that turned out to be none of those its route is limited for.
    pub async fn give_back(&self, class: Class, person: Option<UserId>, address: IpAddr) {
        let Some(limit) = self.table.of(class) else { return };
        let who = Self::counted(class, person, address);
        if limit.together {
            Box::pin(self.shared.give_back(&format!("{}:{who}", limit.name), limit.rate)).await;
        } else {
            self.local.give_back(&(limit.name, who), limit.rate);
        }
    }

    fn counted(class: Class, person: Option<UserId>, address: IpAddr) -> Who {
        Who::new(person.filter(|_| class == Class::Sale), address)
    }
}

fn judged(limit: &Limit, decision: Decision) -> Taken {
    if !decision.is_allowed {
        metrics::counter!("rate_limited_total", "limit" => limit.name).increment(1);
    }
    Taken {
        is_allowed: decision.is_allowed,
        retry_after: decision.retry_after_seconds(),
        fields: Fields::new(limit, decision),
    }
}
