//! The refresh token: a login, a number and a MAC over both.
//!
//! `rt1.<login>.<counter>.<mac>`. It needs no row of its own, the same exchange always gives the same bytes, and a
//! forged one is refused without a look into the database.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::mac::Mac;
use domain::ids::LoginId;
use uuid::Uuid;

const PREFIX: &str = "rt1";
/// Longer than any token of ours.
const MAX_BYTES: usize = 128;

/// What a refresh token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The login.
    pub login_id: LoginId,
    /// Which of its tokens, from 0.
    pub counter: u32,
}

impl RefreshToken {
    /// Writes the token.
    pub fn write(self, mac: &Mac) -> String {
        let message = self.message();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.tag(message.as_bytes())))
    }

    /// Reads a token that was made with this key.
    pub fn read(text: &str, mac: &Mac) -> Option<Self> {
        if text.len() > MAX_BYTES {
            return None;
        }
        let (message, tag) = text.rsplit_once('.')?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        if !mac.verify(message.as_bytes(), &tag) {
            return None;
        }
        let mut parts = message.strip_prefix(PREFIX)?.strip_prefix('.')?.split('.');
        let (login, counter) = (parts.next()?, parts.next()?);
        let login_id = LoginId(Uuid::parse_str(login).ok()?);
        let read = Self { login_id, counter: counter.parse().ok()? };
        // One token, one spelling.
        (read.message() == message).then_some(read)
    }

    fn message(self) -> String {
        format!("{PREFIX}.{}.{}", self.login_id.0.simple(), self.counter)
    }
}

#[cfg(test)]
mod tests {
    use chassis::{access::AccessConfig, clock::Clock};
    use secrecy::SecretString;

    use super::*;

    fn mac(secret: &str, previous: Option<&str>, purpose: &str) -> Mac {
        let access = AccessConfig {
            jwt_secret: SecretString::from(secret),
            jwt_secret_previous: previous.map(SecretString::from),
        };
        access.mac(purpose)
    }

    #[test]
    fn only_what_was_written_is_read() {
        let (ours, other) = (mac("a secret", None, "refresh"), mac("a secret", None, "codes"));
        let token = RefreshToken { login_id: Clock::system().id(), counter: 7 };
        let text = token.write(&ours);
        assert_eq!(RefreshToken::read(&text, &ours), Some(token));
        assert_eq!(RefreshToken::read(&text, &other), None);
        let bumped = text.replacen(".7.", ".8.", 1);
        let spelled = text.replacen(".7.", ".07.", 1);
        for bad in [bumped.as_str(), &spelled, &text[..text.len() - 1], "", "rt1", "rt1...", &"x".repeat(10_000)] {
            assert_eq!(RefreshToken::read(bad, &ours), None, "{bad}");
        }
    }

    #[test]
    fn a_token_outlives_the_change_of_the_secret() {
        let token = RefreshToken { login_id: Clock::system().id(), counter: 0 };
        let before = token.write(&mac("before", None, "refresh"));
        assert_eq!(RefreshToken::read(&before, &mac("after", Some("before"), "refresh")), Some(token));
        assert_eq!(RefreshToken::read(&before, &mac("after", None, "refresh")), None);
    }
}
