//! WebSockets through the gate: bytes, in both directions, until one side leaves.

use std::time::Duration;

use chassis::clock::Clock;
use domain::{
    contract::{REVOCATIONS, Revocation},
    principal::Service,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};

use crate::{
    Stage,
    scripted::{by_hand, read_head},
    stage::{PAGE, Setting, redis},
};

const LIMIT: Duration = Duration::from_secs(10);
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-protocol: chat.v1\r\n\r\n";

fn handshake(extra: &str) -> String {
    format!(
        "GET /ws/emotion?user_id=u1 HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n{extra}\r\n"
    )
}

/// Opens a tunnel, saying `early` in the same write as the handshake.
async fn open(stage: &Stage, extra: &str, early: &[u8]) -> (TcpStream, String, Vec<u8>) {
    let mut stream = TcpStream::connect(stage.addr).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut request = handshake(extra).into_bytes();
    request.extend_from_slice(early);
    stream.write_all(&request).await.unwrap();
    let (head, rest) = timeout(LIMIT, read_head(&mut stream)).await.unwrap().unwrap();
    (stream, head, rest)
}

async fn before(addr: std::net::SocketAddr) -> Stage {
    Setting::default().with(Service::Emotion, &[addr]).start().await
}

/// A service that answers `greeting` with its 101 and then everything it hears.
async fn echoing(greeting: &'static str) -> std::net::SocketAddr {
    by_hand(move |mut stream, _, early| async move {
        stream.write_all(format!("{SWITCH}{greeting}").as_bytes()).await.unwrap();
        stream.write_all(&early).await.unwrap();
        let (mut read, mut write) = stream.split();
        _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_with_the_head_and_with_the_101_arrives() {
    let stage = before(echoing("hello").await).await;
    let (mut stream, answered, mut heard) = open(&stage, "sec-websocket-protocol: chat.v1\r\n", b"early").await;
    assert!(answered.starts_with("HTTP/1.1 101 "), "{answered}");
    for line in
        ["upgrade: websocket", "connection: upgrade", "sec-websocket-accept: s3pp", "sec-websocket-protocol: chat.v1"]
    {
        assert_eq!(answered.to_lowercase().matches(line).count(), 1, "{line}: {answered}");
    }
    assert!(!answered.to_lowercase().contains("transfer-encoding"), "{answered}");
    while heard.len() < "helloearly".len() {
        assert_ne!(timeout(LIMIT, stream.read_buf(&mut heard)).await.unwrap().unwrap(), 0);
    }
    assert_eq!(heard, b"helloearly");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mebibyte_is_the_same_on_both_sides_in_both_directions() {
    let stage = before(echoing("").await).await;
    let (stream, _, mut heard) = open(&stage, "", b"").await;
    let said: Vec<u8> = (0..1_048_576_u32).map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[1]).collect();
    let (mut read, mut write) = stream.into_split();
    let (said_to_write, wanted) = (said.clone(), said.len());
    let writing = async move {
        for piece in said_to_write.chunks(7_777) {
            write.write_all(piece).await.unwrap();
        }
        write
    };
    let reading = async {
        while heard.len() < wanted {
            assert_ne!(read.read_buf(&mut heard).await.unwrap(), 0);
        }
    };
    timeout(LIMIT, async { tokio::join!(writing, reading) }).await.unwrap();
    assert!(heard == said, "{} bytes", heard.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_messages_do_not_wait_for_each_other() {
    let stage = before(echoing("").await).await;
    let (mut stream, ..) = open(&stage, "", b"").await;
    let mut took = Vec::new();
    for _ in 0..101 {
        let said = std::time::Instant::now();
        for half in [b"a", b"b"] {
            stream.write_all(half).await.unwrap();
        }
        let mut both = [0; 2];
        timeout(LIMIT, stream.read_exact(&mut both)).await.unwrap().unwrap();
        took.push(said.elapsed());
    }
    took.sort();
    // With Nagle's algorithm anywhere on the way each takes 40 ms and more.
    assert!(took[50] < Duration::from_millis(35), "{:?}", took[50]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_is_heard_to_the_end() {
    let (heard, mut told) = mpsc::unbounded_channel();
    let addr = by_hand(move |mut stream, _, mut early| {
        let heard = heard.clone();
        async move {
            stream.write_all(SWITCH.as_bytes()).await.unwrap();
            _ = stream.read_to_end(&mut early).await;
            heard.send(early).unwrap();
        }
    })
    .await;
    let stage = before(addr).await;
    let (mut stream, ..) = open(&stage, "", b"").await;
    stream.write_all(&vec![b'z'; 200_000]).await.unwrap();
    drop(stream);
    let heard = timeout(LIMIT, told.recv()).await.unwrap().unwrap();
    assert_eq!(heard.len(), 200_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_leaves_is_heard_to_the_end() {
    let addr = by_hand(|mut stream, _, _| async move {
        stream.write_all(SWITCH.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'z'; 200_000]).await.unwrap();
    })
    .await;
    let stage = before(addr).await;
    let (mut stream, _, mut heard) = open(&stage, "", b"").await;
    timeout(LIMIT, stream.read_to_end(&mut heard)).await.unwrap().unwrap();
    assert_eq!(heard.len(), 200_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_handshake_is_passed_on_with_its_body() {
    let addr = by_hand(|mut stream, head, _| async move {
        assert!(head.to_lowercase().contains("upgrade: websocket"), "{head}");
        let answer = "HTTP/1.1 401 Unauthorized\r\nx-reason: none\r\ncontent-length: 9\r\n\r\nno ticket";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let stage = before(addr).await;
    let (mut stream, head, mut body) = open(&stage, "", b"").await;
    assert!(head.starts_with("HTTP/1.1 401 ") && head.contains("x-reason: none"), "{head}");
    while body.len() < 9 {
        assert_ne!(timeout(LIMIT, stream.read_buf(&mut body)).await.unwrap().unwrap(), 0);
    }
    assert_eq!(body, b"no ticket");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handshake_carries_what_sockets_need_and_who_it_is() {
    let (heads, mut seen) = mpsc::unbounded_channel();
    let addr = by_hand(move |mut stream, head, _| {
        heads.send(head).unwrap();
        async move {
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let stage = before(addr).await;
    let (_, person) = stage.person();
    let token = person.token.unwrap();
    let extra = format!(
        "origin: {PAGE}\r\nsec-websocket-protocol: chat.v1\r\nsec-websocket-extensions: permessage-deflate\r\n\
         cookie: a=b\r\nx-user-id: forged\r\nauthorization: Bearer {token}\r\n"
    );
    open(&stage, &extra, b"").await;
    let head = seen.recv().await.unwrap().to_lowercase();
    assert!(head.starts_with("get /ws/emotion?user_id=u1 http/1.1\r\n"), "{head}");
    for line in [
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: dghlihnhbxbszsbub25jzq==",
        "sec-websocket-protocol: chat.v1",
        "sec-websocket-extensions: permessage-deflate",
        "origin: https://app.example.com",
        "authorization: bearer ey",
    ] {
        assert!(head.contains(line), "{line}: {head}");
    }
    assert!(!head.contains("cookie") && !head.contains("forged") && !head.contains(&token.to_lowercase()), "{head}");
    // A stale cookie says nothing; the page's ticket will.
    open(&stage, &format!("origin: {PAGE}\r\ncookie: maru_at=stale\r\n"), b"").await;
    assert!(seen.recv().await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_pages_and_other_protocols_get_no_tunnel() {
    let stage = before(echoing("").await).await;
    for origin in ["https://evil.example.com", "null"] {
        let (_, head, _) = open(&stage, &format!("origin: {origin}\r\n"), b"").await;
        assert!(head.starts_with("HTTP/1.1 403 ") && head.contains("application/problem+json"), "{head}");
    }
    let (_, head, _) = open(&stage, "authorization: Bearer bad\r\n", b"").await;
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
    let other = "GET /ws/emotion HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: raw\r\n\r\n";
    assert!(stage.raw(other.as_bytes()).await.starts_with("HTTP/1.1 400 "));
    let elsewhere = handshake("").replace("/ws/emotion?user_id=u1", "/api/v1/events").replace("keep-alive", "close");
    assert!(stage.raw(elsewhere.as_bytes()).await.starts_with("HTTP/1.1 400 "));
    let h2c = "GET /api/v1/events HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n";
    assert!(stage.raw(h2c.as_bytes()).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tunnels_end_with_the_process() {
    let stage = before(echoing("").await).await;
    let (mut stream, ..) = open(&stage, "", b"").await;
    let stopped = async { timeout(LIMIT, stage.stop()).await.unwrap() };
    let mut rest = Vec::new();
    let closed = async { timeout(LIMIT, stream.read_to_end(&mut rest)).await.unwrap().unwrap() };
    let ((), length) = tokio::join!(stopped, closed);
    // The frame that closes: going away, and the reason.
    assert_eq!(rest[..4], [0x88, u8::try_from(length - 2).unwrap(), 0x03, 0xe9]);
    assert!(String::from_utf8_lossy(&rest[4..]).contains("connect again"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_ends_closes_its_tunnels_and_no_others() {
    let redis = redis();
    let stage = Setting::default().with(Service::Emotion, &[echoing("").await]).redis(redis.clone()).start().await;
    let (principal, person) = stage.person();
    let (_, other) = stage.person();
    let bearer = |token: Option<String>| format!("authorization: Bearer {}\r\n", token.unwrap());
    let (mut mine, ..) = open(&stage, &bearer(person.token.clone()), b"").await;
    let (mut theirs, ..) = open(&stage, &bearer(other.token), b"").await;
    let expires_at = (Clock::system().now() + Duration::from_mins(5)).into();
    let notice = serde_json::to_string(&Revocation { login_id: principal.login_id, expires_at }).unwrap();
    let redis = chassis::redis::Redis::new(&redis).unwrap();
    testkit::eventually(Duration::from_secs(5), || async {
        _ = redis.publish(REVOCATIONS, &notice).await;
        person.get("/memo/list").await.status == 401
    })
    .await;
    let mut rest = Vec::new();
    assert_eq!(timeout(LIMIT, mine.read_to_end(&mut rest)).await.unwrap().unwrap(), 0);
    theirs.write_all(b"still here").await.unwrap();
    let mut heard = [0; 10];
    timeout(LIMIT, theirs.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(&heard, b"still here");
}
