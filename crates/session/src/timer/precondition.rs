//! Which version of a timer a caller means: `If-Match: "7"`, or `version` in the body.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header};
use chassis::problem::Problem;
use domain::{
    fault::{Fault, common},
    timer::STALE,
};

/// The request's `If-Match`, if it sent one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IfMatch(Option<i64>);

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let Some(value) = req.headers().get(header::IF_MATCH) else { return ready(Ok(Self(None))) };
        let parsed = value.to_str().ok().and_then(Self::parse);
        ready(parsed.ok_or_else(|| Problem::from(common::MALFORMED).with("reason", "If-Match is not \"<version>\"")))
    }
}

impl IfMatch {
    /// Reads a quoted version, or `*` for whichever there is; the quotes may be missing.
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "*" {
            return Some(Self(None));
        }
        let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        bare.parse().ok().map(|version| Self(Some(version)))
    }

    /// Judges a timer's version against this and the body's.
    ///
    /// # Errors
    /// [`STALE`] when either names another one.
    pub(super) fn check(self, in_body: Option<i64>, version: i64) -> Result<(), Fault> {
        let meant = |named: Option<i64>| named.is_none_or(|named| named == version);
        if meant(self.0) && meant(in_body) { Ok(()) } else { Err(STALE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_with_and_without_quotes_and_nothing_else_is() {
        for text in ["\"7\"", "7", " \"7\" "] {
            assert_eq!(IfMatch::parse(text), Some(IfMatch(Some(7))), "{text}");
        }
        assert_eq!(IfMatch::parse("*"), Some(IfMatch(None)));
        for text in ["", "\"\"", "W/\"7\"", "\"7", "seven", "7, 8"] {
            assert_eq!(IfMatch::parse(text), None, "{text}");
        }
    }

    #[test]
    fn header_and_body_must_both_mean_this_version() {
        assert!(IfMatch(None).check(None, 7).is_ok() && IfMatch(Some(7)).check(Some(7), 7).is_ok());
        assert_eq!(IfMatch(Some(6)).check(None, 7), Err(STALE));
        assert_eq!(IfMatch(Some(7)).check(Some(6), 7), Err(STALE));
    }
}
