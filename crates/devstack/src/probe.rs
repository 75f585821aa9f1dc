//! Asking whether something is there.
//!
//! Short questions over plain TCP with short limits; an answer that does not come is a no.

use std::{net::Ipv4Addr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(2);

/// The longest answer that is read: a status line is all that is wanted.
const ENOUGH: u64 = 64;

/// Whether something listens at `host:port`.
pub(crate) async fn listens(host: &str, port: u16) -> bool {
    tokio::time::timeout(LIMIT, TcpStream::connect((host, port))).await.is_ok_and(|connected| connected.is_ok())
}

/// Whether a Redis answers PING.
pub(crate) async fn redis(port: u16) -> bool {
    ask(port, "PING\r\n", 7).await.is_some_and(|answer| answer == "+PONG\r\n")
}

/// The beginning of what a Redis answers to a command; `None` when it does not, or with less.
pub(crate) async fn redis_answers(port: u16, command: &str, length: u64) -> Option<String> {
    ask(port, &format!("{command}\r\n"), length).await
}

/// Whether a service says that it is ready.
pub(crate) async fn is_ready(port: u16) -> bool {
    status_of(port, "/readyz").await == Some(200)
}

/// The status of a plain GET.
pub(crate) async fn status_of(port: u16, path: &str) -> Option<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    status(&ask(port, &request, ENOUGH).await?)
}

async fn ask(port: u16, request: &str, length: u64) -> Option<String> {
    let exchange = async {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.take(length).read_to_end(&mut answer).await.ok()?;
        Some(String::from_utf8_lossy(&answer).into_owned())
    };
    tokio::time::timeout(LIMIT, exchange).await.ok().flatten()
}

fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_from_the_first_line() {
        assert_eq!(status("HTTP/1.1 503 Service Unavailable\r\nx: y"), Some(503));
        assert_eq!(status("+PONG\r\n"), None);
        assert_eq!(status("HTTP/1.1 2"), None);
    }
}
