//! Whole exchanges over real connections.

use std::{future::Future, time::Duration};

use actix_web::{FromRequest, dev::Payload, test::TestRequest, web};
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    time::timeout,
};

use super::{
    stage::{LIMIT, OK, Stage, answered, hear, whole},
    *,
};

async fn upload(headers: &[(&'static str, &'static str)], body: &'static str) -> Option<Upload> {
    let request = headers.iter().fold(TestRequest::post(), |request, header| request.insert_header(*header));
    let request = request.to_http_request();
    let body = futures_util::stream::iter((!body.is_empty()).then(|| Ok(Bytes::from(body))));
    let mut payload: Payload = Payload::Stream { payload: Box::pin(body) };
    let payload = web::Payload::from_request(&request, &mut payload).await.unwrap();
    Upload::begin(&request, payload, 1_000).unwrap()
}

/// Lets what has arrived be noticed.
async fn until<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    let noticed = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, noticed).await.unwrap();
}

fn is_connect(failed: Result<Answer, Failure>) -> bool {
    match failed {
        Err(Failure::Address(error)) => error.is_connect,
        other => panic!("{other:?}"),
    }
}

#[actix_web::test]
async fn a_connection_is_used_again_when_its_answer_was_read_to_the_end() {
    let stage = Stage::new().await;
    let mut service = stage.keep_one().await;
    for _ in 0..3 {
        let (answer, ()) = tokio::join!(stage.get(), async {
            assert_eq!(hear(&mut service).await, "GET / HTTP/1.1\r\nhost: x\r\n\r\n");
            service.write_all(OK).await.unwrap();
        });
        assert_eq!(whole(answer.unwrap()).await.unwrap(), "ok");
    }
}

#[actix_web::test]
async fn a_connection_is_not_used_again_when_anything_is_in_doubt() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nanother",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n\r\nok",
    ] {
        let (stage, answer) = answered(answer).await;
        assert_eq!(whole(answer.unwrap()).await.unwrap(), "ok");
        assert_eq!(stage.idle_count(), 0);
    }
    let (stage, answer) = answered(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe").await;
    drop(answer);
    assert_eq!(stage.idle_count(), 0);
}

#[actix_web::test]
async fn an_idle_connection_that_was_closed_is_not_used() {
    let stage = Stage::new().await;
    let service = stage.keep_one().await;
    drop(service);
    // The request finds it closed, or is told so before anything of it has left, and goes over a new connection.
    let origin = stage.client.0.borrow()[0].clone();
    until(|| async {
        origin.take().is_none_or(|wire| {
            origin.put(wire);
            false
        })
    })
    .await;
    let mut nothing = None;
    let (answer, ()) = tokio::join!(stage.ask("POST", &mut nothing), async {
        let mut service = stage.accept().await;
        assert_eq!(hear(&mut service).await, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
        service.write_all(OK).await.unwrap();
    });
    assert_eq!(whole(answer.unwrap()).await.unwrap(), "ok");
}

#[actix_web::test]
async fn a_connection_found_closed_before_anything_has_left_is_replaced() {
    let stage = Stage::new().await;
    let service = stage.keep_one().await;
    let mut connection = stage.client.connection(&stage.authority).await.unwrap();
    service.set_zero_linger().unwrap();
    drop(service);
    timeout(LIMIT, connection.wire.stream.ready(Interest::READABLE)).await.unwrap().unwrap();
    let mut head = connection.head("POST", &["/"]);
    head.body(None);
    head.end().unwrap();
    let mut nothing = None;
    let (answer, ()) = tokio::join!(connection.ask(&mut nothing), async {
        let mut service = stage.accept().await;
        assert_eq!(hear(&mut service).await, "POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n");
        service.write_all(OK).await.unwrap();
    });
    assert_eq!(whole(answer.unwrap()).await.unwrap(), "ok");
}

#[actix_web::test]
async fn an_idle_connection_is_closed_after_a_while() {
    let stage = Stage::new().await;
    let mut service = stage.keep_one().await;
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert_eq!(stage.idle_count(), 1);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(stage.idle_count(), 0);
    tokio::time::resume();
    assert_eq!(hear(&mut service).await, "");
}

#[actix_web::test]
async fn a_connection_that_closes_under_a_request_is_broken_and_not_unreachable() {
    let stage = Stage::new().await;
    let mut service = stage.keep_one().await;
    let (failed, ()) = tokio::join!(stage.get(), async move {
        hear(&mut service).await;
        drop(service);
    });
    assert!(!is_connect(failed));
}

#[actix_web::test]
async fn nobody_there_is_unreachable() {
    let stage = Stage::new().await;
    let Stage { client, authority, listener } = stage;
    drop(listener);
    assert!(client.connection(&authority).await.is_err_and(|error| error.is_connect));
}

#[actix_web::test]
async fn what_is_no_answer_is_broken() {
    for bad in [&b""[..], b"HTTP/1.1 200", b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 200 OK\r\nx\0: 1\r\n\r\n"] {
        let (stage, failed) = answered(bad).await;
        assert!(!is_connect(failed));
        assert_eq!(stage.idle_count(), 0);
    }
}

#[actix_web::test]
async fn interim_answers_are_skipped_as_long_as_they_are_few() {
    let (_, answer) = answered(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
          HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    assert_eq!(whole(answer.unwrap()).await.unwrap(), "ok");
    let many: &'static [u8] = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(9).leak();
    assert!(!is_connect(answered(many).await.1));
}

#[actix_web::test]
async fn a_tunnel_gives_back_what_was_read_too_far() {
    let (stage, answer) = answered(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\nearly").await;
    let answer = answer.unwrap();
    assert_eq!((answer.head.status.as_u16(), stage.idle_count()), (101, 0));
    let (mut stream, early) = answer.body.into_tunnel().unwrap();
    assert_eq!(early, "early");
    assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0);
}

#[actix_web::test]
async fn a_request_that_is_given_up_takes_its_connection_along() {
    let stage = Stage::new().await;
    let mut asking = Box::pin(stage.get());
    let mut service = tokio::select! {
        _ = &mut asking => panic!("nobody has answered"),
        service = stage.accept() => service,
    };
    tokio::select! {
        _ = &mut asking => panic!("nobody has answered"),
        _ = hear(&mut service) => {}
    }
    drop(asking);
    assert_eq!(hear(&mut service).await, "");
}

#[actix_web::test]
async fn bodies_are_sent_as_they_were_announced() {
    let long = ("content-length", "5");
    let cases = [
        (vec![long], "hello", "content-length: 5\r\n\r\nhello"),
        (vec![("transfer-encoding", "chunked")], "hello", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        (vec![("transfer-encoding", "chunked")], "", "transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        (vec![("content-length", "0")], "", "content-length: 0\r\n\r\n"),
    ];
    for (headers, body, expected) in cases {
        let (stage, mut upload) = (Stage::new().await, upload(&headers, body).await);
        let (answer, ()) = tokio::join!(stage.ask("POST", &mut upload), async {
            let mut service = stage.accept().await;
            let mut heard = String::new();
            while !heard.ends_with(expected) {
                heard.push_str(&hear(&mut service).await);
            }
            service.write_all(OK).await.unwrap();
        });
        assert_eq!(whole(answer.unwrap()).await.unwrap(), "ok");
        assert_eq!(stage.idle_count(), 1, "{expected:?}");
    }
    for (announced, body) in [("5", "hell"), ("5", "hello, people")] {
        let (stage, mut upload) = (Stage::new().await, upload(&[("content-length", announced)], body).await);
        assert!(matches!(stage.ask("POST", &mut upload).await, Err(Failure::Body(_))), "{body}");
        assert_eq!(stage.idle_count(), 0);
    }
}

#[actix_web::test]
async fn a_long_answer_arrives_whole() {
    let stage = Stage::new().await;
    let body: Vec<u8> = (0..3_000_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let (answer, ()) = tokio::join!(async { whole(stage.get().await.unwrap()).await.unwrap() }, async {
        let mut service = stage.accept().await;
        hear(&mut service).await;
        service.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n").await.unwrap();
        service.write_all(&body).await.unwrap();
    });
    assert_eq!(answer, body);
    assert_eq!(stage.idle_count(), 1);
}
