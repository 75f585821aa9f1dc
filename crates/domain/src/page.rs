//! Lists: how many at once, and from where.

use crate::fault::Violations;

/// A validated page size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limit(i64);

impl Limit {
    /// Reads `?limit=`; `default` when absent.
    ///
    /// # Errors
    /// A limit outside `1..=max` is refused, never clamped: a client that asks for 10,000 must not believe it got all.
    pub fn parse(asked: Option<i64>, default: i64, max: i64) -> Result<Self, Violations> {
        let limit = asked.unwrap_or(default);
        let mut violations = Violations::new();
        violations.require(
            (1..=max).contains(&limit),
            "?limit",
            "out_of_range",
            "limit 값이 허용 범위를 벗어났습니다.",
            "The limit is outside the allowed range.",
        );
        violations.into_result().map(|()| Self(limit))
    }

    /// Returns the number of rows.
    pub const fn rows(self) -> i64 {
        self.0
    }
}

/// Reads `?offset=`; from the beginning when absent.
///
/// # Errors
/// A negative offset is refused.
pub fn parse_offset(asked: Option<i64>) -> Result<i64, Violations> {
    let offset = asked.unwrap_or_default();
    let mut violations = Violations::new();
    violations.require(
        offset >= 0,
        "?offset",
        "out_of_range",
        "offset은 0 이상이어야 합니다.",
        "The offset is not negative.",
    );
    violations.into_result().map(|()| offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_outside_its_range_is_refused_not_clamped() {
        assert_eq!(Limit::parse(None, 50, 100).unwrap().rows(), 50);
        assert_eq!(Limit::parse(Some(100), 50, 100).unwrap().rows(), 100);
        assert!(Limit::parse(Some(0), 50, 100).is_err());
        assert!(Limit::parse(Some(101), 50, 100).is_err());
        assert!(Limit::parse(Some(-1), 50, 100).is_err());
    }
}
