//! Connections that stop speaking HTTP, byte by byte.

use std::{net::SocketAddr, time::Duration};

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use chassis::{
    lifecycle::Lifecycle,
    problem::{Outcome, Problem},
    server,
};
use domain::fault::common;
use futures_util::{StreamExt, stream};
use testkit::stage::serving;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longest wait for bytes that must come.
const LIMIT: Duration = Duration::from_secs(20);
const HEAD: &str = "HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

/// Says everything back, and a word at the end.
async fn echo(payload: web::Payload) -> HttpResponse {
    let said = payload.map(|chunk| chunk.map_err(actix_web::Error::from));
    let last = stream::iter([Ok::<_, actix_web::Error>(Bytes::from_static(b"bye"))]);
    HttpResponse::SwitchingProtocols().upgrade("websocket").streaming(said.chain(last))
}

/// Says much, in many pieces, whether it is listened to or not.
async fn talk() -> HttpResponse {
    let pieces = (0..2_000_u32).map(|n| Ok::<_, actix_web::Error>(Bytes::from(vec![n.to_le_bytes()[0]; 1_000])));
    HttpResponse::SwitchingProtocols().upgrade("websocket").streaming(stream::iter(pieces))
}

async fn refuse() -> Outcome<String> {
    Err(Problem::from(common::FORBIDDEN))
}

/// Answers in HTTP, in a stream whose length nobody knows.
async fn decline(_request: HttpRequest) -> HttpResponse {
    let words = ["no ", "thank ", "you"].map(|word| Ok::<_, actix_web::Error>(Bytes::from_static(word.as_bytes())));
    HttpResponse::Ok().streaming(stream::iter(words))
}

fn serve() -> (SocketAddr, actix_web::dev::ServerHandle) {
    let routes = |cfg: &mut web::ServiceConfig| {
        cfg.service(web::resource("/echo").get(echo))
            .service(web::resource("/talk").get(talk))
            .service(web::resource("/refuse").get(refuse))
            .service(web::resource("/decline").get(decline));
    };
    let bound = server::bind(serving(Lifecycle::new(), routes)).unwrap();
    let (addr, handle) = (bound.addr(), bound.handle());
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(bound.run());
    (addr, handle)
}

/// Connects and says something at once.
async fn say(addr: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// Reads an answer's head.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(head).unwrap().to_lowercase()
}

/// Reads what comes until nothing more does.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    rest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_with_the_request_and_what_comes_later_is_heard_in_order_and_to_the_end() {
    let (addr, _) = serve();
    // An earlier request on the same connection, and the first words of the other protocol, in one packet.
    let first = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut stream = say(addr, format!("{first}GET /echo {HEAD}early ").as_bytes()).await;
    let alive = head(&mut stream).await;
    assert!(alive.starts_with("http/1.1 200 "), "{alive}");
    let length = alive.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    timeout(LIMIT, stream.read_exact(&mut body)).await.unwrap().unwrap();
    let switched = head(&mut stream).await;
    assert!(switched.starts_with("http/1.1 101 ") && switched.contains("connection: upgrade"), "{switched}");
    let mut early = [0; 6];
    timeout(LIMIT, stream.read_exact(&mut early)).await.unwrap().unwrap();
    assert_eq!(&early, b"early ");
    // More than any buffer on the way, and read while it is written.
    let much = vec![b'z'; 3_000_000];
    let (mut read, mut write) = stream.split();
    let saying = async {
        write.write_all(&much).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut heard = Vec::new();
    let hearing = async { timeout(LIMIT, read.read_to_end(&mut heard)).await.unwrap().unwrap() };
    tokio::join!(saying, hearing);
    assert!(heard.len() == much.len() + 3 && heard.ends_with(b"zbye"), "{} bytes", heard.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_takes_its_time_misses_nothing() {
    let (addr, _) = serve();
    let mut stream = say(addr, format!("GET /talk {HEAD}").as_bytes()).await;
    assert!(head(&mut stream).await.starts_with("http/1.1 101 "));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let heard = rest(&mut stream).await;
    assert_eq!(heard.len(), 2_000_000);
    assert!(heard.chunks(1_000).zip(0_u32..).all(|(piece, n)| piece.iter().all(|byte| *byte == n.to_le_bytes()[0])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_refused_another_protocol_is_told_so_in_http_and_the_connection_ends() {
    let (addr, _) = serve();
    let mut stream = say(addr, format!("GET /refuse {HEAD}").as_bytes()).await;
    let refused = head(&mut stream).await;
    assert!(refused.starts_with("http/1.1 403 ") && refused.contains("connection: close"), "{refused}");
    let body = rest(&mut stream).await;
    assert!(String::from_utf8(body).unwrap().contains("forbidden"));

    let mut stream = say(addr, format!("GET /decline {HEAD}").as_bytes()).await;
    let declined = head(&mut stream).await;
    assert!(declined.starts_with("http/1.1 200 ") && declined.contains("connection: close"), "{declined}");
    let body = String::from_utf8(rest(&mut stream).await).unwrap();
    let words: String = body.split("\r\n").filter(|line| !line.chars().all(|c| c.is_ascii_hexdigit())).collect();
    assert_eq!(words, "no thank you");

    let mut stream = say(addr, format!("GET /nowhere {HEAD}").as_bytes()).await;
    assert!(head(&mut stream).await.starts_with("http/1.1 404 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_has_no_more_time_cuts_them() {
    let (addr, handle) = serve();
    let mut stream = say(addr, format!("GET /echo {HEAD}").as_bytes()).await;
    assert!(head(&mut stream).await.starts_with("http/1.1 101 "));
    handle.stop(false).await;
    // Cut off or reset, but over.
    let mut rest = Vec::new();
    _ = timeout(LIMIT, stream.read_to_end(&mut rest)).await.unwrap();
}
