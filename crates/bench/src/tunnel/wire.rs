//! The bytes of an upgrade by hand: a library sends the first frame only after it has read the answer, and what is to
//! be measured is what happens to bytes that come earlier.

use std::io;

use tokio::{io::AsyncReadExt, net::TcpStream};
use tokio_tungstenite::tungstenite::protocol::frame::{
    Frame,
    coding::{Data, OpCode},
};

/// The longest head that is read.
const HEAD_LIMIT: usize = 16 * 1024;

/// A request's or an answer's head, and what came with it.
#[derive(Debug)]
pub(crate) struct Head {
    /// Everything before the empty line.
    pub(crate) text: String,
    /// Everything after it that has arrived already.
    pub(crate) rest: Vec<u8>,
}

impl Head {
    /// Reads up to the end of the head.
    pub(crate) async fn read(stream: &mut TcpStream) -> io::Result<Self> {
        let mut bytes = Vec::with_capacity(2048);
        loop {
            if let Some(head) = Self::split(&bytes) {
                return Ok(head);
            }
            if bytes.len() > HEAD_LIMIT {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the head does not end"));
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn split(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let (head, rest) = (bytes.get(..end)?, bytes.get(end + 4..)?);
        Some(Self { text: String::from_utf8_lossy(head).into_owned(), rest: rest.to_vec() })
    }

    /// Returns a field's value.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.text.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(field, _)| field.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// Returns an answer's status.
    pub(crate) fn status(&self) -> Option<u16> {
        self.text.split_whitespace().nth(1)?.parse().ok()
    }
}

/// Returns the bytes of one whole message, masked as a client must if `mask` is given.
pub(crate) fn frame(kind: Data, payload: &[u8], mask: Option<[u8; 4]>) -> io::Result<Vec<u8>> {
    let mut frame = Frame::message(payload.to_vec(), OpCode::Data(kind), true);
    frame.header_mut().mask = mask;
    let mut bytes = Vec::with_capacity(payload.len() + 14);
    frame.format(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_split_from_early_bytes() {
        let bytes =
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nsec-websocket-accept:  x=\r\n\r\n\x81\x02hi";
        let head = Head::split(bytes).unwrap();
        assert_eq!(head.status(), Some(101));
        assert_eq!(head.field("Sec-WebSocket-Accept"), Some("x="));
        assert_eq!(head.field("upgrade"), Some("websocket"));
        assert_eq!(head.field("connection"), None);
        assert_eq!(head.rest, b"\x81\x02hi");
        assert!(Head::split(&bytes[..40]).is_none());
    }

    #[test]
    fn frames_are_written_and_masked() {
        assert_eq!(frame(Data::Text, b"hi", None).unwrap(), b"\x81\x02hi");
        assert_eq!(frame(Data::Binary, b"\x01\x02", Some([1, 1, 1, 1])).unwrap(), b"\x82\x82\x01\x01\x01\x01\x00\x03");
    }
}
