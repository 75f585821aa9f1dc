//! What answers tell about a limit: `RateLimit-Policy` and `RateLimit`, as the IETF's draft has them.
//!
//! `"user";q=100;w=2` is a hundred requests in any two seconds; `"user";r=99;t=1` says that 99 may follow at once, and
//! that all are earned back in a second.

use std::time::Duration;

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use domain::rate::{Decision, Rate};

use super::policy::Limit;
use crate::digits::{Digits, decimal};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// The two fields of an answer.
pub struct Fields {
    name: &'static str,
    policy: HeaderValue,
    remaining: u32,
    reset: u64,
}

impl Fields {
    pub(super) fn new(limit: &Limit, decision: Decision) -> Self {
        Self {
            name: limit.name,
            policy: limit.policy.clone(),
            remaining: decision.remaining,
            reset: whole_seconds(decision.reset_after),
        }
    }

    /// Writes them, unless the service wrote some of its own.
    pub fn write(&self, headers: &mut HeaderMap) {
        if headers.contains_key(STATE) {
            return;
        }
        let (mut remaining, mut reset) = (Digits::default(), Digits::default());
        let (remaining, reset) = (decimal(self.remaining.into(), &mut remaining), decimal(self.reset, &mut reset));
        let state = [b"\"", self.name.as_bytes(), b"\";r=", remaining, b";t=", reset].concat();
        if let Ok(state) = HeaderValue::from_maybe_shared(Bytes::from(state)) {
            headers.insert(STATE, state);
            headers.insert(POLICY, self.policy.clone());
        }
    }
}

/// Describes a rate, once.
pub(super) fn policy(name: &str, rate: Rate) -> HeaderValue {
    let window = whole_seconds(Duration::from_micros(u64::try_from(rate.window_us()).unwrap_or_default()));
    let text = format!("\"{name}\";q={};w={window}", rate.burst);
    // For as long as the process lives, which the limits do too. Every answer has a copy, and counting them would be
    // written by all workers.
    let text: &'static str = text.leak();
    HeaderValue::from_static(text)
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use chassis::limit::{Local, Profile};

    use super::*;
    use crate::limit::policy::Table;

    #[test]
    fn a_limit_is_described_as_the_draft_has_it() {
        let table = Table::new(Profile::Strict);
        let decision = Local::default().take(&1, table.user.rate);
        let mut headers = HeaderMap::new();
        Fields::new(&table.user, decision).write(&mut headers);
        // What a service says of itself stays.
        Fields::new(&table.address, decision).write(&mut headers);
        assert_eq!(headers.get(POLICY).unwrap(), "\"user\";q=100;w=2");
        assert_eq!(headers.get(STATE).unwrap(), "\"user\";r=99;t=1");
    }
}
