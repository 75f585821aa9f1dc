//! Which version of a memo a caller means: `If-Match: "7"`. Without it, whichever there is.

use actix_web::{
    HttpResponse,
    http::header::{self, HeaderValue},
};
use chassis::{
    precondition::IfMatch,
    problem::{Outcome, Problem},
};
use domain::fault::{Fault, Kind};

/// The memo has changed since the caller saw it.
pub const MEMO_CHANGED: Fault = Fault::new(
    Kind::PreconditionFailed,
    "memo_changed",
    "그 사이 메모가 변경되었습니다. 다시 불러온 뒤 시도해 주세요.",
    "The memo has changed since then. Read it again and retry.",
);

/// Judges a memo's version.
///
/// # Errors
/// [`MEMO_CHANGED`], with the version there is, when another one is meant.
pub(crate) fn check(meant: IfMatch, version: i64) -> Outcome<()> {
    if meant.means(version) { Ok(()) } else { Err(Problem::from(MEMO_CHANGED).with("version", version)) }
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
    fn another_version_than_the_one_meant_is_refused() {
        assert!(check(IfMatch(None), 7).is_ok() && check(IfMatch(Some(7)), 7).is_ok());
        assert_eq!(check(IfMatch(Some(6)), 7).unwrap_err().code(), MEMO_CHANGED.code);
    }
}
