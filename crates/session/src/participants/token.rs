//! The token of a participant: which session, who, until when, and a MAC over that.
//!
//! `mpt_` and base64url. It needs no row of its own and nobody without the secret can make one; that its participant is
//! still in, their row says. It opens one session and nothing else.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chassis::mac::Mac;
use chrono::{DateTime, Utc};
use domain::ids::{ParticipantId, SessionId};
use uuid::Uuid;

/// How a token begins, so that one in the wrong place is recognised.
const PREFIX: &str = "mpt_";
/// The first byte of what is signed; another form will have another.
const VERSION: u8 = 1;
/// How long a token is good: a conference. Who leaves or is shown out loses it at once.
const LIFE: Duration = Duration::from_hours(7 * 24);
/// Bytes of what is signed: version, two ids and the seconds of the end.
const SIGNED: usize = 1 + 16 + 16 + 8;
/// Bytes of a MAC.
const TAG: usize = 32;
/// Longer than any token of ours.
const MAX_BYTES: usize = 128;

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParticipantToken {
    /// The session it opens.
    pub session_id: SessionId,
    /// For whom.
    pub participant_id: ParticipantId,
}

impl ParticipantToken {
    /// Writes a token that begins to count at `now`.
    pub fn write(self, mac: &Mac, now: DateTime<Utc>) -> String {
        let ends_at = now.timestamp().saturating_add(i64::try_from(LIFE.as_secs()).unwrap_or(i64::MAX));
        let mut bytes = Vec::with_capacity(SIGNED + TAG);
        bytes.push(VERSION);
        bytes.extend_from_slice(self.session_id.0.as_bytes());
        bytes.extend_from_slice(self.participant_id.0.as_bytes());
        bytes.extend_from_slice(&ends_at.to_be_bytes());
        let tag = mac.tag(&bytes);
        bytes.extend_from_slice(tag.as_ref());
        format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a token; nothing when it is not ours, or over at `now`.
    pub fn read(text: &str, mac: &Mac, now: DateTime<Utc>) -> Option<Self> {
        let encoded = text.strip_prefix(PREFIX).filter(|rest| rest.len() <= MAX_BYTES)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(encoded).ok()?;
        let (signed, tag) = bytes.split_first_chunk::<SIGNED>()?;
        if !mac.verify(signed, tag) {
            return None;
        }
        let (version, rest) = signed.split_first()?;
        let (session, rest) = rest.split_first_chunk::<16>()?;
        let (participant, rest) = rest.split_first_chunk::<16>()?;
        let ends_at = i64::from_be_bytes(*rest.first_chunk()?);
        let counts = *version == VERSION && now.timestamp() < ends_at;
        counts.then(|| Self {
            session_id: SessionId(Uuid::from_bytes(*session)),
            participant_id: ParticipantId(Uuid::from_bytes(*participant)),
        })
    }
}

#[cfg(test)]
mod tests {
    use chassis::clock::Clock;
    use proptest::prelude::*;
    use secrecy::SecretString;

    use super::*;

    fn secret(letter: &str) -> SecretString {
        SecretString::from(letter.repeat(48))
    }

    fn mac() -> Mac {
        Mac::new(&secret("a"), None, "participant token")
    }

    fn start() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn somebody() -> ParticipantToken {
        let clock = Clock::manual(start());
        ParticipantToken { session_id: clock.id(), participant_id: clock.id() }
    }

    #[test]
    fn a_token_is_read_as_it_was_written_until_it_ends() {
        let token = somebody().write(&mac(), start());
        assert!(token.starts_with("mpt_") && token.len() < MAX_BYTES, "{token}");
        assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{token}");
        let read = |later: Duration| ParticipantToken::read(&token, &mac(), start() + later);
        assert_eq!(read(Duration::ZERO), Some(somebody_of(&token)));
        assert!(read(LIFE.saturating_sub(Duration::from_secs(1))).is_some() && read(LIFE).is_none());
    }

    fn somebody_of(token: &str) -> ParticipantToken {
        ParticipantToken::read(token, &mac(), start()).unwrap()
    }

    #[test]
    fn the_secret_before_still_counts_and_others_never_do() {
        let old = somebody().write(&mac(), start());
        let rotated = Mac::new(&secret("b"), Some(&secret("a")), "participant token");
        assert!(ParticipantToken::read(&old, &rotated, start()).is_some());
        let new = somebody().write(&rotated, start());
        assert!(ParticipantToken::read(&new, &rotated, start()).is_some());
        assert!(ParticipantToken::read(&new, &mac(), start()).is_none());
        for other in
            [Mac::new(&secret("b"), None, "participant token"), Mac::new(&secret("a"), None, "another purpose")]
        {
            assert!(ParticipantToken::read(&old, &other, start()).is_none());
        }
    }

    #[test]
    fn what_is_cut_or_longer_is_refused() {
        let token = somebody().write(&mac(), start());
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&token[4..]).unwrap();
        for length in 0..bytes.len() {
            let cut = format!("mpt_{}", BASE64_URL_SAFE_NO_PAD.encode(&bytes[..length]));
            assert!(ParticipantToken::read(&cut, &mac(), start()).is_none(), "{length}");
        }
        let longer = BASE64_URL_SAFE_NO_PAD.encode([bytes.as_slice(), &[0]].concat());
        for bad in [format!("mpt_{longer}"), token[4..].to_owned(), format!("{token}=")] {
            assert!(ParticipantToken::read(&bad, &mac(), start()).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn one_changed_bit_is_one_too_many(bit in 0_usize..(SIGNED + TAG) * 8) {
            let token = somebody().write(&mac(), start());
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(&token[4..]).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let forged = format!("mpt_{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
            prop_assert!(ParticipantToken::read(&forged, &mac(), start()).is_none());
        }

        #[test]
        fn any_text_is_judged_without_a_panic(text in ".*") {
            prop_assert!(ParticipantToken::read(&text, &mac(), start()).is_none());
        }
    }
}
