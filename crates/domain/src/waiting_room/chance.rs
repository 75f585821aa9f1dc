//! Early truth: how likely it is that anything is left when somebody's turn comes.

use crate::locale::{Locale, Text};

/// Tickets that a person who was let in takes on average, until that has been measured.
pub const USUAL_BASKET: f64 = 2.0;
/// People who must have been let in before what they took says something about the next.
const TELLING: i64 = 20;

const NOTICE: [Text; 2] = [
    Text::new(
        "앞선 분들이 남은 티켓을 모두 구매할 수 있습니다. 지금 구매 가능성은 약 ",
        "The people before you may take all that is left: your chance is now about ",
    ),
    Text::new("%입니다.", " %."),
];

/// What is left, and how fast it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Tickets and seats that are neither sold nor held.
    pub free: i64,
    /// Tickets and seats that are sold or held.
    pub taken: i64,
    /// People who were let in so far.
    pub let_in: i64,
}

impl Stock {
    /// Returns what a person who is let in takes on average; who takes nothing counts too.
    pub fn basket(&self) -> f64 {
        if self.let_in < TELLING {
            return USUAL_BASKET;
        }
        // Never nothing: what has not sold so far may yet sell.
        (as_float(self.taken.max(1)) / as_float(self.let_in)).max(0.1)
    }
}

/// Returns the chance in percent that something is left for somebody with that many people ahead, inside or in line;
/// nothing when what is left suffices for what those will take on average.
///
/// What one person takes is spread about its mean like a count that has no memory; for many people the sum is normal.
pub fn chance(stock: Stock, ahead: i64) -> Option<u8> {
    let (free, ahead, basket) = (as_float(stock.free.max(0)), as_float(ahead.max(0)), stock.basket());
    let wanted = ahead * basket;
    if free >= wanted && free >= 1.0 {
        return None;
    }
    if free < 1.0 {
        return Some(0);
    }
    let spread = (ahead * basket * (1.0 + basket)).sqrt();
    let percent = 100.0 * normal((free - 0.5 - wanted) / spread);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 100")]
    Some(percent.round().clamp(0.0, 100.0) as u8)
}

/// Writes the notice that goes with a chance.
pub fn notice(percent: u8, locale: Locale) -> String {
    let [before, after] = NOTICE;
    format!("{}{percent}{}", before.in_locale(locale), after.in_locale(locale))
}

/// The probability that a standard normal value is at most `z`, to within one in a hundred thousand: the rational
/// approximation 26.2.16 of Abramowitz and Stegun.
fn normal(z: f64) -> f64 {
    let t = 1.0 / 0.332_67_f64.mul_add(z.abs(), 1.0);
    let density = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let series = t * t.mul_add(t.mul_add(0.937_298_0, -0.120_167_6), 0.436_183_6);
    let above = density * series;
    if z < 0.0 { above } else { 1.0 - above }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of people and tickets")]
fn as_float(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn left(free: i64) -> Stock {
        Stock { free, ..Stock::default() }
    }

    #[test]
    fn nobody_is_told_while_there_is_enough() {
        assert_eq!(chance(left(100), 50), None);
        assert_eq!(chance(left(1), 0), None);
        assert!(chance(left(100), 51).is_some_and(|percent| percent < 50));
    }

    #[test]
    fn when_nothing_is_left_that_is_what_is_told() {
        assert_eq!(chance(left(0), 0), Some(0));
        assert_eq!(chance(left(10), 1_000), Some(0));
        assert_eq!(
            notice(3, Locale::En),
            "The people before you may take all that is left: your chance is now about 3 %."
        );
        assert!(notice(3, Locale::Ko).ends_with("약 3%입니다."));
    }

    #[test]
    fn what_people_took_so_far_counts_once_it_says_something() {
        assert!((Stock { free: 5, taken: 3, let_in: 3 }.basket() - USUAL_BASKET).abs() < 1e-9);
        assert!((Stock { free: 5, taken: 30, let_in: 60 }.basket() - 0.5).abs() < 1e-9);
        assert_eq!(chance(Stock { free: 50, taken: 30, let_in: 60 }, 90), None);
    }

    #[test]
    fn the_normal_distribution_is_the_one_of_the_tables() {
        for (z, p) in [(-3.0, 0.001_35), (-1.0, 0.158_66), (0.0, 0.5), (1.281_55, 0.9), (2.0, 0.977_25)] {
            assert!((normal(z) - p).abs() < 2e-5, "{z}");
        }
    }

    proptest! {
        #[test]
        fn fewer_people_ahead_and_more_stock_never_lower_the_chance(free in 0_i64..5_000, ahead in 0_i64..20_000, less in 0_i64..500) {
            let percent = |free, ahead| chance(left(free), ahead).unwrap_or(100);
            prop_assert!(percent(free, ahead) <= 100);
            prop_assert!(percent(free, (ahead - less).max(0)) >= percent(free, ahead));
            prop_assert!(percent(free + less, ahead) >= percent(free, ahead));
        }
    }
}
