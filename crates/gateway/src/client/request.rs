//! The head of a request, written straight into the bytes that are sent.
//!
//! No value may begin a line of its own: whatever holds a control character makes the whole head unfit to be sent.

use std::io;

use http::HeaderValue;

use crate::{
    digits::{Digits, decimal},
    upload::Upload,
};

/// A head that is being written.
#[derive(Debug)]
pub struct RequestHead<'b> {
    bytes: &'b mut Vec<u8>,
    is_sound: bool,
    may_have_a_body: bool,
}

impl<'b> RequestHead<'b> {
    /// Begins with the request line; `target` is written piece after piece.
    pub(super) fn begin(bytes: &'b mut Vec<u8>, method: &str, target: &[&str]) -> Self {
        bytes.clear();
        bytes.extend_from_slice(method.as_bytes());
        bytes.push(b' ');
        for piece in target {
            bytes.extend_from_slice(piece.as_bytes());
        }
        let is_sound = bytes.get(method.len() + 1..).is_some_and(|target| target.iter().all(u8::is_ascii_graphic));
        bytes.extend_from_slice(b" HTTP/1.1\r\n");
        Self { bytes, is_sound, may_have_a_body: matches!(method, "POST" | "PUT" | "PATCH") }
    }

    /// Adds a header; its name is one of ours, or one that was read as a name before.
    pub fn line(&mut self, name: &str, value: &[u8]) {
        self.is_sound &= !has_control_character(value);
        self.known(name, [value]);
    }

    /// Adds a header whose value is of a type that holds no control characters.
    pub fn ours(&mut self, name: &str, value: &HeaderValue) {
        self.known(name, [value.as_bytes()]);
    }

    /// Adds a header whose value comes in pieces.
    pub fn pieces<'v>(&mut self, name: &str, value: impl IntoIterator<Item = &'v [u8], IntoIter: Clone>) {
        let pieces = value.into_iter();
        self.is_sound &= !pieces.clone().any(has_control_character);
        self.known(name, pieces);
    }

    /// Adds a header whose value is known to hold no control characters.
    fn known<'v>(&mut self, name: &str, value: impl IntoIterator<Item = &'v [u8]>) {
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b": ");
        for piece in value {
            self.bytes.extend_from_slice(piece);
        }
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Adds a header whose value is a number.
    pub fn number(&mut self, name: &str, value: u64) {
        self.known(name, [decimal(value, &mut Digits::default())]);
    }

    /// Says how long the body is; the client's own words for it are not repeated.
    pub fn body(&mut self, upload: Option<&Upload>) {
        match upload.map(Upload::length) {
            Some(Some(length)) => self.number("content-length", length),
            Some(None) => self.line("transfer-encoding", b"chunked"),
            None if self.may_have_a_body => self.line("content-length", b"0"),
            None => {}
        }
    }

    /// Ends the head.
    ///
    /// # Errors
    /// Refuses a head in which some value holds a control character.
    pub fn end(self) -> io::Result<()> {
        if !self.is_sound {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a control character in the head of a request"));
        }
        self.bytes.extend_from_slice(b"\r\n");
        Ok(())
    }
}

/// Looks at every byte whatever it finds, which goes many bytes at once.
fn has_control_character(value: &[u8]) -> bool {
    let is_one = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    value.iter().fold(0, |found, byte| found | u8::from(is_one(*byte))) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(target: &str, name: &str, value: &[u8]) -> io::Result<String> {
        let mut bytes = b"what was here before".to_vec();
        let mut head = RequestHead::begin(&mut bytes, "GET", &[target]);
        head.line(name, value);
        head.end()?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    #[test]
    fn a_head_is_written_as_the_standard_has_it() {
        assert_eq!(written("/a?b", "host", b"x:1").unwrap(), "GET /a?b HTTP/1.1\r\nhost: x:1\r\n\r\n");
        let mut bytes = Vec::new();
        let mut head = RequestHead::begin(&mut bytes, "POST", &["/api/v1/", "events", "?", "a=b"]);
        for number in [0, 7, 10, 65_536, u64::MAX] {
            head.number("x-n", number);
        }
        head.pieces("traceparent", [&b"00-"[..], b"1", b"-01"]);
        head.end().unwrap();
        let expected = "POST /api/v1/events?a=b HTTP/1.1\r\nx-n: 0\r\nx-n: 7\r\nx-n: 10\r\nx-n: 65536\r\n\
            x-n: 18446744073709551615\r\ntraceparent: 00-1-01\r\n\r\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn nothing_in_a_head_can_begin_another_line() {
        for bad in ["a\r\nx: y", "a\n", "\r", "\0", "a\x7f", "\x1b[0m"] {
            assert!(written("/", "accept", bad.as_bytes()).is_err(), "{bad:?}");
        }
        for bad in ["/ HTTP/1.1\r\nx: y", "/a b", "/\n", "/\0", "/\t", "/\u{e9}"] {
            assert!(written(bad, "accept", b"a").is_err(), "{bad:?}");
        }
        assert!(written("/", "accept", "tab\tand \u{e9}".as_bytes()).is_ok());
    }
}
