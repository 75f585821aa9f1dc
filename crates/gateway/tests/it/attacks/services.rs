//! Services that misbehave: nothing is done twice, and nothing strange is passed on.

use std::net::SocketAddr;

use domain::principal::Service;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    scripted::{Counter, by_hand},
    stage::Setting,
};

/// A service that reads a request, does it, says `answer` and is gone.
async fn done_and_gone(done: &Counter, answer: &'static str) -> SocketAddr {
    let done = done.clone();
    by_hand(move |mut stream, _, mut body| {
        let done = done.clone();
        async move {
            while !body.ends_with(b"}") {
                assert_ne!(stream.read_buf(&mut body).await.unwrap(), 0);
            }
            done.add();
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_44_what_may_have_been_done_is_not_done_again() {
    let partial =
        ["", "HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"];
    for answer in partial {
        let done = Counter::default();
        let addresses = [done_and_gone(&done, answer).await, done_and_gone(&done, answer).await];
        let stage = Setting::default().with(Service::Ticketing, &addresses).start().await;
        let (_, person) = stage.person();
        for times in 1..=3 {
            person.post("/api/v1/payments/confirm", "{\"amount\":1}").await.assert_status(503);
            assert_eq!(done.get(), times, "{answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_44_an_answer_that_was_cut_off_is_not_asked_for_again() {
    let done = Counter::default();
    let cut = done_and_gone(&done, "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"paid\":").await;
    let stage = Setting::default().with(Service::Ticketing, &[cut]).start().await;
    let (_, person) = stage.person();
    let request = person.request(reqwest::Method::POST, "/api/v1/payments/confirm").body("{}");
    let response = request.header("idempotency-key", "k1").send().await.unwrap();
    assert!(response.bytes().await.is_err());
    assert_eq!(done.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_46_garbage_becomes_a_problem_of_ours() {
    let garbage = [
        "\0\0\0\0",
        "HTTP/1.1 2xx OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        "{\"stack\":\"at db.internal:5432\"}",
    ];
    for answer in garbage {
        let done = Counter::default();
        let memo = done_and_gone(&done, answer).await;
        let stage = Setting::default().with(Service::Memo, &[memo]).start().await;
        let (_, person) = stage.person();
        let answered = person.post("/memo/m1/restore", "{}").await;
        assert!(matches!(answered.status, 502 | 503), "{answer:?}: {}", answered.status);
        let (status, code) = (answered.status, answered.json["code"].as_str().unwrap().to_owned());
        let answered = answered.assert_problem(status, &code);
        assert!(!answered.text.contains("internal:") && !answered.text.contains("127.0.0.1"), "{}", answered.text);
        assert_eq!(done.get(), 1);
    }
}
