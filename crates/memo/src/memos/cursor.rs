//! Where a page of a list ended, as text that only this service can make.
//!
//! It is signed together with whose list it is and what was asked for, so that it leads nowhere but to the next page of
//! the same list.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::mac::Mac;
use chrono::{DateTime, Utc};
use domain::fault::Violations;
use uuid::Uuid;

/// Bytes of a signature: half a digest cannot be guessed either.
const TAG: usize = 16;
/// Bytes of a place: a time in microseconds and an id.
const PLACE: usize = 8 + 16;

/// The last memo of a page, or the first place there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// Which one it is.
    pub id: Uuid,
}

impl Place {
    /// Writes it for the list that `asked` names.
    pub(super) fn write(self, mac: &Mac, asked: &str) -> String {
        let mut bytes = self.bytes().to_vec();
        let tag = mac.tag(&message(&bytes, asked));
        bytes.extend(tag.as_ref().iter().take(TAG));
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads it for the list that `asked` names.
    ///
    /// # Errors
    /// Refuses what was not written for that list.
    pub(super) fn read(text: &str, mac: &Mac, asked: &str) -> Result<Self, Violations> {
        Self::genuine(text, mac, asked).ok_or_else(|| {
            let mut violations = Violations::new();
            violations.add("?cursor", "not_valid", "알 수 없는 커서입니다.", "This is no cursor of this list.");
            violations
        })
    }

    fn genuine(text: &str, mac: &Mac, asked: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (place, tag) = bytes.split_at_checked(PLACE)?;
        let made = mac.tag(&message(place, asked));
        // Two digests of the same key are compared by digesting them: how long that takes tells nothing.
        let is_own = tag.len() == TAG && mac.verify(tag, mac.tag(made.as_ref().get(..TAG)?).as_ref());
        let (micros, id) = place.split_at_checked(8)?;
        let created_at = DateTime::from_timestamp_micros(i64::from_be_bytes(micros.try_into().ok()?))?;
        is_own.then_some(Self { created_at, id: Uuid::from_slice(id).ok()? })
    }

    fn bytes(self) -> [u8; PLACE] {
        let mut bytes = [0; PLACE];
        let parts = self.created_at.timestamp_micros().to_be_bytes().into_iter().chain(self.id.into_bytes());
        for (byte, part) in bytes.iter_mut().zip(parts) {
            *byte = part;
        }
        bytes
    }
}

fn message(place: &[u8], asked: &str) -> Vec<u8> {
    [place, asked.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn a_cursor_leads_on_in_its_own_list_and_cannot_be_forged() {
        let mac = |secret: &str| Mac::new(&SecretString::from(secret.repeat(32)), None, "memo cursor");
        let created_at = DateTime::from_timestamp_micros(1_790_000_000_123_456).unwrap();
        let place = Place { created_at, id: Uuid::from_u128(9) };
        let text = place.write(&mac("a"), "kim autumn");
        assert_eq!(Place::read(&text, &mac("a"), "kim autumn").unwrap(), place);
        assert!(Place::read(&text, &mac("a"), "lee autumn").is_err());
        assert!(Place::read(&text, &mac("b"), "kim autumn").is_err());
        let bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
        for at in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[at] ^= 1;
            assert!(Place::read(&URL_SAFE_NO_PAD.encode(forged), &mac("a"), "kim autumn").is_err(), "{at}");
        }
        for short in [0, 8, PLACE, PLACE + 1, bytes.len() - 1] {
            assert!(Place::read(&URL_SAFE_NO_PAD.encode(&bytes[..short]), &mac("a"), "kim autumn").is_err(), "{short}");
        }
        assert!(Place::read("한글", &mac("a"), "kim autumn").is_err());
    }
}
