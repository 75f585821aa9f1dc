//! Too much of something.

use std::{fmt::Write as _, time::Duration};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    House,
    fields::WRITTEN_ELSEWHERE,
    operations::entries,
    ownership::{call, request},
    things::method,
};

/// Levels of a document that would cost its reader's stack.
const DEEP: usize = 10_000;
/// Fields of a document that would cost its reader's memory.
const WIDE: usize = 100_000;

pub(super) async fn attack_33_what_is_too_large_or_too_deep_is_refused(house: &House) {
    let deep = [
        ("array", format!("{}{}", "[".repeat(DEEP), "]".repeat(DEEP))),
        ("object", format!("{}1{}", "{\"a\":".repeat(DEEP), "}".repeat(DEEP))),
    ];
    let wide = wide_object();
    for entry in entries(&house.lees).iter().filter(|entry| entry.body.is_some()) {
        let lee = house.caller(entry, &house.lee);
        let json = |text: String| request(lee, entry).header("content-type", "application/json").body(text);
        for (what, text) in &deep {
            let answer = lee.send(json(text.clone())).await;
            // What is not looked for is passed over, however deep, and costs nothing.
            let is_passed_over = entry.name == WRITTEN_ELSEWHERE && *what == "object";
            assert_eq!(
                answer.status,
                if is_passed_over { 200 } else { 400 },
                "{}: a deep {what}: {}",
                entry.name,
                answer.json
            );
            answer.sound(entry.name);
        }
        let answer = lee.send(json(wide.clone())).await;
        assert!(matches!(answer.status, 400 | 413), "{}: {}", entry.name, answer.json);
        answer.sound(entry.name);
        packed_bodies_are_not_unpacked(house, entry).await;
    }
    let nested = json!({ "content": "x", "metadata": { "a": nested(9) } });
    house.lee.post("/memo", nested).await.problem(422, "invalid");
    heads_are_bounded(house).await;
}

fn wide_object() -> String {
    let mut text = String::from("{");
    for field in 0..WIDE {
        write!(text, "\"f{field}\":0,").expect("a string takes anything");
    }
    text + "\"last\":0}"
}

fn nested(levels: usize) -> serde_json::Value {
    (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }))
}

async fn packed_bodies_are_not_unpacked(house: &House, entry: &super::operations::Entry) {
    // 20 bytes are enough to find out: none of it is read.
    for coding in ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x-gzip"] {
        let lee = house.caller(entry, &house.lee);
        let packed = request(lee, entry).header("content-encoding", coding).header("content-type", "application/json");
        let answer = lee.send(packed.body("\x1f\u{8b}\x08 not really packed")).await;
        assert_eq!(answer.status, 415, "{} in {coding}: {}", entry.name, answer.json);
        answer.sound(entry.name);
    }
}

async fn heads_are_bounded(house: &House) {
    let many = "&a=1".repeat(10_000);
    let few_enough = "&a=1".repeat(2_000);
    let list = "/api/v1/events?limit=1";
    house.lee.get(&format!("{list}{many}")).await.problem(414, "url_too_long");
    house.lee.get(&format!("{list}&q={}", "q".repeat(60 * 1024))).await.problem(414, "url_too_long");
    house.lee.get(&format!("/{}", "p/".repeat(30 * 1024))).await.problem(414, "url_too_long");
    house.lee.get(&format!("{list}{few_enough}")).await.sound("2,000 parameters");
    let long = house.lee.request(method("GET"), list).header("x-long", "h".repeat(20 * 1024));
    house.lee.send(long).await.problem(431, "head_too_large");
    let mut several = house.lee.request(method("GET"), list);
    for number in 0..90 {
        several = several.header(format!("x-{number}"), "h".repeat(200));
    }
    house.lee.send(several).await.problem(431, "head_too_large");
    house.lee.get(list).await.ok(200);
}

/// A frame that says it is 10 MB, one message in endless pieces, and pieces of nothing at all: the socket is closed with
/// 1009 and the service goes on with others.
pub(super) async fn attack_33_a_socket_that_sends_too_much_is_closed(house: &House) {
    let mut bystander = house.kim.socket(&format!("/ws/emotion?user_id={}", house.kim.id)).await;
    bystander.next_json().await;

    let mut large = raw_socket(house).await;
    let mut frame = vec![0x81, 0xff];
    frame.extend(10_000_000_u64.to_be_bytes());
    frame.extend([0; 4]);
    frame.resize(64 * 1024, b'x');
    _ = large.write_all(&frame).await;
    assert_eq!(closed_with(&mut large).await, Some(1009), "a frame of 10 MB");

    // 4 KiB each, and none of them is the last.
    let mut pieces = raw_socket(house).await;
    flood(&mut pieces, &[&[0, 0xfe, 0x10, 0x00, 0, 0, 0, 0][..], &[b'x'; 4096]].concat(), 20_000).await;
    assert_eq!(closed_with(&mut pieces).await, Some(1009), "a message of 80 MB in pieces");

    // What holds nothing adds up to nothing, and is bounded by how fast it can be sent.
    let mut empty = raw_socket(house).await;
    flood(&mut empty, &[0, 0x80, 0, 0, 0, 0], 100_000).await;
    drop(empty);

    bystander.send_json(&json!({ "user_input": "아직 있어?" })).await;
    assert!(bystander.next_json().await["token"].is_string());
    let mine = entries(&house.kims);
    let talk =
        mine.iter().find(|entry| entry.name == "GET /emotion/sessions/{session_id}").expect("it is in the table");
    call(&house.kim, talk).await.ok(200);
}

/// Opens a WebSocket by hand, so that its frames can be wrong.
async fn raw_socket(house: &House) -> TcpStream {
    let addr = house.stack.gateway().trim_start_matches("http://");
    let mut stream = TcpStream::connect(addr).await.expect("connect");
    let (id, token) = (&house.lee.id, house.lee.token.as_deref().expect("signed in"));
    let head = format!(
        "GET /ws/emotion?user_id={id} HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {token}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("a handshake");
    let mut answer = Vec::new();
    while !answer.windows(4).any(|four| four == b"\r\n\r\n") {
        answer.push(stream.read_u8().await.expect("an answer"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    stream
}

/// Sends a frame as the first of a message and then again and again as one of its middle, until the other side has had
/// enough.
async fn flood(stream: &mut TcpStream, piece: &[u8], times: usize) {
    let first = [&[0x01], &piece[1..]].concat();
    let following = [&[0x00], &piece[1..]].concat();
    let many = following.repeat(64);
    if stream.write_all(&first).await.is_err() {
        return;
    }
    for _ in 0..times / 64 {
        match timeout(Duration::from_secs(5), stream.write_all(&many)).await {
            Ok(Ok(())) => {}
            _ => return,
        }
    }
}

/// Reads frames up to a close, and returns its code; nothing when the connection was cut without one.
async fn closed_with(stream: &mut TcpStream) -> Option<u16> {
    let read = async {
        loop {
            let (first, second) = (stream.read_u8().await.ok()?, stream.read_u8().await.ok()?);
            let length = match second & 0x7f {
                126 => usize::from(stream.read_u16().await.ok()?),
                length => usize::from(length),
            };
            let mut payload = vec![0; length];
            stream.read_exact(&mut payload).await.ok()?;
            if first & 0x0f == 0x08 {
                return Some(u16::from_be_bytes([*payload.first()?, *payload.get(1)?]));
            }
        }
    };
    timeout(Duration::from_secs(10), read).await.expect("it is closed in time")
}
