//! One SMTP connection.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{Mail, State};

/// Longest line read, with its end; RFC 5321 (4.5.3.1.6) asks for 1,000 bytes, and a sender that forgets to wrap its
/// text is for a test to find out from the message.
const LINE_MAX: u64 = 1 << 20;
/// Largest message kept.
const MESSAGE_MAX: usize = 10 << 20;
/// What every answer to a greeting offers; as one keyword each line.
const OFFERS: &str = "250-maru.test\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 10485760";

/// What the client has said about the message it is about to send.
#[derive(Default)]
struct Envelope {
    from: Option<String>,
    to: Vec<String>,
}

struct Conversation {
    reads: BufReader<OwnedReadHalf>,
    writes: OwnedWriteHalf,
    state: Arc<State>,
    greeted: bool,
    envelope: Envelope,
}

/// Serves a connection to its end.
pub(super) async fn hold(stream: TcpStream, state: Arc<State>) {
    // Without this, Nagle's algorithm would add a latency nobody asked for.
    _ = stream.set_nodelay(true);
    let (reads, writes) = stream.into_split();
    let reads = BufReader::new(reads);
    let mut conversation = Conversation { reads, writes, state, greeted: false, envelope: Envelope::default() };
    // A client that goes away in the middle is none of the server's business.
    _ = conversation.run().await;
}

impl Conversation {
    async fn run(&mut self) -> io::Result<()> {
        self.reply("220 maru.test ESMTP").await?;
        while let Some(line) = self.read_line().await? {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" => self.greet(OFFERS).await?,
                "HELO" => self.greet("250 maru.test").await?,
                "MAIL" => self.mail(rest).await?,
                "RCPT" => self.recipient(rest).await?,
                "DATA" => self.data().await?,
                "RSET" => {
                    self.envelope = Envelope::default();
                    self.reply("250 Forgotten").await?;
                }
                "NOOP" => self.reply("250 Still here").await?,
                "QUIT" => return self.reply("221 Goodbye").await,
                _ => self.reply("502 Not known here").await?,
            }
        }
        Ok(())
    }

    /// Reads a line with its end; nothing at the end of the stream.
    async fn read_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        (&mut self.reads).take(LINE_MAX).read_until(b'\n', &mut line).await?;
        Ok(line.ends_with(b"\n").then_some(line))
    }

    async fn reply(&mut self, lines: &str) -> io::Result<()> {
        // The sender lives as long as the state, so this waits for speech and for nothing else.
        _ = self.state.silent.subscribe().wait_for(|silent| !silent).await;
        self.writes.write_all(format!("{lines}\r\n").as_bytes()).await
    }

    async fn greet(&mut self, welcome: &str) -> io::Result<()> {
        self.greeted = true;
        self.envelope = Envelope::default();
        self.reply(welcome).await
    }

    async fn mail(&mut self, rest: &str) -> io::Result<()> {
        if !self.greeted || self.envelope.from.is_some() {
            return self.reply("503 Not now").await;
        }
        let Some(from) = path(rest, "FROM:") else { return self.reply("501 MAIL FROM:<address>").await };
        self.envelope.from = Some(from);
        self.reply("250 Go on").await
    }

    async fn recipient(&mut self, rest: &str) -> io::Result<()> {
        if self.envelope.from.is_none() {
            return self.reply("503 MAIL comes first").await;
        }
        match path(rest, "TO:").filter(|to| !to.is_empty()) {
            Some(to) => {
                self.envelope.to.push(to);
                self.reply("250 Go on").await
            }
            None => self.reply("501 RCPT TO:<address>").await,
        }
    }

    async fn data(&mut self) -> io::Result<()> {
        if self.envelope.to.is_empty() {
            return self.reply("503 RCPT comes first").await;
        }
        self.reply("354 End with a dot on a line of its own").await?;
        let Some(data) = self.message().await? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        let Envelope { from, to } = std::mem::take(&mut self.envelope);
        if data.len() > MESSAGE_MAX {
            return self.reply("552 Too large").await;
        }
        match self.state.take(Mail { from: from.unwrap_or_default(), to, data }) {
            Ok(()) => self.reply("250 Kept").await,
            Err(status) => self.reply(&format!("{status} As the test says")).await,
        }
    }

    /// Reads a message up to the lonely dot; nothing when the stream ends before.
    ///
    /// What is too large is read to its end all the same, and kept in part, so that the refusal is heard.
    async fn message(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut data = Vec::new();
        while let Some(line) = self.read_line().await? {
            if line == b".\r\n" {
                return Ok(Some(data));
            }
            if data.len() <= MESSAGE_MAX {
                data.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            }
        }
        Ok(None)
    }
}

/// Reads the address of `FROM:<a@b> ...` or `TO:<a@b> ...`.
fn path(rest: &str, keyword: &str) -> Option<String> {
    let named = rest.get(..keyword.len()).is_some_and(|start| start.eq_ignore_ascii_case(keyword));
    let path = rest.get(keyword.len()..).filter(|_| named)?.trim_start().strip_prefix('<')?;
    path.split_once('>').map(|(address, _)| address.to_owned())
}
