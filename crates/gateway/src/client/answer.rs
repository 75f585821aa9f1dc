//! The head of an answer: read once, refused when it could be read in two ways, and kept as the bytes it came in.

use std::{io, mem::MaybeUninit, ops::Range};

use actix_web::http::StatusCode;
use bytes::BytesMut;

use super::framing::Framing;

/// Largest head, with the interim answers before it counted one by one.
const HEAD_MAX: usize = 64 * 1024;
/// Most headers of one answer.
const HEADERS_MAX: usize = 128;

/// The status and the headers of an answer.
#[derive(Debug)]
pub struct AnswerHead {
    /// The status.
    pub status: StatusCode,
    bytes: BytesMut,
    headers: Vec<Header>,
}

/// Where in the head a header is.
#[derive(Debug)]
struct Header {
    name: Range<usize>,
    value: Range<usize>,
}

impl AnswerHead {
    /// Returns every header, names in lower case.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|header| {
            let name = str::from_utf8(self.part(&header.name)).unwrap_or_default();
            (name, self.part(&header.value))
        })
    }

    /// Returns the values of a header, by its name in lower case.
    pub fn all<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
        let named = self.headers.iter().filter(move |header| self.part(&header.name) == name.as_bytes());
        named.map(|header| self.part(&header.value))
    }

    /// Returns whether a header is there, by its name in lower case.
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// Returns whether a comma-separated header, by its name in lower case, names an option.
    pub fn has_option(&self, name: &str, option: &str) -> bool {
        let mut options = self.all(name).flat_map(|line| line.split(|byte| *byte == b','));
        options.any(|given| given.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }
}

/// What a head says, to the client and to us.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) head: AnswerHead,
    /// Where the body ends.
    pub(super) framing: Framing,
    /// Whether the connection can be used again after it.
    pub(super) keeps_alive: bool,
}

/// Takes a head off the front of what was read, once it is all there.
///
/// # Errors
/// Refuses what is no head of HTTP/1.x, what is too large, and what leaves in doubt where the answer ends.
pub(super) fn parse(read: &mut BytesMut) -> io::Result<Option<Parsed>> {
    let Some((length, status, version, headers)) = scan(read)? else { return Ok(None) };
    for header in &headers {
        if let Some(name) = read.get_mut(header.name.clone()) {
            name.make_ascii_lowercase();
        }
    }
    let head = AnswerHead { status, bytes: read.split_to(length), headers };
    let has_connection_close = head.has_option("connection", "close");
    let framing = framing(&head, version)?;
    // What has no body and speaks of one may be followed by one.
    let speaks_of_a_body = head.has("transfer-encoding") || head.all("content-length").any(|length| length != b"0");
    let is_odd = status == StatusCode::NO_CONTENT && speaks_of_a_body;
    // After 101 it is another protocol's.
    let goes_on = status != StatusCode::SWITCHING_PROTOCOLS && framing != Framing::UntilClose;
    let keeps_alive = version == 1 && goes_on && !has_connection_close && !is_odd;
    Ok(Some(Parsed { head, framing, keeps_alive }))
}

type Scanned = (usize, StatusCode, u8, Vec<Header>);

fn scan(read: &[u8]) -> io::Result<Option<Scanned>> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let parsed =
        httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, read, &mut headers);
    let length = match parsed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))? {
        httparse::Status::Complete(length) if length <= HEAD_MAX => length,
        httparse::Status::Partial if read.len() < HEAD_MAX => return Ok(None),
        _ => return Err(unreadable("the head is too large")),
    };
    let status = StatusCode::from_u16(response.code.unwrap_or_default())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let within = |part: &[u8]| {
        let start = part.as_ptr().addr().saturating_sub(read.as_ptr().addr());
        start..start + part.len()
    };
    let headers = response.headers.iter();
    let headers = headers.map(|h| Header { name: within(h.name.as_bytes()), value: within(h.value) }).collect();
    Ok(Some((length, status, response.version.unwrap_or_default(), headers)))
}

fn framing(head: &AnswerHead, version: u8) -> io::Result<Framing> {
    let mut codings = head.all("transfer-encoding");
    let coding = codings.next();
    let length = length(head)?;
    if coding.is_some() && (length.is_some() || codings.next().is_some() || version != 1) {
        return Err(unreadable("the head leaves in doubt where the answer ends"));
    }
    let has_no_body =
        head.status.is_informational() || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    match (coding, length) {
        (Some(coding), _) if !coding.eq_ignore_ascii_case(b"chunked") => Err(unreadable("an unknown transfer coding")),
        _ if has_no_body => Ok(Framing::Ended),
        (Some(_chunked), _) => Ok(Framing::chunked()),
        (None, Some(length)) => Ok(Framing::length(length)),
        (None, None) => Ok(Framing::UntilClose),
    }
}

/// Reads `Content-Length`; said twice, it must be said alike.
fn length(head: &AnswerHead) -> io::Result<Option<u64>> {
    let mut lengths = head.all("content-length");
    let Some(first) = lengths.next() else { return Ok(None) };
    if !lengths.all(|other| other == first) {
        return Err(unreadable("two lengths"));
    }
    // `parse` alone would take a sign.
    let digits = str::from_utf8(first).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let length = digits.and_then(|digits| digits.parse().ok());
    length.map(Some).ok_or_else(|| unreadable("the length is no number"))
}

pub(super) fn unreadable(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> io::Result<Option<Parsed>> {
        parse(&mut BytesMut::from(text.as_bytes()))
    }

    fn good(text: &str) -> Parsed {
        parsed(text).unwrap().unwrap()
    }

    #[test]
    fn a_head_is_read_and_the_rest_is_left() {
        let mut read = BytesMut::from("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\nx-a:2 \r\n\r\nokHTTP");
        let Parsed { head, framing, keeps_alive } = parse(&mut read).unwrap().unwrap();
        assert_eq!((head.status, &framing, keeps_alive), (StatusCode::OK, &Framing::Length(2), true));
        assert_eq!(&read[..], b"okHTTP");
        let headers: Vec<(&str, &[u8])> = head.headers().collect();
        let expected: [(&str, &[u8]); 3] = [("content-length", b"2"), ("x-a", b"1"), ("x-a", b"2")];
        assert_eq!(headers, expected);
        assert_eq!(head.all("x-a").collect::<Vec<_>>(), [b"1", b"2"]);
        assert!(head.has("x-a") && !head.has("x-b"));
    }

    #[test]
    fn where_an_answer_ends_is_understood() {
        let framing = |rest: &str| good(&format!("HTTP/1.1 {rest}\r\n\r\n")).framing;
        assert_eq!(framing("200 OK\r\ncontent-length: 0"), Framing::Ended);
        assert_eq!(framing("200 OK\r\ncontent-length: 5\r\ncontent-length: 5"), Framing::Length(5));
        assert_eq!(framing("200 OK\r\ntransfer-encoding: Chunked"), Framing::chunked());
        assert_eq!(framing("200 OK"), Framing::UntilClose);
        assert_eq!(framing("204 No Content"), Framing::Ended);
        assert_eq!(framing("304 Not Modified\r\ncontent-length: 5"), Framing::Ended);
        assert_eq!(framing("103 Early Hints"), Framing::Ended);
    }

    #[test]
    fn a_connection_is_kept_only_when_nothing_is_in_doubt() {
        let keeps = |text: &str| good(text).keeps_alive;
        assert!(keeps("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n"));
        assert!(keeps("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n"));
        assert!(keeps("HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n"));
        for last in [
            "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n",
            "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 1\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
            "HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\n",
            "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n",
        ] {
            assert!(!keeps(last), "{last:?}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let with = |headers: &str| format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n");
        let many = (0..200).map(|at| format!("x-{at}: 1")).collect::<Vec<_>>().join("\r\n");
        let bad = [
            "SSH-2.0-nonsense\r\n\r\n".to_owned(),
            "HTTP/2.0 200 OK\r\n\r\n".to_owned(),
            "HTTP/1.1 20 OK\r\n\r\n".to_owned(),
            "HTTP/1.1 099 OK\r\n\r\n".to_owned(),
            "HTTP/1.1 2000 OK\r\n\r\n".to_owned(),
            "HTTP/1.1 200 O\0K\r\n\r\n".to_owned(),
            with("content-length: 5\r\ntransfer-encoding: chunked"),
            with("content-length: 5\r\ncontent-length: 6"),
            with("content-length: 5, 5"),
            with("content-length: +5"),
            with("content-length: -1"),
            with("content-length: 0x5"),
            with("content-length: 5 5"),
            with("content-length:"),
            with("content-length: 18446744073709551616"),
            with("transfer-encoding: gzip, chunked"),
            with("transfer-encoding: xchunked"),
            with("transfer-encoding: chunked\r\ntransfer-encoding: chunked"),
            with("transfer-encoding:"),
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
            with("content-length : 5"),
            with("x: a\r\n continued"),
            with(" x: a"),
            with("x: a\0b"),
            with("x: a\rb"),
            with("x\0y: a"),
            with("no colon"),
            with(": no name"),
            with(&many),
            with(&format!("x: {}", "a".repeat(HEAD_MAX))),
            format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(HEAD_MAX)),
        ];
        for bad in bad {
            assert!(parsed(&bad).is_err(), "{:?}", bad.get(..200).unwrap_or(&bad));
        }
    }
}
