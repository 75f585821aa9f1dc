//! Keyed digests: tokens and codes that need no row of their own, because nobody without the key can make them.
//!
//! Each purpose has a key of its own, derived from a service's secret, so that what is made for one is worth nothing for
//! another. While that secret has a predecessor, what was made with it still counts.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, Tag, sign, verify};
use secrecy::{ExposeSecret, SecretString};

/// The key of one purpose.
#[derive(Clone, Debug)]
pub struct Mac {
    current: Key,
    previous: Option<Key>,
}

impl Mac {
    /// Derives the key of a purpose from a secret and, while it has one, from the secret before it.
    pub fn new(secret: &SecretString, previous: Option<&SecretString>, purpose: &str) -> Self {
        let derive = |secret: &SecretString| {
            let root = Key::new(HMAC_SHA256, secret.expose_secret().as_bytes());
            Key::new(HMAC_SHA256, sign(&root, format!("maru {purpose}").as_bytes()).as_ref())
        };
        Self { current: derive(secret), previous: previous.map(derive) }
    }

    /// Makes the digest of a message.
    pub fn tag(&self, message: &[u8]) -> Tag {
        sign(&self.current, message)
    }

    /// Returns whether a digest is of this message, in a time that tells nothing.
    pub fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        self.keys().any(|key| verify(key, message, tag).is_ok())
    }

    /// Makes every digest of a message that counts: with the current key, and with the one before it.
    pub fn tags(&self, message: &[u8]) -> impl Iterator<Item = Tag> {
        self.keys().map(|key| sign(key, message))
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_counts_for_its_purpose_while_its_secret_or_the_next_does() {
        let [first, second, third] = ["first", "second", "third"].map(|text| SecretString::from(text.repeat(8)));
        let tag = Mac::new(&first, None, "tickets").tag(b"message");
        let counts = |mac: &Mac| mac.verify(b"message", tag.as_ref());
        assert!(counts(&Mac::new(&first, None, "tickets")));
        assert!(counts(&Mac::new(&second, Some(&first), "tickets")));
        assert!(!counts(&Mac::new(&third, Some(&second), "tickets")));
        assert!(!counts(&Mac::new(&first, None, "letters")));
        assert!(!Mac::new(&first, None, "tickets").verify(b"another", tag.as_ref()));
    }
}
