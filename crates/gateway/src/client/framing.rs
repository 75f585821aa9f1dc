//! Where the body of an answer ends, and what of the bytes read belongs to it.

use std::io;

use bytes::{Buf, Bytes, BytesMut};

use super::answer::unreadable;

/// Most bytes between two chunks, and of the trailers: nobody reads them.
const EXTRA_MAX: usize = 8 * 1024;

/// What is left of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Nothing.
    Ended,
    /// So many bytes, at least one.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
    /// Everything until the connection closes.
    UntilClose,
}

/// Where in a chunked body the next byte stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chunked {
    at: At,
    /// The size of the chunk as far as it was read, then what is left of it.
    left: u64,
    extra: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    SizeStart,
    Size,
    Extension,
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    /// The beginning of a trailer's line; an empty one ends the body.
    TrailerStart,
    Trailer,
    TrailerEnd,
    LastEnd,
    Ended,
}

impl Framing {
    /// A body of so many bytes.
    pub(super) const fn length(length: u64) -> Self {
        if length == 0 { Self::Ended } else { Self::Length(length) }
    }

    /// A body in chunks.
    pub(super) const fn chunked() -> Self {
        Self::Chunked(Chunked { at: At::SizeStart, left: 0, extra: 0 })
    }

    /// Takes the next piece of the body off the front of what was read; none when more must be read first, or when the
    /// body has ended.
    ///
    /// # Errors
    /// Refuses chunks that are not as the standard has them.
    pub(super) fn take(&mut self, read: &mut BytesMut) -> io::Result<Option<Bytes>> {
        let piece = match self {
            Self::Ended => return Ok(None),
            Self::UntilClose => read.split(),
            Self::Length(left) => {
                let piece = read.split_to(at_most(*left, read.len()));
                *left -= piece.len() as u64;
                piece
            }
            Self::Chunked(chunked) => chunked.take(read)?,
        };
        if matches!(self, Self::Length(0) | Self::Chunked(Chunked { at: At::Ended, .. })) {
            *self = Self::Ended;
        }
        Ok((!piece.is_empty()).then(|| piece.freeze()))
    }

    /// Takes note that the connection was closed.
    ///
    /// # Errors
    /// Returns an error when the body is not whole.
    pub(super) fn close(&mut self) -> io::Result<()> {
        match self {
            Self::Ended | Self::UntilClose => {
                *self = Self::Ended;
                Ok(())
            }
            Self::Length(_) | Self::Chunked(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Chunked {
    fn take(&mut self, read: &mut BytesMut) -> io::Result<BytesMut> {
        while self.at != At::Ended {
            if self.at == At::Data {
                let piece = read.split_to(at_most(self.left, read.len()));
                self.left -= piece.len() as u64;
                if self.left == 0 {
                    self.at = At::DataReturn;
                }
                return Ok(piece);
            }
            let Some(&byte) = read.first() else { break };
            read.advance(1);
            self.at = self.step(byte)?;
        }
        Ok(BytesMut::new())
    }

    /// Reads one byte of what is not data.
    fn step(&mut self, byte: u8) -> io::Result<At> {
        Ok(match (self.at, byte) {
            (At::SizeStart | At::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                let left = self.left.checked_mul(16).ok_or_else(|| unreadable("a chunk's size is too large"))?;
                self.left = left + u64::from(digit);
                if self.at == At::SizeStart {
                    self.extra = 0;
                }
                self.extra(At::Size)?
            }
            (At::Size, b';') => At::Extension,
            (At::Size | At::Extension, b'\r') => At::SizeEnd,
            (At::Extension | At::Trailer, b' '..=b'~' | b'\t' | 0x80..) => self.extra(self.at)?,
            (At::SizeEnd, b'\n') if self.left == 0 => At::TrailerStart,
            (At::SizeEnd, b'\n') => At::Data,
            (At::DataReturn, b'\r') => At::DataEnd,
            (At::DataEnd, b'\n') => At::SizeStart,
            (At::TrailerStart, b'\r') => At::LastEnd,
            (At::TrailerStart, b'!'..=b'~') => self.extra(At::Trailer)?,
            (At::Trailer, b'\r') => At::TrailerEnd,
            (At::TrailerEnd, b'\n') => At::TrailerStart,
            (At::LastEnd, b'\n') => At::Ended,
            _ => return Err(unreadable("a chunk is not as it should be")),
        })
    }

    fn extra(&mut self, next: At) -> io::Result<At> {
        self.extra += 1;
        if self.extra > EXTRA_MAX { Err(unreadable("too much beside the chunks")) } else { Ok(next) }
    }
}

fn at_most(left: u64, available: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(available)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::client::answer::{Parsed, parse};

    /// What came out of an answer: its status, its body, and what was left over.
    type Read = (u16, Vec<u8>, Vec<u8>);

    /// Reads an answer that arrives in these pieces, after which the connection is closed.
    fn read<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> io::Result<Read> {
        let (mut buffer, mut body, mut parsed) = (BytesMut::new(), Vec::new(), None);
        for piece in pieces {
            buffer.extend_from_slice(piece);
            if parsed.is_none() {
                parsed = parse(&mut buffer)?;
            }
            if let Some(Parsed { framing, .. }) = &mut parsed {
                while let Some(piece) = framing.take(&mut buffer)? {
                    body.extend_from_slice(&piece);
                }
            }
        }
        let Parsed { head, mut framing, .. } = parsed.ok_or(io::ErrorKind::UnexpectedEof)?;
        framing.close()?;
        Ok((head.status.as_u16(), body, buffer.to_vec()))
    }

    fn chunks(body: &str) -> io::Result<Read> {
        read([format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}").as_bytes()])
    }

    #[test]
    fn chunks_are_put_together() {
        for (sent, body, rest) in [
            ("0\r\n\r\n", "", ""),
            ("5\r\nhello\r\n0\r\n\r\nHTTP", "hello", "HTTP"),
            ("5;a=\"b\"\r\nhello\r\n00A\r\n, people..\r\n0;x\r\ntrailer: 1\r\nb: 2\r\n\r\n", "hello, people..", ""),
        ] {
            assert_eq!(chunks(sent).unwrap(), (200, body.into(), rest.into()), "{sent:?}");
        }
    }

    #[test]
    fn chunks_that_are_not_as_they_should_be_are_refused() {
        let extension = "a".repeat(EXTRA_MAX + 1);
        for bad in [
            "\r\n",
            "x\r\n",
            "-1\r\na\r\n0\r\n\r\n",
            "+1\r\na\r\n0\r\n\r\n",
            " 1\r\na\r\n0\r\n\r\n",
            "1 \r\na\r\n0\r\n\r\n",
            "0x1\r\na\r\n0\r\n\r\n",
            "1\na\r\n0\r\n\r\n",
            "1\r\nab\r\n0\r\n\r\n",
            "1\r\na\n0\r\n\r\n",
            "1\r\na0\r\n\r\n",
            "1;a\nb\r\na\r\n0\r\n\r\n",
            "1;a\0\r\na\r\n0\r\n\r\n",
            "10000000000000000\r\na",
            "0\r\n\n",
            "0\r\n folded\r\n\r\n",
            "0\r\na: 1\n\r\n",
            "1\r\na\r\n",
            "5\r\nhel",
            "0\r\n",
            &format!("1;{extension}\r\na\r\n0\r\n\r\n"),
            &format!("{}1\r\na\r\n0\r\n\r\n", "0".repeat(EXTRA_MAX + 1)),
            &format!("0\r\nx: {extension}\r\n\r\n"),
        ] {
            assert!(chunks(bad).is_err(), "{:?}", bad.get(..50).unwrap_or(bad));
        }
    }

    #[test]
    fn a_body_that_breaks_off_is_not_whole() {
        assert!(read([&b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell"[..]]).is_err());
        let until_close = read([&b"HTTP/1.1 200 OK\r\n\r\n"[..], b"any", b"thing"]);
        assert_eq!(until_close.unwrap(), (200, b"anything".to_vec(), Vec::new()));
    }

    /// Answers of every sort, some of them cut off or changed in one byte.
    fn answers() -> impl Strategy<Value = Vec<u8>> {
        let body = prop::collection::vec(any::<u8>(), 0..200);
        let with_length = body.clone().prop_map(|body| {
            let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
            answer.extend_from_slice(&body);
            answer
        });
        let in_chunks = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6).prop_map(|chunks| {
            let mut answer = b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\nx: y\r\n\r\n".to_vec();
            for chunk in chunks {
                answer.extend_from_slice(format!("{:x};e=1\r\n", chunk.len()).as_bytes());
                answer.extend_from_slice(&chunk);
                answer.extend_from_slice(b"\r\n");
            }
            answer.extend_from_slice(b"0\r\ntrailer: 1\r\n\r\n");
            answer
        });
        let until_close = body.prop_map(|body| [&b"HTTP/1.0 200 OK\r\n\r\n"[..], &body].concat());
        let whole = prop_oneof![with_length, in_chunks, until_close];
        (whole, any::<prop::sample::Index>(), any::<u8>(), 0..4_u8).prop_map(|(mut answer, at, byte, change)| {
            let at = at.index(answer.len());
            match change {
                0 => answer.truncate(at),
                1 => answer[at] = byte,
                2 => answer.insert(at, byte),
                _ => {}
            }
            answer
        })
    }

    proptest! {
        #[test]
        fn it_does_not_matter_in_which_pieces_an_answer_arrives(
            answer in answers(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(answer.len().max(1))).collect();
            cuts.extend([0, answer.len()]);
            cuts.retain(|cut| *cut <= answer.len());
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &answer[cut[0]..cut[1]]);
            let in_pieces = read(pieces).map_err(|error| error.kind());
            let byte_by_byte = read(answer.chunks(1)).map_err(|error| error.kind());
            let at_once = read([&answer[..]]).map_err(|error| error.kind());
            prop_assert_eq!(&in_pieces, &at_once);
            prop_assert_eq!(&byte_by_byte, &at_once);
        }
    }
}
