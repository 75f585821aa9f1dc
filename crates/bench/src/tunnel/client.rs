//! One client of the tunnel: it sends its first message as early as it can, and checks what comes back.

use std::{
    fmt::Display,
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        handshake::{client::generate_key, derive_accept_key},
        http::{HeaderValue, header::AUTHORIZATION},
        protocol::{Role, frame::coding::Data},
    },
};

use super::{GREETING, wire};

/// When a client sends its first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// As soon as it has read the answer to its upgrade.
    AfterAnswer,
    /// In the same write as its upgrade.
    WithUpgrade,
}

/// What became of one client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Greeting and echo arrived, byte for byte, after this time.
    Exact(Duration),
    /// The connection ended before all had arrived; says what was awaited and why it ended.
    Lost(String),
    /// Nothing more came until the deadline; says what was awaited.
    Hung(&'static str),
    /// Something else arrived than was sent.
    Different(&'static str),
    /// No connection or no upgrade.
    Refused(String),
}

/// Where and how a client connects.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) gateway: SocketAddr,
    pub(crate) path: &'static str,
    pub(crate) token: String,
    /// The address it comes from: one address has too few ports for all runs.
    pub(crate) source: Ipv4Addr,
    pub(crate) speaks: Speaks,
    pub(crate) message: Vec<u8>,
    pub(crate) patience: Duration,
}

impl Client {
    /// Runs the client to its end.
    pub(crate) async fn run(self) -> Outcome {
        let start = Instant::now();
        let deadline = start + self.patience;
        let opened = match timeout_at(deadline, self.open()).await {
            Err(_late) => return Outcome::Hung("the answer to the upgrade"),
            Ok(Err(outcome)) => return outcome,
            Ok(Ok(opened)) => opened,
        };
        match self.converse(opened, deadline).await {
            Ok(()) => Outcome::Exact(start.elapsed()),
            Err(outcome) => outcome,
        }
    }

    async fn open(&self) -> Result<WebSocketStream<TcpStream>, Outcome> {
        let stream = self.connect().await.map_err(refused)?;
        match self.speaks {
            Speaks::AfterAnswer => self.open_and_then_speak(stream).await,
            Speaks::WithUpgrade => self.open_speaking(stream).await,
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((self.source, 0).into())?;
        socket.set_nodelay(true)?;
        socket.connect(self.gateway).await
    }

    async fn open_and_then_speak(&self, stream: TcpStream) -> Result<WebSocketStream<TcpStream>, Outcome> {
        let url = format!("ws://{}{}", self.gateway, self.path);
        let mut request = url.into_client_request().map_err(refused)?;
        let bearer = HeaderValue::from_str(&format!("Bearer {}", self.token)).map_err(refused)?;
        request.headers_mut().insert(AUTHORIZATION, bearer);
        let (mut socket, _) = client_async(request, stream).await.map_err(|fault| match fault {
            Error::Http(answer) => Outcome::Refused(format!("status {}", answer.status())),
            other => refused(other),
        })?;
        socket.send(Message::binary(self.message.clone())).await.map_err(|fault| lost("to send", fault))?;
        Ok(socket)
    }

    async fn open_speaking(&self, mut stream: TcpStream) -> Result<WebSocketStream<TcpStream>, Outcome> {
        let key = generate_key();
        let mut bytes = format!(
            "GET {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n",
            self.path, self.gateway, self.token
        )
        .into_bytes();
        let mask = [0x5a, 0xc3, 0x17, 0x88];
        bytes.extend(wire::frame(Data::Binary, &self.message, Some(mask)).map_err(refused)?);
        stream.write_all(&bytes).await.map_err(refused)?;
        let head = wire::Head::read(&mut stream).await.map_err(refused)?;
        if head.status() != Some(101) {
            return Err(refused(head.text.lines().next().unwrap_or_default()));
        }
        if head.field("sec-websocket-accept") != Some(derive_accept_key(key.as_bytes()).as_str()) {
            return Err(Outcome::Different("the upgrade's key"));
        }
        Ok(WebSocketStream::from_partially_read(stream, head.rest, Role::Client, None).await)
    }

    async fn converse(&self, mut socket: WebSocketStream<TcpStream>, deadline: Instant) -> Result<(), Outcome> {
        let greeting = receive(&mut socket, "the greeting", deadline).await?;
        if greeting != Message::text(GREETING) {
            return Err(Outcome::Different("the greeting"));
        }
        let echo = receive(&mut socket, "the echo", deadline).await?;
        if !echo.is_binary() || echo.into_data() != self.message {
            return Err(Outcome::Different("the echo"));
        }
        // How it closes is not measured, but a gateway that keeps closed sockets would show as a hang of a later run.
        let _ = timeout_at(deadline, socket.close(None)).await;
        Ok(())
    }
}

async fn receive(
    socket: &mut WebSocketStream<TcpStream>,
    awaited: &'static str,
    deadline: Instant,
) -> Result<Message, Outcome> {
    match timeout_at(deadline, socket.next()).await {
        Err(_late) => Err(Outcome::Hung(awaited)),
        Ok(None | Some(Ok(Message::Close(_)))) => Err(lost(awaited, "closed")),
        Ok(Some(Err(fault))) => Err(lost(awaited, fault)),
        Ok(Some(Ok(message))) => Ok(message),
    }
}

fn refused(why: impl Display) -> Outcome {
    Outcome::Refused(why.to_string())
}

fn lost(awaited: &str, why: impl Display) -> Outcome {
    Outcome::Lost(format!("{awaited}: {why}"))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::{process::free_port, tunnel::echo::EchoUpstream};

    fn client(gateway: SocketAddr, speaks: Speaks, message: Vec<u8>) -> Client {
        Client {
            gateway,
            path: "/ws/emotion",
            token: "t".to_owned(),
            source: Ipv4Addr::LOCALHOST,
            speaks,
            message,
            patience: Duration::from_secs(5),
        }
    }

    #[tokio::test]
    async fn both_ways_of_speaking_reach_the_echo() {
        let port = free_port().unwrap();
        let _upstream = EchoUpstream::start(port).unwrap();
        let address = (Ipv4Addr::LOCALHOST, port).into();
        for speaks in [Speaks::AfterAnswer, Speaks::WithUpgrade, Speaks::AfterAnswer, Speaks::WithUpgrade] {
            for size in [1, 126, 70_000] {
                let outcome = client(address, speaks, vec![0xa7; size]).run().await;
                assert!(matches!(outcome, Outcome::Exact(_)), "{speaks:?} {size}: {outcome:?}");
            }
        }
    }

    #[tokio::test]
    async fn silence_ends_and_refusals_are_told_apart() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answering = async {
            let (held, _) = listener.accept().await.unwrap();
            let (dropped, _) = listener.accept().await.unwrap();
            drop(dropped);
            let (mut denied, _) = listener.accept().await.unwrap();
            wire::Head::read(&mut denied).await.unwrap();
            denied.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            held
        };
        let asking = async {
            let mut impatient = client(address, Speaks::WithUpgrade, vec![1]);
            impatient.patience = Duration::from_millis(100);
            assert_eq!(impatient.run().await, Outcome::Hung("the answer to the upgrade"));
            let outcome = client(address, Speaks::WithUpgrade, vec![1]).run().await;
            assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
            let outcome = client(address, Speaks::AfterAnswer, vec![1]).run().await;
            assert_eq!(outcome, Outcome::Refused("status 401 Unauthorized".to_owned()));
        };
        tokio::join!(answering, asking);
    }
}
