//! The code of a ticket: which ticket, of which event, and a MAC over that.
//!
//! `mtk_` and base64url, 92 characters, which a QR code of 41 x 41 modules holds with a seventh of it hidden. The key is
//! one of its event only, derived from the service's secret: a device at a door can be given the key of that event, and
//! then tells true codes from forged ones without a network. The first bytes say which form and which key it is, so that
//! such a device knows when its key is an old one.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chassis::mac::Mac;
use domain::ids::{EventId, TicketId};
use secrecy::SecretString;
use uuid::Uuid;

/// How a code begins, so that one in the wrong place is recognised.
const PREFIX: &str = "mtk_";
/// The first byte of what is signed; another form will have another.
const VERSION: u8 = 1;
/// Bytes of what is signed: version, key id and two ids.
const SIGNED: usize = 1 + 1 + 16 + 16;
/// Longer than any code of ours.
const MAX_BYTES: usize = 128;

/// What a code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketCode {
    /// The ticket.
    pub ticket_id: TicketId,
    /// The event it lets somebody into.
    pub event_id: EventId,
}

/// Writes and reads codes.
#[derive(Clone, Debug)]
pub struct Codes {
    secret: SecretString,
    previous: Option<SecretString>,
}

impl Codes {
    /// Signs with a secret; what was signed with the one before it counts too.
    pub const fn new(secret: SecretString, previous: Option<SecretString>) -> Self {
        Self { secret, previous }
    }

    /// Derives the key of an event.
    fn mac(&self, event_id: EventId) -> Mac {
        Mac::new(&self.secret, self.previous.as_ref(), &format!("ticket {event_id}"))
    }

    /// Writes the code of a ticket.
    pub fn write(&self, code: TicketCode) -> String {
        let mac = self.mac(code.event_id);
        let key_id = mac.tag(b"key id").as_ref().first().copied().unwrap_or_default();
        let mut bytes = vec![VERSION, key_id];
        bytes.extend_from_slice(code.ticket_id.0.as_bytes());
        bytes.extend_from_slice(code.event_id.0.as_bytes());
        let tag = mac.tag(&bytes);
        bytes.extend_from_slice(tag.as_ref());
        format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a code; nothing when it is not ours.
    pub fn read(&self, text: &str) -> Option<TicketCode> {
        let encoded = text.trim().strip_prefix(PREFIX).filter(|rest| rest.len() <= MAX_BYTES)?;
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(encoded).ok()?;
        let (signed, tag) = bytes.split_first_chunk::<SIGNED>()?;
        let (head, rest) = signed.split_first_chunk::<2>()?;
        let (ticket, rest) = rest.split_first_chunk::<16>()?;
        let event_id = EventId(Uuid::from_bytes(*rest.first_chunk()?));
        let counts = head.first() == Some(&VERSION) && self.mac(event_id).verify(signed, tag);
        counts.then(|| TicketCode { ticket_id: TicketId(Uuid::from_bytes(*ticket)), event_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(letter: &str, previous: Option<&str>) -> Codes {
        let secret = |letter: &str| SecretString::from(letter.repeat(48));
        Codes::new(secret(letter), previous.map(secret))
    }

    fn some_code() -> TicketCode {
        TicketCode { ticket_id: TicketId(Uuid::from_u128(7)), event_id: EventId(Uuid::from_u128(9)) }
    }

    #[test]
    fn a_code_is_read_as_it_was_written_and_fits_a_picture() {
        let text = codes("a", None).write(some_code());
        assert_eq!(text.len(), 92);
        assert_eq!(codes("a", None).read(&text), Some(some_code()));
        assert_eq!(codes("a", None).read(&format!(" {text}\n")), Some(some_code()));
        let drawing = chassis::qr::Drawing::new(&text).unwrap();
        assert!(drawing.modules() <= 41 + 8, "{}", drawing.modules());
    }

    #[test]
    fn the_secret_before_still_counts_and_others_never_do() {
        let old = codes("a", None).write(some_code());
        assert!(codes("b", Some("a")).read(&old).is_some());
        assert!(codes("b", None).read(&old).is_none());
        assert!(codes("c", Some("b")).read(&old).is_none());
    }

    #[test]
    fn no_byte_of_a_code_can_be_changed() {
        let codes = codes("a", None);
        let text = codes.write(some_code());
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX).unwrap()).unwrap();
        for at in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[at] ^= 1;
            let forged = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(forged));
            assert_eq!(codes.read(&forged), None, "byte {at}");
        }
        for nonsense in ["", PREFIX, "mpt_AAAA", &text[1..], &text[..text.len() - 4], &format!("{text}AAAA")] {
            assert_eq!(codes.read(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn the_key_of_one_event_says_nothing_about_another() {
        let codes = codes("a", None);
        let (own, other) = (some_code(), TicketCode { event_id: EventId(Uuid::from_u128(10)), ..some_code() });
        assert_ne!(codes.mac(own.event_id).tag(b"m").as_ref(), codes.mac(other.event_id).tag(b"m").as_ref());
    }
}
