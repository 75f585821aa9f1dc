//! Bodies stream both ways, are counted, and are never made to look whole when they are not.

use std::time::Duration;

use actix_web::HttpResponse;
use domain::principal::Service;
use futures_util::StreamExt;
use reqwest::{Body, Method};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    Stage,
    caller::Answer,
    scripted::{self, Counter, by_hand},
    stage::Setting,
};

fn chunks(count: usize) -> Body {
    let chunks = futures_util::stream::iter((0..count).map(|_| Ok::<_, std::io::Error>(vec![b'x'; 16 * 1024])));
    Body::wrap_stream(chunks)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_arrive_whole_with_and_without_a_length() {
    let stage = Stage::new().await;
    let (_, person) = stage.person();
    for length in [0, 1, 1_000, 60_000] {
        let answer = person.post("/api/v1/sessions", vec![b'x'; length]).await.assert_status(200);
        assert_eq!(answer.json["body_length"], length);
    }
    let answer = person.post("/memo", vec![b'x'; 12_000_000]).await.assert_status(200);
    assert_eq!(answer.json["body_length"], 12_000_000);
    assert_eq!(answer.received("content-length"), ["12000000"]);
    let answer = person.post("/memo", chunks(300)).await.assert_status(200);
    assert_eq!(answer.json["body_length"], 300 * 16 * 1024);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_over_the_limit_is_refused_whether_it_says_so_or_not() {
    let calls = Counter::default();
    let counted = calls.clone();
    let session = scripted::serve(move |_, _| {
        counted.add();
        HttpResponse::Ok().finish()
    });
    let stage = Setting::default().with(Service::Session, &[session]).start().await;
    let (_, person) = stage.person();
    person.post("/api/v1/sessions", vec![b'x'; 64 * 1024]).await.assert_status(200);
    person.post("/api/v1/sessions", vec![b'x'; 64 * 1024 + 1]).await.assert_problem(413, "too_large");
    assert_eq!(calls.get(), 1);
    person.post("/api/v1/sessions", chunks(5)).await.assert_problem(413, "too_large");
    assert_eq!(calls.get(), 1);
    person.post("/api/v1/sessions", chunks(4)).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_of_a_refused_body_is_not_waited_for() {
    let stage = Stage::new().await;
    for framing in ["transfer-encoding: chunked\r\n\r\n1\r\nx\r\n", "content-length: 1000\r\n\r\nx"] {
        let refused = format!("POST /memo HTTP/1.1\r\nhost: x\r\n{framing}");
        // Its sender never ends it; that the answer is read to the end of the connection shows that there is one.
        let answer = stage.raw(refused.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_body_is_not_taken() {
    let stage = Stage::new().await;
    let (_, person) = stage.person();
    let request = person.request(Method::POST, "/memo").header("content-encoding", "gzip").body("x");
    Answer::of(request).await.assert_problem(415, "unsupported_media_type");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_streams_as_it_is_written() {
    let session = by_hand(|mut stream, _, _| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        scripted::write_and_wait(stream, b"9\r\ndata: 1\n\n\r\n").await;
    })
    .await;
    let stage = Setting::default().with(Service::Session, &[session]).start().await;
    let (_, person) = stage.person();
    let response = person.request(Method::GET, "/api/v1/sessions/s1/stream").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.bytes_stream();
    let first = tokio::time::timeout(Duration::from_secs(5), body.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(&first[..], b"data: 1\n\n");
    stage.stop().await;
    let rest = tokio::time::timeout(Duration::from_secs(5), body.next()).await.unwrap();
    assert!(rest.is_none(), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    for head in ["content-length: 100", "transfer-encoding: chunked"] {
        let memo = by_hand(move |mut stream, _, _| async move {
            let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\nhello\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let stage = Setting::default().with(Service::Memo, &[memo]).start().await;
        let (_, person) = stage.person();
        let response = person.request(Method::GET, "/memo/list").send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(response.bytes().await.is_err(), "{head}");
        let token = person.token.clone().unwrap();
        let request = format!("GET /memo/list HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n");
        let raw = stage.raw(request.as_bytes()).await;
        assert!(raw.contains("hello") && !raw.ends_with("0\r\n\r\n"), "{raw}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_may_answer_before_it_has_read_everything() {
    let memo = by_hand(|stream, _, _| async move {
        scripted::write_and_wait(stream, b"HTTP/1.1 422 Unprocessable Content\r\ncontent-length: 2\r\n\r\nno").await;
    })
    .await;
    let stage = Setting::default().with(Service::Memo, &[memo]).start().await;
    let (_, person) = stage.person();
    let token = person.token.clone().unwrap();
    let head =
        format!("POST /memo HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: 1000\r\n\r\nhalf");
    let mut stream = tokio::net::TcpStream::connect(stage.addr).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 422");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_takes_its_request_along() {
    let (started, left) = (Counter::default(), Counter::default());
    let (started_there, left_there) = (started.clone(), left.clone());
    let memo = by_hand(move |mut stream, _, _| {
        let (started, left) = (started_there.clone(), left_there.clone());
        async move {
            started.add();
            _ = stream.read_to_end(&mut Vec::new()).await;
            left.add();
        }
    })
    .await;
    let stage = Setting::default().with(Service::Memo, &[memo]).start().await;
    let (_, person) = stage.person();
    let request =
        format!("GET /memo/list HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", person.token.unwrap());
    let mut stream = tokio::net::TcpStream::connect(stage.addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    testkit::eventually(Duration::from_secs(5), || async { started.get() == 1 }).await;
    drop(stream);
    testkit::eventually(Duration::from_secs(15), || async { left.get() == 1 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statuses_and_errors_of_services_pass_unchanged() {
    let memo = scripted::serve(|request, _| match request.query_string() {
        "204" => HttpResponse::NoContent().finish(),
        "304" => HttpResponse::NotModified().insert_header(("etag", "\"1\"")).finish(),
        "404" => HttpResponse::NotFound().content_type("text/plain").body("their own words"),
        "500" => HttpResponse::InternalServerError().finish(),
        _ => HttpResponse::Found().insert_header(("location", "https://elsewhere.example.com/")).finish(),
    });
    let stage = Setting::default().with(Service::Memo, &[memo]).start().await;
    let (_, person) = stage.person();
    person.get("/memo/list?204").await.assert_status(204);
    assert_eq!(person.get("/memo/list?304").await.assert_status(304).header("etag"), "\"1\"");
    assert_eq!(person.get("/memo/list?404").await.assert_status(404).text, "their own words");
    assert_eq!(person.get("/memo/list?500").await.assert_status(500).text, "");
    let moved = person.get("/memo/list?302").await.assert_status(302);
    assert_eq!(moved.header("location"), "https://elsewhere.example.com/");
}
