//! A text that grows by pieces, and where each of them begins.
//!
//! Kept in parts of one size. A text of one part would be moved each time it outgrows its place, which is twice as large
//! each time: of a thousand replies that grow side by side, half of the memory would be places that are empty yet or have
//! been left.
//!
//! Parts that are kept elsewhere can be let go of: places stay what they were.

use std::collections::VecDeque;

use crate::step::kept::KeptText;

/// Most bytes of a part; a piece that is longer is a part of its own.
const PART: usize = 2_048;
/// Most pieces of a part.
const PIECES: usize = 1_024;

/// A text and its pieces.
#[derive(Default)]
pub(super) struct Written {
    parts: VecDeque<Part>,
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
    /// Takes a text apart into pieces of these lengths, bytes. One whose pieces are not known, or are those of another
    /// text, is one piece.
    pub(super) fn of(text: &str, lengths: Option<&[u32]>) -> Self {
        let pieces = lengths.and_then(|lengths| Self::apart(text, lengths));
        pieces.unwrap_or_else(|| {
            let mut whole = Self::default();
            if !text.is_empty() {
                whole.push(text);
            }
            whole
        })
    }

    fn apart(mut text: &str, lengths: &[u32]) -> Option<Self> {
        let mut written = Self::default();
        for length in lengths {
            let (piece, rest) = text.split_at_checked(usize::try_from(*length).ok()?)?;
            written.push(piece);
            text = rest;
        }
        text.is_empty().then_some(written)
    }

    /// Adds a piece.
    pub(super) fn push(&mut self, piece: &str) {
        let fits = |part: &Part| part.text.len() + piece.len() <= PART && part.starts.len() < PIECES;
        if !self.parts.back().is_some_and(fits) {
            self.parts.push_back(Part { text: String::new(), starts: Vec::new(), first: self.pieces });
        }
        if let Some(part) = self.parts.back_mut() {
            part.starts.push(u16::try_from(part.text.len()).unwrap_or(u16::MAX));
            part.text.push_str(piece);
        }
        self.bytes += piece.len();
        self.pieces += 1;
    }

    /// Lets go of parts that have nothing but the first `pieces` ones.
    pub(super) fn let_go(&mut self, pieces: usize) {
        while self.parts.pop_front_if(|part| part.first + part.starts.len() <= pieces).is_some() {}
    }

    /// Returns how many pieces were let go of.
    pub(super) fn gone(&self) -> usize {
        self.parts.front().map_or(self.pieces, |part| part.first)
    }

    /// Returns the length of the text, bytes, with what was let go of.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns how many pieces there are, with those that were let go of.
    pub(super) const fn pieces(&self) -> usize {
        self.pieces
    }

    /// Returns a piece, from 0; nothing when it is not there yet, or was let go of.
    pub(super) fn piece(&self, index: usize) -> Option<&str> {
        let behind = self.parts.partition_point(|part| part.first <= index);
        let part = self.parts.get(behind.checked_sub(1)?)?;
        let at = index.checked_sub(part.first)?;
        let start = usize::from(*part.starts.get(at)?);
        let end = part.starts.get(at + 1).map_or(part.text.len(), |next| usize::from(*next));
        part.text.get(start..end)
    }

    /// Returns the pieces after the first `seen` ones, without those that were let go of.
    pub(super) fn after(&self, seen: usize) -> impl Iterator<Item = &str> {
        (seen.max(self.gone())..self.pieces).filter_map(|index| self.piece(index))
    }
}

impl From<KeptText> for Written {
    fn from(kept: KeptText) -> Self {
        Self::of(&kept.text, kept.lengths.as_deref())
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

    fn lengths(pieces: &[String]) -> Vec<u32> {
        pieces.iter().map(|piece| u32::try_from(piece.len()).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_as_it_came(
            pieces in proptest::collection::vec(prop_oneof![8 => "(?s).{0,9}", 1 => "[가-힣]{300,900}"], 0..400),
            gone: u16,
        ) {
            let mut written = written(&pieces);
            let count = (pieces.concat().len(), pieces.len());
            prop_assert_eq!((written.bytes(), written.pieces()), count);
            prop_assert!(written.after(0).eq(pieces.iter().map(String::as_str)));
            let again = Written::of(&pieces.concat(), Some(&lengths(&pieces)));
            prop_assert!(again.after(0).eq(pieces.iter().map(String::as_str)));
            let gone = usize::from(gone) % (pieces.len() + 1);
            written.let_go(gone);
            prop_assert!(written.gone() <= gone);
            prop_assert_eq!((written.bytes(), written.pieces()), count);
            for (index, piece) in pieces.iter().enumerate() {
                let there = (index >= written.gone()).then_some(piece.as_str());
                prop_assert_eq!(written.piece(index), there);
            }
            prop_assert_eq!(written.piece(pieces.len()), None);
            written.push("그리고");
            prop_assert_eq!(written.piece(pieces.len()), Some("그리고"));
        }
    }

    #[test]
    fn pieces_of_nothing_and_one_of_everything_are_pieces() {
        let nothing = vec![String::new(); 5_000];
        assert_eq!(written(&nothing).after(0).count(), 5_000);
        let everything = [String::new(), "말".repeat(40_000), "끝".to_owned()];
        let mut written = written(&everything);
        assert_eq!(written.piece(1).map(str::len), Some(120_000));
        written.let_go(2);
        assert_eq!((written.gone(), written.piece(2)), (2, Some("끝")));
        written.let_go(3);
        assert_eq!((written.gone(), written.pieces(), written.piece(2)), (3, 3, None));
    }

    #[test]
    fn a_text_whose_pieces_are_not_known_is_one_piece() {
        for lengths in [None, Some(&[2, 4][..]), Some(&[3]), Some(&[3, 3, 1]), Some(&[u32::MAX])] {
            assert!(Written::of("하나", lengths).after(0).eq(["하나"]), "{lengths:?}");
        }
        assert_eq!(Written::of("", Some(&[7])).pieces(), 0);
        assert!(Written::of("하나", Some(&[3, 0, 3])).after(1).eq(["", "나"]));
    }

    #[test]
    fn a_long_reply_of_short_pieces_takes_little_more_than_its_text() {
        let pieces = vec!["일곱 바".to_owned(); 3_000];
        let mut written = written(&pieces);
        let kept = |written: &Written| -> usize {
            written.parts.iter().map(|part| part.text.capacity() + 2 * part.starts.capacity()).sum()
        };
        assert!(kept(&written) < 2 * written.bytes(), "{} bytes for {}", kept(&written), written.bytes());
        written.let_go(2_950);
        assert!(kept(&written) < 2 * PART, "{} bytes of parts that are gone", kept(&written));
    }
}
