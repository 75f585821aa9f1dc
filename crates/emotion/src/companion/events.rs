//! Server-sent events of a provider: of each its data, as it comes.
//!
//! Read here and not by the client library, which has a task and a channel without an end for each stream: a model would
//! be read faster than anybody listens.

use std::{mem, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use reqwest::Response;
use tokio::time::timeout;

use super::failure::Failure;

/// Most bytes of an event that goes on; chunks of a reply have a few hundred.
const EVENT_MAX: usize = 256 * 1024;
/// How an API says that nothing more comes.
const DONE: &[u8] = b"[DONE]";
/// Longest to wait for the end of a response whose last event was read: a connection that is read to its end is used
/// again.
const GOODBYE: Duration = Duration::from_millis(20);

/// The events of one response.
pub(super) struct Events {
    body: BoxStream<'static, reqwest::Result<Bytes>>,
    lines: Lines,
}

impl Events {
    /// Reads the body of `response`. Its head is let go of: as long as it is there, so is the buffer it was read into.
    pub(super) fn new(response: Response) -> Self {
        Self { body: response.bytes_stream().boxed(), lines: Lines::default() }
    }

    /// Waits for the data of the next event; nothing after the last one.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, Failure> {
        loop {
            if let Some(data) = self.lines.event() {
                if data == DONE {
                    drop(timeout(GOODBYE, async { while let Some(Ok(_)) = self.body.next().await {} }).await);
                    return Ok(None);
                }
                return Ok(Some(data));
            }
            match self.body.next().await {
                Some(Ok(bytes)) => self.lines.take(&bytes)?,
                Some(Err(error)) => return Err(Failure::of(&error)),
                None => return Ok(None),
            }
        }
    }
}

/// Lines as they are put together, and the data of the event that they belong to.
#[derive(Default)]
struct Lines {
    unread: Vec<u8>,
    /// How much of it was read.
    read: usize,
    /// A carriage return was the last byte: a line feed after it ends no other line.
    after_return: bool,
    /// The values of the event's fields, each with a line feed behind it.
    data: Vec<u8>,
}

impl Lines {
    /// Takes in what has come.
    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.unread.drain(..self.read);
        self.read = 0;
        // What is left is an event that has begun; one read may bring many that are whole.
        if self.unread.len() + self.data.len() >= EVENT_MAX {
            return Err(Failure::Garbled);
        }
        self.unread.extend_from_slice(bytes);
        Ok(())
    }

    /// Returns the data of the next event that is whole. One without data is none.
    fn event(&mut self) -> Option<Vec<u8>> {
        loop {
            let mut rest = self.unread.get(self.read..)?;
            if self.after_return && !rest.is_empty() {
                self.after_return = false;
                if let Some(behind) = rest.strip_prefix(b"\n") {
                    self.read += 1;
                    rest = behind;
                }
            }
            let (line, end) = rest.split_at_checked(rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?)?;
            self.after_return = end.starts_with(b"\r");
            self.read += line.len() + 1;
            if let Some(value) = data_of(line) {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            } else if line.is_empty() && !self.data.is_empty() {
                self.data.pop();
                return Some(mem::take(&mut self.data));
            }
        }
    }
}

/// Returns the value of a line whose field is `data`.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"data")?;
    match rest.strip_prefix(b":") {
        Some(value) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        None => rest.is_empty().then_some(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parts: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut events) = (Lines::default(), Vec::new());
        for part in parts {
            lines.take(part).unwrap();
            events.extend(std::iter::from_fn(|| lines.event()).map(|data| String::from_utf8(data).unwrap()));
        }
        events
    }

    #[test]
    fn events_are_the_same_however_they_are_cut_and_whatever_ends_a_line() {
        let text =
            ": hello\nevent: x\nid: 1\ndata: 하나\n\ndata:둘\ndata:  셋\ndata\n\nretry: 5\n\ndatax: no\n\ndata: 넷\n\n";
        let expected = ["하나", "둘\n 셋\n", "넷"];
        for end in ["\n", "\r\n", "\r"] {
            let bytes = text.replace('\n', end).into_bytes();
            assert_eq!(read(&[&bytes]), expected);
            for cut in 0..bytes.len() {
                let (first, second) = bytes.split_at(cut);
                assert_eq!(read(&[first, second]), expected, "{end:?} cut at {cut}");
            }
            assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>()), expected);
        }
    }

    #[test]
    fn what_breaks_off_is_no_event() {
        assert_eq!(read(&[b"data: one\n\ndata: two\n"]), ["one"]);
        assert_eq!(read(&[b"data: one\n\ndata: two"]), ["one"]);
    }

    #[test]
    fn an_event_without_an_end_is_not_kept() {
        let mut lines = Lines::default();
        let part = vec![b'a'; 64 * 1024];
        let taken = (0..8).take_while(|_| lines.take(&part).is_ok() && lines.event().is_none()).count();
        assert_eq!(taken, 4);
        let (mut lines, mut taken) = (Lines::default(), 0);
        while lines.take(&[b"data: ", part.as_slice(), b"\n"].concat()).is_ok() && lines.event().is_none() {
            taken += 1;
            assert!(taken < 8, "fields that never end are kept");
        }
    }
}
