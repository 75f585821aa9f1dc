//! Where a request comes from, as the gateway tells it.
//!
//! Every route stands behind the gatekeeper, so these headers are the gateway's: it never passes a client's own on.

use std::{
    future::{Ready, ready},
    net::IpAddr,
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header};
use chassis::{
    edge::{CLIENT_IP, ORIGIN_ALLOWED, ORIGIN_VERDICT},
    problem::{Outcome, Problem},
};
use domain::fault::common;

/// Most of a `User-Agent` that is kept, characters.
const USER_AGENT_MAX: usize = 200;

/// The machine a request comes from.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// Its address.
    pub ip: Option<IpAddr>,
    /// What it says it is, shortened.
    pub user_agent: Option<String>,
}

impl Visitor {
    /// Returns the part of the address that one household shares: all of an IPv4 address, the /64 of an IPv6 one.
    pub fn place(&self) -> String {
        match self.ip {
            Some(IpAddr::V4(ip)) => ip.to_string(),
            Some(IpAddr::V6(ip)) => {
                let [a, b, c, d, ..] = ip.segments();
                let household = || format!("{a:x}:{b:x}:{c:x}:{d:x}::/64");
                ip.to_ipv4_mapped().map_or_else(household, |ip| ip.to_string())
            }
            None => "unknown".to_owned(),
        }
    }
}

impl FromRequest for Visitor {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let text = |name: &str| req.headers().get(name).and_then(|value| value.to_str().ok());
        let user_agent = text(header::USER_AGENT.as_str());
        ready(Ok(Self {
            ip: text(CLIENT_IP).and_then(|ip| ip.parse().ok()),
            user_agent: user_agent.map(|text| text.chars().take(USER_AGENT_MAX).collect()),
        }))
    }
}

/// The page a request comes from.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its origin, when the browser names one.
    pub origin: Option<String>,
    /// Whether that is on the gateway's list.
    pub is_allowed: bool,
}

impl Page {
    /// Refuses every page that is not on the list: a cookie goes along with any request a browser makes.
    ///
    /// # Errors
    /// 403 `origin_not_allowed`.
    pub fn require_allowed(&self) -> Outcome<()> {
        if self.is_allowed { Ok(()) } else { Err(common::ORIGIN_NOT_ALLOWED.into()) }
    }

    /// Refuses pages that are not on the list; who names none is no page.
    ///
    /// # Errors
    /// 403 `origin_not_allowed`.
    pub fn refuse_strangers(&self) -> Outcome<()> {
        if self.is_allowed || self.origin.is_none() { Ok(()) } else { Err(common::ORIGIN_NOT_ALLOWED.into()) }
    }
}

impl FromRequest for Page {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let text = |name: &str| req.headers().get(name).and_then(|value| value.to_str().ok());
        let is_allowed = text(ORIGIN_VERDICT) == Some(ORIGIN_ALLOWED);
        ready(Ok(Self { origin: text(header::ORIGIN.as_str()).map(ToOwned::to_owned), is_allowed }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_household_shares_its_place() {
        let place = |ip: &str| Visitor { ip: ip.parse().ok(), user_agent: None }.place();
        assert_eq!(place("192.0.2.7"), "192.0.2.7");
        assert_eq!(place("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(place("2001:db8:1:2:3:4:5:6"), place("2001:db8:1:2::1"));
        assert_ne!(place("2001:db8:1:2::1"), place("2001:db8:1:3::1"));
        assert_eq!(place("nowhere"), "unknown");
    }
}
