//! Where one frame of a WebSocket ends and the next begins, read from the bytes as they pass.

/// Longest header: two bytes, eight of length, four of mask.
pub(super) const HEADER_MAX: usize = 14;

/// The place in a stream of frames.
#[derive(Debug, Default)]
pub struct Frames {
    header: Header,
    /// Payload bytes of the current frame that have not passed yet.
    left: u64,
}

impl Frames {
    /// Looks at what passes; returns whether every frame that begins in it has a length that `admits`.
    pub fn pass(&mut self, mut bytes: &[u8], admits: impl Fn(u64) -> bool) -> bool {
        loop {
            let passing = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.left = self.left.saturating_sub(u64::try_from(passing).unwrap_or(u64::MAX));
            let Some((first, rest)) = bytes.get(passing..).and_then(<[u8]>::split_first) else { return true };
            bytes = rest;
            if let Some(length) = self.header.push(*first) {
                if !admits(length) {
                    return false;
                }
                self.left = length;
            }
        }
    }

    /// Returns whether the last frame is over and the next has not begun.
    pub const fn is_between(&self) -> bool {
        self.left == 0 && self.header.read == 0
    }
}

/// A frame's header, byte by byte.
#[derive(Debug, Default)]
struct Header {
    bytes: [u8; HEADER_MAX],
    read: usize,
}

impl Header {
    /// Adds a byte; returns the payload's length once the header is whole.
    fn push(&mut self, byte: u8) -> Option<u64> {
        *self.bytes.get_mut(self.read)? = byte;
        self.read += 1;
        let [_, second, extended @ ..] = self.bytes;
        if self.read < 2 {
            return None;
        }
        let length_bytes = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask_bytes = if second & 0x80 == 0 { 0 } else { 4 };
        if self.read < 2 + length_bytes + mask_bytes {
            return None;
        }
        self.read = 0;
        let extended = extended.iter().take(length_bytes).fold(0, |length, byte| (length << 8) | u64::from(*byte));
        Some(if length_bytes == 0 { u64::from(second & 0x7f) } else { extended })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_between_two_frames_is_known_however_they_are_cut() {
        let frames = [&[0x81, 2, b'a', b'b'][..], &[0x8a, 0], &[0x82, 126, 0, 1, b'c']].concat();
        let mut place = Frames::default();
        let between = frames.iter().map(|byte| {
            assert!(place.pass(&[*byte], |_| true));
            place.is_between()
        });
        let between: Vec<_> = between.enumerate().filter_map(|(at, between)| between.then_some(at + 1)).collect();
        assert_eq!(between, [4, 6, 11]);
        let mut whole = Frames::default();
        assert!(whole.pass(&frames, |length| length < 3) && whole.is_between());
        assert!(!Frames::default().pass(&frames, |length| length < 2));
    }
}
