//! A WebSocket upstream that greets at once and echoes everything.

use std::{io, net::Ipv4Addr};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::derive_accept_key,
        protocol::{Role, frame::coding::Data},
    },
};

use super::{GREETING, wire};
use crate::trouble::Trouble;

/// Connections that may wait to be accepted: all clients come at once.
const BACKLOG: u32 = 4096;

/// A running upstream; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct EchoUpstream {
    _task: JoinSet<()>,
}

impl EchoUpstream {
    /// Starts on a port of 127.0.0.1.
    pub(crate) fn start(port: u16) -> Result<Self, Trouble> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
        let listener = socket.listen(BACKLOG)?;
        let mut task = JoinSet::new();
        task.spawn(accept(listener));
        Ok(Self { _task: task })
    }
}

async fn accept(listener: TcpListener) {
    let mut connections = JoinSet::new();
    let mut with_answer = false;
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                // Every second greeting travels in the same write as the answer to the upgrade, the earliest it can.
                with_answer = !with_answer;
                connections.spawn(async move {
                    // The client tells what became of its connection.
                    let _ = serve(stream, with_answer).await;
                });
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn serve(mut stream: TcpStream, greeting_with_answer: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let head = wire::Head::read(&mut stream).await?;
    let Some(key) = head.field("sec-websocket-key") else {
        // The gateway asks whether the service is well.
        return stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").await;
    };
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    )
    .into_bytes();
    let greeting = wire::frame(Data::Text, GREETING.as_bytes(), None)?;
    if greeting_with_answer {
        answer.extend_from_slice(&greeting);
        stream.write_all(&answer).await?;
    } else {
        stream.write_all(&answer).await?;
        stream.write_all(&greeting).await?;
    }
    let mut socket = WebSocketStream::from_partially_read(stream, head.rest, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_binary() || message.is_text()) && socket.send(message).await.is_err() {
            break;
        }
    }
    Ok(())
}
