//! A Socket.IO client of few words: it comes in, joins a room, answers pings and counts what it is told.

use std::{
    collections::VecDeque,
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout_at},
};
use tokio_tungstenite::tungstenite::{handshake::client::generate_key, protocol::frame::coding::Data};

use super::frames::{Frames, Packet};
use crate::tunnel::wire::{self, Head};

/// Where Socket.IO is spoken.
const PATH: &str = "/socket.io/?EIO=4&transport=websocket";
/// The answer to a ping, as a frame whose mask changes nothing.
const PONG: [u8; 7] = [0x81, 0x81, 0, 0, 0, 0, b'3'];
/// Most bytes that are read at once.
const READ: usize = 8 * 1024;

/// Where clients come in, and what they join.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) address: SocketAddr,
    /// What a gateway would show the service.
    pub(super) bearer: Option<String>,
    /// The event of Socket.IO that joins a room.
    pub(super) join: &'static str,
    /// The id of the event whose room it is.
    pub(super) event_id: String,
}

/// Why a client is not in its room.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing more came until the deadline; says what was awaited.
    Hung(&'static str),
    /// The connection ended before.
    Lost(String),
    /// It was told that it may not.
    Refused(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hung(awaited) => write!(f, "hung, awaiting {awaited}"),
            Self::Lost(what) => write!(f, "lost, awaiting {what}"),
            Self::Refused(why) => write!(f, "refused: {why}"),
        }
    }
}

/// What all clients of a server have heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Seats that changed hands, told to one client each.
    pub(super) seats: AtomicU64,
    /// Connections that have ended.
    pub(super) ended: AtomicU64,
}

/// A client in its room.
#[derive(Debug)]
pub(super) struct Client {
    stream: TcpStream,
    frames: Frames,
    /// The beginnings of packets that nobody has looked at yet.
    waiting: VecDeque<Vec<u8>>,
}

impl Door {
    /// Comes in with `token` and joins the room, as a page does that has just opened.
    pub(super) async fn enter(&self, source: Ipv4Addr, token: &str, patience: Duration) -> Result<Client, Failure> {
        let deadline = Instant::now() + patience;
        let awaited = "the answer to the upgrade";
        let mut client = match timeout_at(deadline, self.open(source)).await {
            Err(_late) => return Err(Failure::Hung(awaited)),
            Ok(Err(fault)) if fault.kind() == io::ErrorKind::PermissionDenied => {
                return Err(Failure::Refused(fault.to_string()));
            }
            Ok(Err(fault)) => return Err(Failure::Lost(format!("{awaited}: {fault}"))),
            Ok(Ok(client)) => client,
        };
        client.hear("0{", "the handshake", deadline).await?;
        client.say(&format!("40{}", json!({ "token": token })), "the connection").await?;
        client.hear("40", "the connection", deadline).await?;
        let join = json!([self.join, { "eventId": self.event_id }]);
        client.say(&format!("420{join}"), "the answer to the join").await?;
        let answer = client.hear("430", "the answer to the join", deadline).await?;
        if answer.contains(r#""ok":true"#) { Ok(client) } else { Err(Failure::Refused(answer)) }
    }

    async fn open(&self, source: Ipv4Addr) -> io::Result<Client> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        socket.set_nodelay(true)?;
        let mut stream = socket.connect(self.address).await?;
        let bearer = self.bearer.as_ref().map(|token| format!("authorization: Bearer {token}\r\n"));
        let head = format!(
            "GET {PATH} HTTP/1.1\r\nhost: {}\r\n{}connection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: {}\r\n\r\n",
            self.address,
            bearer.unwrap_or_default(),
            generate_key()
        );
        stream.write_all(head.as_bytes()).await?;
        let head = Head::read(&mut stream).await?;
        if head.status() != Some(101) {
            let line = head.text.lines().next().unwrap_or_default().to_owned();
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, line));
        }
        let mut client = Client { stream, frames: Frames::default(), waiting: VecDeque::new() };
        client.keep(&head.rest).await?;
        Ok(client)
    }
}

impl Client {
    /// Listens until the connection ends.
    pub(super) async fn listen(mut self, heard: Arc<Heard>) {
        while self.stream.readable().await.is_ok() {
            let (mut seats, mut is_pinged, mut is_closed) = (0, false, false);
            let read = take(&self.stream, &mut self.frames, |packet| match packet {
                Packet::Seat => seats += 1,
                Packet::Ping => is_pinged = true,
                Packet::Close => is_closed = true,
                Packet::Other(_) => {}
            });
            if seats > 0 {
                heard.seats.fetch_add(seats, Ordering::Relaxed);
            }
            let answered = self.answer(is_pinged).await;
            if is_closed || read.and(answered).is_err() {
                break;
            }
        }
        heard.ended.fetch_add(1, Ordering::Relaxed);
    }

    async fn say(&mut self, packet: &str, awaited: &'static str) -> Result<(), Failure> {
        // The same mask for all: nobody on the way is to be protected from these bytes.
        let said = match wire::frame(Data::Text, packet.as_bytes(), Some([0x5a, 0xc3, 0x17, 0x88])) {
            Ok(frame) => self.stream.write_all(&frame).await,
            Err(fault) => Err(fault),
        };
        said.map_err(|fault| Failure::Lost(format!("{awaited}: {fault}")))
    }

    /// Waits for a packet that begins with `beginning`; others are passed over.
    async fn hear(&mut self, beginning: &str, awaited: &'static str, deadline: Instant) -> Result<String, Failure> {
        loop {
            while let Some(packet) = self.waiting.pop_front() {
                if packet.starts_with(beginning.as_bytes()) {
                    return Ok(String::from_utf8_lossy(&packet).into_owned());
                }
                if packet.starts_with(b"44") {
                    return Err(Failure::Refused(String::from_utf8_lossy(&packet).into_owned()));
                }
            }
            match timeout_at(deadline, self.read_on()).await {
                Err(_late) => return Err(Failure::Hung(awaited)),
                Ok(Err(fault)) => return Err(Failure::Lost(format!("{awaited}: {fault}"))),
                Ok(Ok(())) => {}
            }
        }
    }

    async fn read_on(&mut self) -> io::Result<()> {
        self.stream.readable().await?;
        let (waiting, mut is_pinged) = (&mut self.waiting, false);
        take(&self.stream, &mut self.frames, |packet| note(packet, waiting, &mut is_pinged))?;
        self.answer(is_pinged).await
    }

    /// Takes what came with the answer to the upgrade.
    async fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (waiting, mut is_pinged) = (&mut self.waiting, false);
        self.frames.push(bytes, |packet| note(packet, waiting, &mut is_pinged));
        self.answer(is_pinged).await
    }

    async fn answer(&mut self, is_pinged: bool) -> io::Result<()> {
        if is_pinged { self.stream.write_all(&PONG).await } else { Ok(()) }
    }
}

/// Notes a packet of a client that is on its way in.
fn note(packet: Packet<'_>, waiting: &mut VecDeque<Vec<u8>>, is_pinged: &mut bool) {
    match packet {
        Packet::Ping => *is_pinged = true,
        Packet::Other(start) => waiting.push_back(start.to_vec()),
        // Its end follows.
        Packet::Seat | Packet::Close => {}
    }
}

/// Reads what has come, into a buffer that no client keeps.
fn take(stream: &TcpStream, frames: &mut Frames, each: impl FnMut(Packet<'_>)) -> io::Result<()> {
    let mut buffer = [0; READ];
    match stream.try_read(&mut buffer) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(read) => {
            frames.push(buffer.get(..read).unwrap_or_default(), each);
            Ok(())
        }
        // Others may be faster than what was told.
        Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(fault) => Err(fault),
    }
}
