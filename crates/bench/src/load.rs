//! Requests that differ, on kept-alive connections: every one with its own number, each answer's status counted.
//!
//! Written and read by hand on a thread of its own. On a machine where the server, the database and this share the cores,
//! whatever this costs is missing in the figure.

use std::{
    cell::Cell,
    collections::BTreeMap,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::LocalSet,
    time::sleep_until,
};

use crate::trouble::Trouble;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Size of the buffer for one answer.
const BUFFER: usize = 8_192;

/// Writes the request of a number; `false` when there are no more.
pub(crate) type Write = dyn Fn(u64, &mut Vec<u8>) -> bool + Send + Sync;

/// How requests follow each other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// The next one as soon as the one before is answered, for so long.
    Closed(Duration),
    /// The same until so many were sent.
    Count(u64),
    /// So many a second for so long, whatever the answers take.
    Open(u32, Duration),
}

/// What was answered.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    /// How long each took, sorted; of an open pace from when it was due, so that a queue counts.
    pub(crate) times: Vec<Duration>,
    pub(crate) statuses: BTreeMap<u16, u64>,
    /// From the first request to the last answer.
    pub(crate) wall: Duration,
    /// The number after the last one.
    pub(crate) next: u64,
}

impl Answered {
    pub(crate) fn count(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or_default()
    }

    /// Names every status but `status`, with how often it came: `none`, or `409 x 12`.
    pub(crate) fn others(&self, status: u16) -> String {
        let others = self.statuses.iter().filter(|(other, _)| **other != status);
        let named: Vec<String> = others.map(|(other, count)| format!("{other} x {count}")).collect();
        if named.is_empty() { "none".to_owned() } else { named.join(", ") }
    }
}

/// Sends requests from number `first` on, over so many connections.
pub(crate) async fn send(
    address: SocketAddr,
    connections: u32,
    pace: Pace,
    first: u64,
    write: Box<Write>,
) -> Result<Answered, Trouble> {
    let sending = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, send_all(address, connections, pace, first, write.into()))
    });
    sending.await.map_err(|fault| Trouble::Broken(format!("the load ended early: {fault}")))?
}

/// What the connections share.
struct Shared {
    write: Rc<Write>,
    pace: Pace,
    first: u64,
    next: Cell<u64>,
    begun: Instant,
}

impl Shared {
    /// Takes the next number, and when it is due.
    fn take(&self) -> Option<(u64, Option<Instant>)> {
        let number = self.next.get();
        let done = number - self.first;
        let due = match self.pace {
            Pace::Closed(duration) if self.begun.elapsed() >= duration => return None,
            Pace::Count(count) if done >= count => return None,
            Pace::Closed(_) | Pace::Count(_) => None,
            Pace::Open(rate, duration) => {
                let after = Duration::from_nanos(done.saturating_mul(1_000_000_000) / u64::from(rate.max(1)));
                if after >= duration {
                    return None;
                }
                Some(self.begun + after)
            }
        };
        self.next.set(number + 1);
        Some((number, due))
    }
}

async fn send_all(
    address: SocketAddr,
    connections: u32,
    pace: Pace,
    first: u64,
    write: Rc<Write>,
) -> Result<Answered, Trouble> {
    let mut streams = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    let shared = Rc::new(Shared { write, pace, first, next: Cell::new(first), begun: Instant::now() });
    let tasks: Vec<_> =
        streams.into_iter().map(|stream| tokio::task::spawn_local(one_by_one(stream, shared.clone()))).collect();
    let mut answered = Answered::default();
    for task in tasks {
        let part = task.await.map_err(|fault| Trouble::Broken(format!("a connection's end: {fault}")))??;
        answered.times.extend(part.times);
        for (status, count) in part.statuses {
            *answered.statuses.entry(status).or_default() += count;
        }
    }
    answered.wall = shared.begun.elapsed();
    answered.next = shared.next.get();
    answered.times.sort_unstable();
    Ok(answered)
}

/// Sends on one connection until there is nothing to send.
async fn one_by_one(mut stream: TcpStream, shared: Rc<Shared>) -> Result<Answered, Trouble> {
    let mut answered = Answered::default();
    let (mut request, mut read) = (Vec::with_capacity(BUFFER), Vec::with_capacity(BUFFER));
    while let Some((number, due)) = shared.take() {
        request.clear();
        if !(shared.write)(number, &mut request) {
            return Err(Trouble::Broken("the load ran out of people: choose a shorter time".to_owned()));
        }
        if let Some(due) = due {
            sleep_until(due.into()).await;
        }
        let begun = due.unwrap_or_else(Instant::now);
        stream.write_all(&request).await?;
        let answer = tokio::time::timeout(PATIENCE, read_status(&mut stream, &mut read)).await;
        let status = answer.map_err(|_late| Trouble::Broken("an answer did not come".to_owned()))??;
        answered.times.push(begun.elapsed());
        *answered.statuses.entry(status).or_default() += 1;
    }
    Ok(answered)
}

/// Reads one whole answer, which must state its length, and returns its status.
async fn read_status(stream: &mut TcpStream, read: &mut Vec<u8>) -> Result<u16, Trouble> {
    read.clear();
    loop {
        if stream.read_buf(read).await? == 0 {
            return Err(Trouble::Broken("the connection was closed".to_owned()));
        }
        if let Some((status, length)) = parse(read)?
            && read.len() >= length
        {
            return Ok(status);
        }
    }
}

/// Returns an answer's status and its length in bytes with its head, or none while the head is not all there.
fn parse(read: &[u8]) -> Result<Option<(u16, usize)>, Trouble> {
    let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = read.get(..end).unwrap_or_default();
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines.next().and_then(|line| number(line.get(9..12)?));
    let length = lines.find_map(|line| {
        let (name, value) = line.split_at_checked("content-length:".len())?;
        name.eq_ignore_ascii_case(b"content-length:").then(|| number(value))?
    });
    let complaint = || Trouble::Broken(format!("an answer without a length: {}", String::from_utf8_lossy(head)));
    let status = status.and_then(|status| u16::try_from(status).ok()).ok_or_else(complaint)?;
    Ok(Some((status, end + 4 + length.ok_or_else(complaint)?)))
}

fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_it_says() {
        let answer = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\nx: y\r\n\r\n{}";
        assert_eq!(parse(answer).unwrap(), Some((201, answer.len())));
        assert_eq!(parse(b"HTTP/1.1 201 Created\r\n").unwrap(), None);
        assert!(parse(b"HTTP/1.1 201 Created\r\nx: y\r\n\r\n").is_err());
    }

    #[test]
    fn every_status_but_one_is_named() {
        let statuses = BTreeMap::from([(201, 9), (409, 2), (503, 1)]);
        let answered = Answered { statuses, ..Answered::default() };
        assert_eq!(answered.others(201), "409 x 2, 503 x 1");
        assert_eq!(answered.count(409), 2);
    }
}
