//! The rates.

use std::time::Duration;

use actix_web::http::header::HeaderValue;
use chassis::limit::Profile::{self, Generous, Strict};
use domain::rate::Rate;

use super::{Class, fields};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
/// A rate that a load driver on one machine does not reach.
const UNFELT: Rate = Rate::per(100_000, SECOND);

/// One limit.
pub(super) struct Limit {
    /// What clients and metrics know it by.
    pub(super) name: &'static str,
    /// How often.
    pub(super) rate: Rate,
    /// Whether all gateways count together.
    pub(super) together: bool,
    /// The field `RateLimit-Policy`, which never changes.
    pub(super) policy: HeaderValue,
}

impl Limit {
    fn new(name: &'static str, rate: Rate) -> Self {
        Self { name, rate, together: false, policy: fields::policy(name, rate) }
    }

    fn together(mut self) -> Self {
        // There is nothing to count together towards a limit that is not felt.
        self.together = self.rate != UNFELT;
        self
    }
}

/// All limits.
pub(super) struct Table {
    pub(super) user: Limit,
    pub(super) address: Limit,
    login: Limit,
    register: Limit,
    reset: Limit,
    refresh: Limit,
    sale: Limit,
    code: Limit,
}

impl Table {
    pub(super) fn new(profile: Profile) -> Self {
        Self {
            user: Limit::new("user", user(profile)),
            address: Limit::new("address", address(profile)),
            login: Limit::new("login", login(profile)).together(),
            register: Limit::new("register", register(profile)).together(),
            reset: Limit::new("reset", reset(profile)).together(),
            refresh: Limit::new("refresh", refresh(profile)),
            sale: Limit::new("sale", sale(profile)).together(),
            code: Limit::new("code", code(profile)).together(),
        }
    }

    pub(super) fn of(&self, class: Class) -> Option<&Limit> {
        Some(match class {
            Class::Usual => return None,
            Class::Login => &self.login,
            Class::Register => &self.register,
            Class::Reset => &self.reset,
            Class::Refresh => &self.refresh,
            Class::Sale => &self.sale,
            Class::Code => &self.code,
        })
    }
}

/// A person with an app and several pages open stays far below this.
fn user(profile: Profile) -> Rate {
    match profile {
        Strict => Rate { burst: 100, every: Duration::from_millis(20) },
        Generous => UNFELT,
    }
}

/// An office behind one address, before anybody in it has logged in.
fn address(profile: Profile) -> Rate {
    match profile {
        Strict => Rate { burst: 60, every: Duration::from_millis(50) },
        Generous => UNFELT,
    }
}

/// Ten people of an office on a Monday morning, and ten guesses a minute after that; who guesses from many addresses
/// meets the auth service's limit for the account.
fn login(profile: Profile) -> Rate {
    match profile {
        Strict => Rate { burst: 10, every: Duration::from_secs(6) },
        Generous => Rate::per(12_000, MINUTE),
    }
}

/// Three an hour is what other auth servers allow; the burst is for a family.
fn register(profile: Profile) -> Rate {
    match profile {
        Strict => Rate { burst: 5, every: Duration::from_mins(20) },
        Generous => Rate::per(1_200, MINUTE),
    }
}

/// Twenty codes an hour from one address: with five tries for each code, too few to find one of forty bits.
fn reset(profile: Profile) -> Rate {
    match profile {
        Strict => Rate { burst: 10, every: Duration::from_mins(3) },
        Generous => Rate::per(300, MINUTE),
    }
}

/// An app asks once in fifteen minutes; a page that was asleep asks with all its tabs at once.
fn refresh(profile: Profile) -> Rate {
    match profile {
        Strict => Rate { burst: 60, every: SECOND },
        Generous => UNFELT,
    }
}

/// Five clicks a second, and no more for a script: the sale is decided by the waiting room, not by who asks most.
fn sale(profile: Profile) -> Rate {
    match profile {
        Strict => Rate { burst: 10, every: Duration::from_millis(200) },
        Generous => UNFELT,
    }
}

/// Wrong codes only. Six letters of thirty-one are 890 million codes; at this pace one of a thousand open sessions is
/// found in three weeks. The generous rate still lets no hundred pass in any minute.
fn code(profile: Profile) -> Rate {
    match profile {
        Strict => Rate::per(30, MINUTE),
        Generous => Rate { burst: 60, every: Duration::from_secs(2) },
    }
}
