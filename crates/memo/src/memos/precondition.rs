//! Which version of a memo a caller means: `If-Match: "7"`. Without it, whichever there is.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    http::header::{self, HeaderValue},
};
use chassis::problem::{Outcome, Problem};
use domain::fault::{Fault, Kind, common};

/// The memo has changed since the caller saw it.
pub const MEMO_CHANGED: Fault = Fault::new(
    Kind::PreconditionFailed,
    "memo_changed",
    "그 사이 메모가 변경되었습니다. 다시 불러온 뒤 시도해 주세요.",
    "The memo has changed since then. Read it again and retry.",
);

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

    /// Judges a memo's version.
    ///
    /// # Errors
    /// [`MEMO_CHANGED`], with the version there is, when another one is meant.
    pub fn check(self, version: i64) -> Outcome<()> {
        match self.0 {
            Some(meant) if meant != version => Err(Problem::from(MEMO_CHANGED).with("version", version)),
            _ => Ok(()),
        }
    }
}

/// Tells the version of what an answer shows, as `ETag`.
pub(crate) fn tagged(mut response: HttpResponse, version: i64) -> HttpResponse {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
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
    fn another_version_than_the_one_meant_is_refused() {
        assert!(IfMatch(None).check(7).is_ok() && IfMatch(Some(7)).check(7).is_ok());
        assert_eq!(IfMatch(Some(6)).check(7).unwrap_err().code(), MEMO_CHANGED.code);
    }
}
