//! People who take their time, to take everybody else's.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{House, say, things::DAYS};
use crate::person::Person;

/// Connections that never say anything.
const SILENT: usize = 2_000;
/// Connections that say something, a byte a second.
const SLOW: usize = 60;
/// Connections that listen, a byte a second.
const READERS: usize = 10;
/// Five seconds for a head or the beginning of a body, and much more for two busy cores: who is not let go stays for good.
const LET_GO_WITHIN: Duration = Duration::from_secs(30);
/// Thirty seconds without anything taken, and much more for two busy cores: what is left over is a minute of patience.
const READER_LET_GO_WITHIN: Duration = Duration::from_secs(90);
/// Other people, who ask without a pause.
const OTHERS: usize = 4;

pub(super) async fn attack_32_slow_people_are_let_go_and_others_do_not_notice(house: &House) {
    let idle = others(house, Duration::from_secs(2)).await;
    let addr = house.stack.gateway().trim_start_matches("http://").to_owned();
    let token = house.lee.token.clone().expect("signed in");
    let mut running = JoinSet::new();
    for _ in 0..SILENT {
        running.spawn(let_go(addr.clone(), String::new(), ""));
    }
    for place in 0..SLOW {
        let (beginning, byte) = match place % 3 {
            0 => ("GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ".to_owned(), "x"),
            1 => {
                let head = "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n";
                (format!("{head}{{"), " ")
            }
            _ => {
                let head = format!(
                    "POST /memo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
                     Transfer-Encoding: chunked\r\n\r\n"
                );
                (format!("{head}1\r\n{{\r\n"), "1\r\n \r\n")
            }
        };
        running.spawn(let_go(addr.clone(), beginning, byte));
    }
    let (busy, let_go) = tokio::join!(others(house, Duration::from_secs(7)), running.join_all());
    let longest = let_go.into_iter().max().unwrap_or_default();
    say(&format!("{} slow connections: the last was let go after {longest:.1?}", SILENT + SLOW));
    let ratio = busy.slow_one.as_secs_f64() / idle.slow_one.as_secs_f64();
    say(&format!(
        "others meanwhile: p99 {ratio:.2} times that of an idle house, {} and {} answers",
        busy.count, idle.count
    ));
    assert!(longest < LET_GO_WITHIN, "a slow connection was held for {longest:?}");
    assert!(busy.count > 0 && idle.count > 0);
}

/// Connects, sends the beginning of a request and then a byte a second, and tells how long that was put up with.
async fn let_go(addr: String, beginning: String, byte: &'static str) -> Duration {
    let mut stream = TcpStream::connect(addr).await.expect("connect");
    let begun = Instant::now();
    if stream.write_all(beginning.as_bytes()).await.is_err() {
        return begun.elapsed();
    }
    let mut answer = Vec::new();
    while begun.elapsed() < LET_GO_WITHIN {
        match timeout(Duration::from_secs(1), stream.read_to_end(&mut answer)).await {
            // Cut off in the middle of a byte of ours is let go, too.
            Ok(_) => {
                let answer = String::from_utf8_lossy(&answer);
                assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
                return begun.elapsed();
            }
            Err(_still_open) if stream.write_all(byte.as_bytes()).await.is_err() => return begun.elapsed(),
            Err(_still_open) => {}
        }
    }
    begun.elapsed()
}

/// What others got.
struct Others {
    count: usize,
    /// 99 of 100 answers came faster.
    slow_one: Duration,
}

/// Lets other people ask for a while; each of them gets what they ask for, every time.
async fn others(house: &House, during: Duration) -> Others {
    let begun = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..OTHERS {
        let kim = house.kim.clone();
        running.spawn(async move {
            let mut took = Vec::new();
            while begun.elapsed() < during {
                for path in ["/user/me", "/api/v1/events", "/api/v1/sessions", "/emotion/prompt"] {
                    let asked = Instant::now();
                    let answer = kim.get(path).await;
                    assert!(matches!(answer.status, 200 | 404), "{path}: {} {}", answer.status, answer.json);
                    took.push(asked.elapsed());
                }
            }
            took
        });
    }
    let mut took: Vec<Duration> = running.join_all().await.into_iter().flatten().collect();
    took.sort_unstable();
    Others { count: took.len(), slow_one: took.get(took.len() * 99 / 100).copied().unwrap_or_default() }
}

/// People who asked for something large and read a byte of it a second.
pub(super) struct SlowReaders {
    begun: Instant,
    running: JoinSet<Duration>,
}

/// Begins to read slowly; how long that is put up with is longer than most other attacks take.
pub(super) async fn begin_to_read_slowly(house: &House) -> SlowReaders {
    let reader = Person::register(house.stack.gateway(), "reads@example.com").await;
    for _ in 0..40 {
        reader.post("/memo", json!({ "content": "가".repeat(100_000) })).await.ok(201);
    }
    let addr = house.stack.gateway().trim_start_matches("http://");
    let head = format!(
        "GET /memo/list?{DAYS} HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {}\r\n\r\n",
        reader.token.as_deref().expect("signed in")
    );
    let mut running = JoinSet::new();
    for _ in 0..READERS {
        running.spawn(reads_slowly(addr.parse().expect("an address"), head.clone()));
    }
    // So many large answers keep a service busy for seconds in a build for tests; that is not what is tested.
    let mut quick = 0;
    while quick < 20 {
        let (asked, path) = (Instant::now(), "/memo/list?tz=UTC&start_date=2020-01-01&end_date=2020-01-01");
        // Whatever a busy service says meanwhile, it only says that it is busy.
        let is_answered = reader.try_send(Method::GET, path, None).await.is_ok_and(|answer| answer.status == 200);
        quick = if is_answered && asked.elapsed() < Duration::from_millis(500) { quick + 1 } else { 0 };
    }
    SlowReaders { begun: Instant::now(), running }
}

async fn reads_slowly(addr: std::net::SocketAddr, head: String) -> Duration {
    let mut stream = ask_for_much(addr, &head).await;
    let begun = Instant::now();
    // What has arrived stays readable when the connection is gone; only writing tells. Empty lines before a request are
    // none of it.
    while begun.elapsed() < READER_LET_GO_WITHIN && stream.write_all(b"\r\n").await.is_ok() {
        stream.read_u8().await.expect("there is more");
        sleep(Duration::from_secs(1)).await;
    }
    begun.elapsed()
}

/// Asks until the large answer begins: a busy service refuses, and a refusal fits whole into what a slow reader has room for.
async fn ask_for_much(addr: std::net::SocketAddr, head: &str) -> TcpStream {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < READER_LET_GO_WITHIN, "the large answer never begins");
        let socket = TcpSocket::new_v4().expect("a socket");
        // As little room as there can be: what does not fit waits in the house.
        socket.set_recv_buffer_size(4_096).expect("a small buffer");
        let mut stream = socket.connect(addr).await.expect("connect");
        stream.write_all(head.as_bytes()).await.expect("a request");
        let mut status = [0; 12];
        if stream.read_exact(&mut status).await.is_ok() && &status == b"HTTP/1.1 200" {
            return stream;
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// An answer that nobody takes holds a connection, to a service and to the database of its time, and is given up.
pub(super) async fn attack_32_slow_readers_are_let_go(readers: SlowReaders) {
    let longest = readers.running.join_all().await.into_iter().max().unwrap_or_default();
    say(&format!("{READERS} slow readers: the last was let go after {longest:.1?} of {:.1?}", readers.begun.elapsed()));
    assert!(longest < READER_LET_GO_WITHIN, "a slow reader was waited for");
}
