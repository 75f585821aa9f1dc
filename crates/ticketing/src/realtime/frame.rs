//! WebSocket frames of the server, which are the same bytes for everybody.
//!
//! What many are told is framed once. To be written between the frames that the library writes, and never into one, it is
//! known of every connection where its frames begin and end.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;

/// A whole, unmasked text frame.
const TEXT: u8 = 0x81;
/// Longest header: two bytes and eight of length.
const HEADER_MAX: usize = 10;

/// Frames an event as Engine.IO and Socket.IO write it: `42["event",payload]`.
///
/// # Errors
/// Returns an error for a payload that is no JSON.
pub(super) fn event<T: Serialize>(event: &str, payload: &T) -> serde_json::Result<Bytes> {
    let json = serde_json::to_vec(&(event, payload))?;
    let length = json.len() + 2;
    let mut frame = BytesMut::with_capacity(HEADER_MAX + length);
    frame.put_u8(TEXT);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => frame.put_u8(short),
        (_, Ok(medium)) => {
            frame.put_u8(126);
            frame.put_u16(medium);
        }
        _ => {
            frame.put_u8(127);
            frame.put_u64(u64::try_from(length).unwrap_or(u64::MAX));
        }
    }
    frame.put_slice(b"42");
    frame.put_slice(&json);
    Ok(frame.freeze())
}

/// Follows frames as their bytes pass.
#[derive(Default)]
pub(super) struct Frames {
    header: [u8; HEADER_MAX],
    read: usize,
    /// Bytes of the current frame that have not passed yet.
    left: u64,
}

impl Frames {
    /// Looks at bytes that pass.
    pub(super) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let passing = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left -= u64::try_from(passing).unwrap_or_default();
            bytes = bytes.get(passing..).unwrap_or_default();
            if let Some((first, rest)) = bytes.split_first() {
                bytes = rest;
                self.push(*first);
            }
        }
    }

    /// Returns whether the next byte begins a frame.
    pub(super) const fn are_whole(&self) -> bool {
        self.read == 0 && self.left == 0
    }

    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.header.get_mut(self.read) {
            *slot = byte;
        }
        self.read += 1;
        let [_, short, extended @ ..] = self.header;
        let length_bytes = match short & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.read < 2 + length_bytes {
            return;
        }
        self.read = 0;
        let extended = extended.iter().take(length_bytes).fold(0, |length, byte| (length << 8) | u64::from(*byte));
        self.left = if length_bytes == 0 { u64::from(short & 0x7f) } else { extended };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_frame_of_any_length() {
        for length in [0, 1, 100, 110, 125, 126, 1_000, 65_500, 70_000] {
            let frame = event("told", &"x".repeat(length)).unwrap();
            let text = format!("42[\"told\",\"{}\"]", "x".repeat(length));
            assert!(frame.ends_with(text.as_bytes()));
            let mut frames = Frames::default();
            frames.pass(&frame);
            assert!(frames.are_whole(), "{length}");
        }
    }

    #[test]
    fn it_is_known_where_a_frame_ends_however_it_is_cut() {
        let bytes = [0, 50, 125, 126, 300, 66_000].map(|length| event("e", &"x".repeat(length)).unwrap()).concat();
        let mut ends = 0;
        for chunk in [1, 2, 3, 7, 1_000] {
            let mut frames = Frames::default();
            for part in bytes.chunks(chunk) {
                frames.pass(part);
                ends += usize::from(chunk == 1 && frames.are_whole());
            }
            assert!(frames.are_whole(), "{chunk}");
        }
        assert_eq!(ends, 6);
    }
}
