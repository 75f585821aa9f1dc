//! Queue tickets as they travel: `mqt_`, base64url, and a MAC over what they say.

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chassis::{mac::Mac, problem::Problem};
use domain::{
    ids::{EventId, UserId},
    waiting_room::ticket::{BYTES, QueueTicket},
};
use std::future::{Ready, ready};

/// How a ticket begins, so that one in the wrong place is recognised.
const PREFIX: &str = "mqt_";
/// Longer than any ticket of ours.
const MAX_CHARS: usize = 256;
/// The header in which a ticket may come.
pub const HEADER: &str = "x-queue-ticket";

/// Writes a ticket.
pub fn write(ticket: &QueueTicket, mac: &Mac) -> String {
    let mut bytes = ticket.to_bytes();
    let tag = mac.tag(&bytes);
    bytes.extend_from_slice(tag.as_ref());
    format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// Reads a ticket of this person for this event; nothing when it is not ours, or somebody else's, or for something else.
pub fn read(text: &str, mac: &Mac, event_id: EventId, user_id: UserId) -> Option<QueueTicket> {
    let encoded = text.strip_prefix(PREFIX).filter(|rest| rest.len() <= MAX_CHARS)?;
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(encoded).ok()?;
    let (signed, tag) = bytes.split_first_chunk::<BYTES>()?;
    let ticket = mac.verify(signed, tag).then(|| QueueTicket::from_bytes(signed))??;
    (ticket.event_id == event_id && ticket.user_id == user_id).then_some(ticket)
}

/// The ticket that came with a request, as it came.
#[derive(Clone, Debug, Default)]
pub struct QueueTicketHeader(pub Option<String>);

impl FromRequest for QueueTicketHeader {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let value = req.headers().get(HEADER).and_then(|value| value.to_str().ok());
        ready(Ok(Self(value.map(str::to_owned))))
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;
    use uuid::Uuid;

    use super::*;

    fn mac(letter: &str) -> Mac {
        Mac::new(&SecretString::from(letter.repeat(48)), None, "queue ticket")
    }

    fn ticket() -> QueueTicket {
        let (event_id, user_id) = (EventId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        QueueTicket { event_id, user_id, generation: 1, incarnation: 1, seq: 9, seen_at_ms: 1_800_000_000_000 }
    }

    #[test]
    fn a_ticket_is_its_owners_for_its_event() {
        let (ours, ticket) = (mac("a"), ticket());
        let text = write(&ticket, &ours);
        assert!(text.len() <= MAX_CHARS && text.starts_with(PREFIX));
        assert_eq!(read(&text, &ours, ticket.event_id, ticket.user_id), Some(ticket));
        assert_eq!(read(&text, &ours, EventId(Uuid::from_u128(3)), ticket.user_id), None);
        assert_eq!(read(&text, &ours, ticket.event_id, UserId(Uuid::from_u128(3))), None);
        assert_eq!(read(&text, &mac("b"), ticket.event_id, ticket.user_id), None);
    }

    #[test]
    fn one_changed_bit_is_one_too_many() {
        let (ours, ticket) = (mac("a"), ticket());
        let text = write(&ticket, &ours);
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&text[PREFIX.len()..]).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let forged = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(forged));
            assert_eq!(read(&forged, &ours, ticket.event_id, ticket.user_id), None, "{bit}");
        }
        for bad in ["", "mqt_", "mqt_!", &text[4..], &text[..text.len() - 4]] {
            assert_eq!(read(bad, &ours, ticket.event_id, ticket.user_id), None, "{bad}");
        }
    }
}
