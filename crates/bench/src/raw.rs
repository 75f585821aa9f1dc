//! Requests on plain connections, written and read by hand: a client library would cost more than what is measured.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use url::Url;

use crate::trouble::Trouble;

/// One GET, again and again.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    address: (String, u16),
    text: String,
}

impl Request {
    pub(crate) fn new(url: &str, token: Option<&str>) -> Result<Self, Trouble> {
        let url = Url::parse(url).map_err(|fault| Trouble::Broken(fault.to_string()))?;
        let (host, port) = (url.host_str().unwrap_or_default(), url.port().unwrap_or(80));
        let bearer = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let text = format!("GET {} HTTP/1.1\r\nhost: {host}:{port}\r\n{bearer}\r\n", url.path());
        Ok(Self { address: (host.to_owned(), port), text })
    }

    /// Opens a connection to ask on.
    pub(crate) async fn connect(&self) -> Result<Asking<'_>, Trouble> {
        let (host, port) = &self.address;
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        stream.set_nodelay(true)?;
        Ok(Asking { stream, text: self.text.as_bytes(), read: Vec::with_capacity(4_096) })
    }

    /// Asks on so many connections as fast as the answers come; returns the sorted times.
    pub(crate) async fn flood(&self, connections: u32, duration: Duration) -> Result<Vec<Duration>, Trouble> {
        let until = Instant::now() + duration;
        let mut asking = JoinSet::new();
        for _ in 0..connections {
            let request = self.clone();
            asking.spawn(async move {
                let (mut connection, mut times) = (request.connect().await?, Vec::new());
                let mut begun = Instant::now();
                while begun < until {
                    connection.ask().await?;
                    let answered = Instant::now();
                    times.push(answered - begun);
                    begun = answered;
                }
                Ok::<_, Trouble>(times)
            });
        }
        let mut times = Vec::new();
        for asked in asking.join_all().await {
            times.extend(asked?);
        }
        times.sort_unstable();
        Ok(times)
    }
}

/// A connection with a request to ask on it.
pub(crate) struct Asking<'a> {
    stream: TcpStream,
    text: &'a [u8],
    read: Vec<u8>,
}

impl Asking<'_> {
    /// Asks and reads the answer, which must be 200 and state its length.
    pub(crate) async fn ask(&mut self) -> Result<(), Trouble> {
        self.stream.write_all(self.text).await?;
        self.read.clear();
        loop {
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(Trouble::Broken("the connection was closed".to_owned()));
            }
            let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(self.read.get(..end).unwrap_or_default()).to_ascii_lowercase();
            if !head.starts_with("http/1.1 200") {
                return Err(Trouble::Broken(head.lines().next().unwrap_or_default().to_owned()));
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            let length: usize = length.ok_or_else(|| Trouble::Broken("an answer without a length".to_owned()))?;
            if self.read.len() >= end + 4 + length {
                return Ok(());
            }
        }
    }
}
