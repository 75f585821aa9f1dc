//! Which version of a timer a caller means: `If-Match: "7"`, or `version` in the body.

use chassis::precondition::IfMatch;
use domain::{fault::Fault, timer::STALE};

/// Judges a timer's version against the header's and the body's.
///
/// # Errors
/// [`STALE`] when either names another one.
pub(super) fn check(header: IfMatch, in_body: Option<i64>, version: i64) -> Result<(), Fault> {
    if header.means(version) && IfMatch(in_body).means(version) { Ok(()) } else { Err(STALE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_body_must_both_mean_this_version() {
        assert!(check(IfMatch(None), None, 7).is_ok() && check(IfMatch(Some(7)), Some(7), 7).is_ok());
        assert_eq!(check(IfMatch(Some(6)), None, 7), Err(STALE));
        assert_eq!(check(IfMatch(Some(7)), Some(6), 7), Err(STALE));
    }
}
