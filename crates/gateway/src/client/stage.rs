//! A service scripted by a test, and the client that calls it.

use std::{future::poll_fn, io, time::Duration};

use bytes::Bytes;
use http::uri::Authority;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{Answer, Client, Failure};
use crate::upload::Upload;

pub(super) const LIMIT: Duration = Duration::from_secs(5);
pub(super) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A service, and the client that calls it.
pub(super) struct Stage {
    pub(super) client: Client,
    pub(super) authority: Authority,
    pub(super) listener: TcpListener,
}

impl Stage {
    pub(super) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string().parse().unwrap();
        Self { client: Client::new(), authority, listener }
    }

    /// Sends a request, with what `upload` holds.
    pub(super) async fn ask(&self, method: &str, upload: &mut Option<Upload>) -> Result<Answer, Failure> {
        let mut connection = self.client.connection(&self.authority).await.map_err(Failure::Address)?;
        let mut head = connection.head(method, &["/"]);
        head.line("host", b"x");
        head.body(upload.as_ref());
        head.end().unwrap();
        timeout(LIMIT, connection.ask(upload)).await.unwrap()
    }

    pub(super) async fn get(&self) -> Result<Answer, Failure> {
        self.ask("GET", &mut None).await
    }

    pub(super) async fn accept(&self) -> TcpStream {
        timeout(LIMIT, self.listener.accept()).await.unwrap().unwrap().0
    }

    pub(super) fn idle_count(&self) -> usize {
        self.client.0.borrow().iter().map(|origin| origin.idle_count()).sum()
    }

    /// Has one request answered over a connection that is kept, and returns the service's end of it.
    pub(super) async fn keep_one(&self) -> TcpStream {
        let (answer, service) = tokio::join!(self.get(), async {
            let mut service = self.accept().await;
            hear(&mut service).await;
            service.write_all(OK).await.unwrap();
            service
        });
        assert_eq!(whole(answer.unwrap()).await.unwrap(), "ok");
        assert_eq!(self.idle_count(), 1);
        service
    }
}

/// Reads one request as far as it has come.
pub(super) async fn hear(service: &mut TcpStream) -> String {
    let mut heard = [0; 4096];
    let count = timeout(LIMIT, service.read(&mut heard)).await.unwrap().unwrap();
    String::from_utf8_lossy(&heard[..count]).into_owned()
}

pub(super) async fn whole(mut answer: Answer) -> io::Result<Bytes> {
    let mut body = Vec::new();
    while let Some(piece) = timeout(LIMIT, poll_fn(|cx| answer.body.poll_next(cx))).await.unwrap() {
        body.extend_from_slice(&piece?);
    }
    Ok(body.into())
}

/// Answers one request with `answer` and closes; returns what the client makes of it.
pub(super) async fn answered(answer: &'static [u8]) -> (Stage, Result<Answer, Failure>) {
    let stage = Stage::new().await;
    let (answered, ()) = tokio::join!(stage.get(), async {
        let mut service = stage.accept().await;
        hear(&mut service).await;
        service.write_all(answer).await.unwrap();
    });
    (stage, answered)
}
