//! Values that somebody sends who wishes no good, and chance that can be had again.

/// Numbers that are drawn one after the other, the same ones in every run (SplitMix64).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Draws a number below `below`.
    pub(crate) fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(below).expect("a small number")).expect("a small number")
    }

    /// Draws one of several.
    pub(crate) fn one_of<'a, T>(&mut self, several: &'a [T]) -> &'a T {
        &several[self.below(several.len())]
    }
}

/// Texts for a database, a pattern, a shell, a path, a log and a page; none has any meaning here.
pub(super) const TEXTS: [&str; 24] = [
    "",
    " ",
    "'",
    "' OR '1'='1",
    "1; DROP TABLE users; --",
    "1 UNION SELECT version()--",
    "$1",
    "title; SELECT pg_sleep(5)",
    "created_at DESC, (SELECT pg_sleep(5))",
    "%",
    "_",
    "%_\\",
    "\\",
    "a\0b",
    "\u{202e}\u{feff}\u{200d}",
    "(a+)+$ aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!",
    "((((((((((((((((((((((((((((((((",
    "../../../../etc/passwd",
    "${jndi:ldap://127.0.0.1/a}",
    "{{7*7}}<%= 7*7 %>",
    "<script>alert(1)</script>",
    "a\r\nSet-Cookie: x=y",
    "-9223372036854775808",
    "99999999999999999999999999",
];
