//! One request that two programs would take for two.

use std::sync::{Arc, Mutex};

use actix_web::HttpResponse;
use domain::principal::Service;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    Stage,
    scripted::{by_hand, serve, told, write_and_wait},
    stage::Setting,
};

const HIDDEN: &str = "GET /api/v1/events/smuggled HTTP/1.1\r\nhost: x\r\nx-hidden: 1\r\n\r\n";

/// A gateway before services that note the targets they are asked for.
async fn listening() -> (Stage, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    let addr = serve(move |request, body| {
        log.lock().unwrap().push(request.path().to_owned());
        HttpResponse::Ok().json(told("ticketing", request, body))
    });
    (Setting::default().with(Service::Ticketing, &[addr]).start().await, asked)
}

/// Says everything on one connection that is kept, and returns all answers.
async fn say(stage: &Stage, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(stage.addr).await.unwrap();
    // The gate may close before it has heard everything.
    _ = stream.write_all(bytes).await;
    let mut answers = Vec::new();
    let reading = stream.read_to_end(&mut answers);
    _ = tokio::time::timeout(std::time::Duration::from_secs(5), reading).await;
    String::from_utf8_lossy(&answers).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_30_a_body_with_two_lengths_is_no_request_at_all() {
    let (stage, asked) = listening().await;
    let chunked = format!("0\r\n\r\n{HIDDEN}");
    let framings = [
        format!("content-length: {}\r\ntransfer-encoding: chunked\r\n", chunked.len()),
        "content-length: 5\r\ntransfer-encoding: chunked\r\n".to_owned(),
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n".to_owned(),
        "transfer-encoding: xchunked\r\n".to_owned(),
        "transfer-encoding: identity, chunked\r\n".to_owned(),
        "transfer-encoding: chunked, identity\r\n".to_owned(),
        "transfer-encoding: \x0bchunked\r\n".to_owned(),
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n".to_owned(),
        "transfer-encoding : chunked\r\n".to_owned(),
        "transfer-encoding:\r\n chunked\r\n".to_owned(),
        "content-length: 5\r\ncontent-length: 6\r\n".to_owned(),
        "content-length: 5\r\ncontent-length: 5\r\n".to_owned(),
        "content-length: +5\r\n".to_owned(),
        "content-length: 5, 5\r\n".to_owned(),
        "content-length: 0x5\r\n".to_owned(),
        "content-length: 99999999999999999999\r\n".to_owned(),
    ];
    for framing in framings {
        let victim = "GET /api/v1/events/victim HTTP/1.1\r\nhost: x\r\n\r\n";
        let attack = format!("POST /api/v1/events HTTP/1.1\r\nhost: x\r\n{framing}\r\n{chunked}{victim}");
        let answers = say(&stage, attack.as_bytes()).await;
        assert!(answers.starts_with("HTTP/1.1 400 "), "{framing}: {answers}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{framing}: {answers}");
    }
    // Somebody else's connection to the same service was not touched by any of it.
    let answer = stage.anonymous().get("/api/v1/events/own").await.assert_status(200);
    assert_eq!(answer.json["path"], "/api/v1/events/own");
    assert_eq!(*asked.lock().unwrap(), ["/api/v1/events/own"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_30_what_follows_a_body_is_the_next_request_and_nothing_before_its_end_is() {
    let (stage, asked) = listening().await;
    let (_, person) = stage.person();
    let token = person.token.unwrap();
    let post = |framing: &str, body: &str| {
        format!(
            "POST /api/v1/payments/process HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{framing}\r\n{body}"
        )
    };
    let in_chunks = format!("{:x};name=value\r\n{HIDDEN}\r\n0\r\nX-User-Id: 1\r\n\r\n", HIDDEN.len());
    let both = [
        post(&format!("content-length: {}\r\n", HIDDEN.len()), HIDDEN),
        post("transfer-encoding: chunked\r\n", &in_chunks),
    ];
    for attack in both {
        let victim = "GET /api/v1/events/victim HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let answers = say(&stage, format!("{attack}{victim}").as_bytes()).await;
        assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 2, "{answers}");
        assert!(answers.contains(&format!("\"body_length\":{}", HIDDEN.len())), "{answers}");
        assert!(!answers.contains("x-hidden") && !answers.contains("x-user-id"), "{answers}");
    }
    let asked = asked.lock().unwrap();
    assert_eq!(*asked, ["/api/v1/payments/process", "/api/v1/events/victim"].repeat(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_30_an_endless_chunk_extension_reaches_nobody() {
    let (stage, asked) = listening().await;
    let (_, person) = stage.person();
    let attack = format!(
        "POST /api/v1/payments/process HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n\
         5;{}\r\nhello\r\n0\r\n\r\n",
        person.token.unwrap(),
        "a".repeat(1_000_000)
    );
    let answers = say(&stage, attack.as_bytes()).await;
    assert!(answers.matches("HTTP/1.1 ").count() <= 1, "{answers}");
    assert!(asked.lock().unwrap().len() <= 1);
    stage.anonymous().get("/api/v1/events/own").await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_30_services_hear_one_spelling_of_http_whatever_the_client_wrote() {
    let heard = Arc::new(Mutex::new(String::new()));
    let log = heard.clone();
    let addr = by_hand(move |stream, head, _| {
        *log.lock().unwrap() = head;
        write_and_wait(stream, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    })
    .await;
    let stage = Setting::default().with(Service::Ticketing, &[addr]).start().await;
    let bare = "GET /api/v1/events HTTP/1.1\nHost: x\nAccept:  text/html \nConnection: close\n\n";
    let answers = say(&stage, bare.as_bytes()).await;
    assert!(answers.starts_with("HTTP/1.1 200 "), "{answers}");
    let heard = heard.lock().unwrap();
    assert!(heard.starts_with("GET /api/v1/events HTTP/1.1\r\n"), "{heard}");
    assert_eq!(heard.matches('\n').count(), heard.matches("\r\n").count());
    assert!(heard.to_lowercase().contains("\r\naccept: text/html\r\n"), "{heard:?}");
}
