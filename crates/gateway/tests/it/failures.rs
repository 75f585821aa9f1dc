//! Services that are away, late, leaving or broken.

use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use domain::principal::Service;
use reqwest::Method;
use tokio::io::AsyncWriteExt;

use crate::{
    caller::Answer,
    scripted::{Counter, by_hand, echo, nobody, serve, write_and_wait},
    stage::Setting,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_away_is_said_to_be() {
    let stage = Setting::default().with(Service::Memo, &[nobody().await]).start().await;
    let (_, person) = stage.person();
    let answer = person.get("/memo/list").await.assert_problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    assert!(!answer.text.contains("127.0.0.1"), "{}", answer.text);
    person.post("/memo", "{}").await.assert_problem(503, "unavailable");
    person.get("/session/list").await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_address_is_tried_when_one_refuses_and_the_body_goes_with_it() {
    let stage = Setting::default().with(Service::Memo, &[nobody().await, echo("memo")]).start().await;
    let (_, person) = stage.person();
    for _ in 0..10 {
        let answer = person.post("/memo", vec![b'x'; 100_000]).await.assert_status(200);
        assert_eq!(answer.json["body_length"], 100_000);
        person.get("/memo/list").await.assert_status(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_connection_is_tried_again_only_when_twice_is_the_same_as_once() {
    let calls = Counter::default();
    let counted = calls.clone();
    let broken = by_hand(move |_, _, _| {
        counted.add();
        async {}
    })
    .await;
    // Two that break: whichever is first, the second try breaks too, and both are counted.
    let stage = Setting::default().with(Service::Memo, &[broken]).start().await;
    let (_, person) = stage.person();
    person.get("/memo/list").await.assert_problem(503, "unavailable");
    assert_eq!(calls.get(), 2);
    person.post("/memo/m1/restore", "").await.assert_problem(503, "unavailable");
    assert_eq!(calls.get(), 3);
    let with_key = person.request(Method::POST, "/memo/m1/restore").header("idempotency-key", "k1");
    Answer::of(with_key).await.assert_problem(503, "unavailable");
    assert_eq!(calls.get(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_leaving_is_left_alone() {
    let (leaving, staying) = (Counter::default(), Counter::default());
    let (leaving_there, staying_there) = (leaving.clone(), staying.clone());
    let leaving_addr = serve(move |_, _| {
        leaving_there.add();
        HttpResponse::Ok().insert_header(("x-maru-draining", "1")).finish()
    });
    let staying_addr = serve(move |_, _| {
        staying_there.add();
        HttpResponse::Ok().finish()
    });
    let stage = Setting::default().with(Service::Memo, &[leaving_addr, staying_addr]).start().await;
    let (_, person) = stage.person();
    for _ in 0..10 {
        let answer = person.get("/memo/list").await.assert_status(200);
        assert_eq!(answer.header("x-maru-draining"), "");
    }
    assert_eq!((leaving.get(), staying.get()), (1, 9));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_the_only_one_is_used_even_while_it_leaves() {
    let memo = serve(|_, _| HttpResponse::Ok().insert_header(("x-maru-draining", "1")).finish());
    let stage = Setting::default().with(Service::Memo, &[memo]).start().await;
    let (_, person) = stage.person();
    for _ in 0..3 {
        person.get("/memo/list").await.assert_status(200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_service_is_not_waited_for() {
    let calls = Counter::default();
    let counted = calls.clone();
    let late = by_hand(move |stream, _, _| {
        counted.add();
        write_and_wait(stream, b"")
    })
    .await;
    let stage = Setting::default().with(Service::Memo, &[late]).patience(Duration::from_secs(1)).start().await;
    let (_, person) = stage.person();
    let started = Instant::now();
    let answer = person.get("/memo/list").await.assert_problem(504, "timeout");
    assert_eq!(answer.header("retry-after"), "1");
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    assert_eq!(calls.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_from_a_service_is_not_passed_on() {
    let memo = by_hand(|mut stream, _, _| async move {
        stream.write_all(b"SSH-2.0-nonsense\r\n\r\n").await.unwrap();
    })
    .await;
    let stage = Setting::default().with(Service::Memo, &[memo]).start().await;
    let (_, person) = stage.person();
    let answer = person.get("/memo/list").await.assert_problem(503, "unavailable");
    assert!(!answer.text.contains("SSH"), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn problems_speak_the_callers_language() {
    let stage = Setting::default().with(Service::Memo, &[nobody().await]).start().await;
    let (_, person) = stage.person();
    let english = person.request(Method::GET, "/memo/list").header("accept-language", "en-US,en;q=0.9");
    let answer = Answer::of(english).await.assert_problem(503, "unavailable");
    assert!(answer.json["detail"].as_str().unwrap().is_ascii());
    assert!(!person.get("/memo/list").await.json["detail"].as_str().unwrap().is_ascii());
}
