//! A text that grows by pieces, and where each of them begins.
//!
//! Kept in parts of one size. A text of one part would be moved each time it outgrows its place, which is twice as large
//! each time: of a thousand replies that grow side by side, half of the memory would be places that are empty yet or have
//! been left.

/// Most bytes of a part; a piece that is longer is a part of its own.
const PART: usize = 2_048;
/// Most pieces of a part.
const PIECES: usize = 1_024;

/// A text and its pieces.
#[derive(Default)]
pub(super) struct Written {
    parts: Vec<Part>,
    bytes: usize,
    pieces: usize,
}

struct Part {
    text: String,
    /// Where each piece begins in `text`: none begins behind [`PART`].
    starts: Vec<u16>,
    /// How many pieces there are in the parts before.
    first: usize,
}

impl Written {
    /// Adds a piece.
    pub(super) fn push(&mut self, piece: &str) {
        let fits = |part: &Part| part.text.len() + piece.len() <= PART && part.starts.len() < PIECES;
        if !self.parts.last().is_some_and(fits) {
            self.parts.push(Part { text: String::new(), starts: Vec::new(), first: self.pieces });
        }
        if let Some(part) = self.parts.last_mut() {
            part.starts.push(u16::try_from(part.text.len()).unwrap_or(u16::MAX));
            part.text.push_str(piece);
        }
        self.bytes += piece.len();
        self.pieces += 1;
    }

    /// Returns the length of the text, bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns how many pieces there are.
    pub(super) const fn pieces(&self) -> usize {
        self.pieces
    }

    /// Returns a piece, from 0.
    pub(super) fn piece(&self, index: usize) -> Option<&str> {
        let behind = self.parts.partition_point(|part| part.first <= index);
        let part = self.parts.get(behind.checked_sub(1)?)?;
        let at = index.checked_sub(part.first)?;
        let start = usize::from(*part.starts.get(at)?);
        let end = part.starts.get(at + 1).map_or(part.text.len(), |next| usize::from(*next));
        part.text.get(start..end)
    }

    /// Returns the whole text.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(self.bytes);
        self.parts.iter().for_each(|part| text.push_str(&part.text));
        text
    }

    /// Returns where the pieces end in the whole text, bytes.
    pub(super) fn ends(&self) -> Vec<u32> {
        let (mut ends, mut before) = (Vec::with_capacity(self.pieces), 0);
        let mut push = |end: usize| ends.push(u32::try_from(end).unwrap_or(u32::MAX));
        for part in &self.parts {
            part.starts.iter().skip(1).for_each(|start| push(before + usize::from(*start)));
            before += part.text.len();
            push(before);
        }
        ends
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written<'a>(pieces: impl IntoIterator<Item = &'a String>) -> Written {
        let mut written = Written::default();
        pieces.into_iter().for_each(|piece| written.push(piece));
        written
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_as_it_came(
            pieces in proptest::collection::vec(prop_oneof![8 => "(?s).{0,9}", 1 => "[가-힣]{300,900}"], 0..400),
        ) {
            let written = written(&pieces);
            prop_assert_eq!(written.text(), pieces.concat());
            prop_assert_eq!((written.bytes(), written.pieces()), (pieces.concat().len(), pieces.len()));
            let mut end = 0;
            for (index, (piece, told)) in pieces.iter().zip(written.ends()).enumerate() {
                end += piece.len();
                prop_assert_eq!(written.piece(index), Some(piece.as_str()));
                prop_assert_eq!(usize::try_from(told).unwrap(), end);
            }
            prop_assert_eq!(written.piece(pieces.len()), None);
        }
    }

    #[test]
    fn pieces_of_nothing_and_one_of_everything_are_pieces() {
        let nothing = vec![String::new(); 5_000];
        assert_eq!(written(&nothing).ends(), vec![0; 5_000]);
        let everything = [String::new(), "말".repeat(40_000), "끝".to_owned()];
        let written = written(&everything);
        assert_eq!(written.piece(1).map(str::len), Some(120_000));
        assert_eq!((written.piece(2), written.ends()), (Some("끝"), vec![0, 120_000, 120_003]));
    }

    #[test]
    fn a_long_reply_of_short_pieces_takes_little_more_than_its_text() {
        let pieces = vec!["일곱 바".to_owned(); 3_000];
        let written = written(&pieces);
        let kept: usize = written.parts.iter().map(|part| part.text.capacity() + 2 * part.starts.capacity()).sum();
        assert!(kept < 2 * written.bytes(), "{kept} bytes for {}", written.bytes());
    }
}
