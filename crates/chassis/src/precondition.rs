//! Which version of something a caller means: `If-Match: "7"`. Without it, whichever there is.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header};
use domain::fault::common;

use crate::problem::Problem;

/// The request's `If-Match`, if it sent one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IfMatch(pub Option<i64>);

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

    /// Returns whether this version is meant.
    pub fn means(self, version: i64) -> bool {
        self.0.is_none_or(|meant| meant == version)
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
}
