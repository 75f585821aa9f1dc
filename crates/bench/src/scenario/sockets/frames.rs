//! What a server sends, cut into WebSocket frames: enough to tell packets apart, and light enough for thousands of
//! readers beside what they read from.

/// Longest header of a server's frame: two bytes and eight of length.
const HEADER_MAX: usize = 10;
/// How much is kept of a payload: the names of packets, and a sentence of a refusal.
const START: usize = 96;

/// Opcode of the frame that ends a connection.
const CLOSE: u8 = 8;

/// What begins a packet of Engine.IO and Socket.IO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    /// The server asks whether the client is there.
    Ping,
    /// A seat changed hands.
    Seat,
    /// Any other; the beginning of its text.
    Other(&'a [u8]),
    /// The connection ends.
    Close,
}

impl<'a> Packet<'a> {
    fn of(opcode: u8, start: &'a [u8]) -> Self {
        match start {
            _ if opcode == CLOSE => Self::Close,
            b"2" => Self::Ping,
            _ if start.starts_with(br#"42["seat-"#) => Self::Seat,
            _ => Self::Other(start),
        }
    }
}

/// Follows the frames of one connection.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; HEADER_MAX],
    read: usize,
    /// Bytes of the current payload that have not come yet, once its header has.
    left: Option<u64>,
    start: Vec<u8>,
}

impl Frames {
    /// Takes bytes as they come, and gives each packet that is whole by now to `each`.
    pub(super) fn push(&mut self, mut bytes: &[u8], mut each: impl FnMut(Packet<'_>)) {
        while let Some((first, rest)) = bytes.split_first() {
            if let Some(left) = self.left {
                let passing = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                let (part, rest) = bytes.split_at(passing);
                let kept = (START - self.start.len()).min(passing);
                self.start.extend_from_slice(part.get(..kept).unwrap_or_default());
                self.left = Some(left - u64::try_from(passing).unwrap_or_default());
                bytes = rest;
            } else {
                self.read_header(*first);
                bytes = rest;
            }
            if self.left == Some(0) {
                let [first, ..] = self.header;
                each(Packet::of(first & 0x0f, &self.start));
                self.left = None;
                self.start.clear();
            }
        }
    }

    fn read_header(&mut self, byte: u8) {
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
        self.left = Some(if length_bytes == 0 { u64::from(short & 0x7f) } else { extended });
    }
}

#[cfg(test)]
mod tests {
    use tokio_tungstenite::tungstenite::protocol::frame::coding::Data;

    use super::*;
    use crate::tunnel::wire::frame;

    #[test]
    fn packets_are_told_apart_however_they_are_cut() {
        let long = format!("42[\"room-info\",\"{}\"]", "x".repeat(70_000));
        let seat = format!("42[\"seat-locked\",\"{}\"]", "x".repeat(200));
        let texts = ["2", &seat, "40{\"sid\":\"a\"}", &long, "", "42[\"seat-selected\",{}]"];
        let mut bytes: Vec<u8> =
            texts.iter().flat_map(|text| frame(Data::Text, text.as_bytes(), None).unwrap()).collect();
        bytes.extend([0x88, 2, 3, 0xe8]);
        for size in [1, 2, 3, 7, 1_000, 100_000] {
            let (mut frames, mut seen) = (Frames::default(), Vec::new());
            for part in bytes.chunks(size) {
                frames.push(part, |packet| {
                    seen.push(match packet {
                        Packet::Other(start) => format!("{} {}", start.len(), String::from_utf8_lossy(start)),
                        known => format!("{known:?}"),
                    });
                });
            }
            let long = format!("{START} {}", &long[..START]);
            assert_eq!(seen, ["Ping", "Seat", "13 40{\"sid\":\"a\"}", &long, "0 ", "Seat", "Close"], "{size}");
        }
    }
}
