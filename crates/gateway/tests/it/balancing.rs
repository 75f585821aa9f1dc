//! Which address of a service gets a request, and when none does.

use std::{net::SocketAddr, time::Duration};

use actix_web::{HttpResponse, http::StatusCode};
use domain::principal::Service;
use reqwest::Method;
use tokio::io::AsyncWriteExt;

use crate::{
    caller::Answer,
    scripted::{Counter, by_hand, echo, problem, serve, write_and_wait},
    stage::Setting,
};

/// A service that never answers; counts who waits.
async fn silent(waiting: &Counter) -> SocketAddr {
    let waiting = waiting.clone();
    by_hand(move |stream, _, _| {
        waiting.add();
        write_and_wait(stream, b"")
    })
    .await
}

/// A service that can not serve; counts who asked.
fn unavailable(asked: &Counter) -> SocketAddr {
    let asked = asked.clone();
    serve(move |_, _| {
        asked.add();
        problem(StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    })
}

fn good(asked: &Counter) -> SocketAddr {
    let asked = asked.clone();
    serve(move |_, _| {
        asked.add();
        HttpResponse::Ok().finish()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_address_gets_nothing_while_another_one_is_idle() {
    let (waiting, asked) = (Counter::default(), Counter::default());
    let addresses = [silent(&waiting).await, good(&asked)];
    let stage = Setting::default().with(Service::Memo, &addresses).patience(Duration::from_secs(40)).start().await;
    let (_, person) = stage.person();
    let others = async {
        testkit::eventually(Duration::from_secs(5), || async { waiting.get() == 1 }).await;
        for _ in 0..10 {
            person.get("/memo/list").await.assert_status(200);
        }
    };
    tokio::select! {
        _ = person.get("/memo/list") => panic!("nobody answers"),
        () = others => {}
    }
    assert_eq!((waiting.get(), asked.get()), (1, 10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_service_has_no_room_for_is_refused_at_once() {
    let waiting = Counter::default();
    let silent = [silent(&waiting).await];
    let setting = Setting::default().with(Service::Memo, &silent).max_in_flight(2).patience(Duration::from_secs(40));
    let stage = setting.start().await;
    let (_, person) = stage.person();
    let refused = async {
        testkit::eventually(Duration::from_secs(5), || async { waiting.get() == 2 }).await;
        let answer = person.get("/memo/list").await.assert_problem(503, "overloaded");
        assert_eq!(answer.header("retry-after"), "1");
        // Another service has its own room.
        person.get("/session/list").await.assert_status(200);
    };
    let held = async { tokio::join!(person.get("/memo/list"), person.get("/memo/list")) };
    tokio::select! {
        _ = held => panic!("nobody answers"),
        () = refused => {}
    }
    // Whoever leaves makes room.
    testkit::eventually(Duration::from_secs(5), || async {
        let next = tokio::time::timeout(Duration::from_millis(200), person.get("/memo/list")).await;
        next.is_err()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_and_streams_take_no_room() {
    const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n\r\n";
    const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let session = by_hand(|mut stream, head, _| async move {
        let is_plain = head.contains("/timer");
        let answer = match head.contains("upgrade: websocket") {
            _ if is_plain => "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            true => SWITCH,
            false => STREAM,
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
        write_and_wait(stream, b"").await;
    })
    .await;
    let stage = Setting::default().with(Service::Session, &[session]).max_in_flight(1).start().await;
    let (_, person) = stage.person();
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(person.request(Method::GET, "/api/v1/sessions/s1/stream").send().await.unwrap());
        let socket = person.request(Method::GET, "/ws/sessions/s1").header("connection", "upgrade");
        open.push(socket.header("upgrade", "websocket").send().await.unwrap());
        person.get("/api/v1/sessions/s1/timer").await.assert_status(200);
    }
    let statuses: Vec<u16> = open.iter().map(|response| response.status().as_u16()).collect();
    assert_eq!(statuses, [200, 101, 200, 101, 200, 101]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_can_not_serve_is_passed_by_where_twice_is_the_same_as_once() {
    let asked = Counter::default();
    let addresses = [unavailable(&asked), echo("memo")];
    let stage = Setting::default().with(Service::Memo, &addresses).start().await;
    let (_, person) = stage.person();
    for _ in 0..2 {
        person.get("/memo/list").await.assert_status(200);
    }
    assert_eq!(asked.get(), 1);
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let request = person.request(Method::POST, "/memo/m1/restore").header("idempotency-key", "k1");
        statuses.push(Answer::of(request).await.status);
    }
    statuses.sort_unstable();
    assert_eq!((statuses, asked.get()), (vec![200, 503], 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_address_is_not_asked_twice_when_it_can_not_serve() {
    let asked = Counter::default();
    let stage = Setting::default().with(Service::Memo, &[unavailable(&asked)]).start().await;
    let (_, person) = stage.person();
    for times in 1..=7 {
        assert_eq!(person.get("/memo/list").await.assert_status(503).json["code"], "unavailable");
        assert_eq!(asked.get(), times);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_errors_in_a_row_are_enough() {
    let (bad, well) = (Counter::default(), Counter::default());
    let addresses = [unavailable(&bad), good(&well)];
    let stage = Setting::default().with(Service::Memo, &addresses).start().await;
    let (_, person) = stage.person();
    for _ in 0..30 {
        person.post("/memo/m1/restore", "").await;
    }
    assert_eq!((bad.get(), well.get()), (5, 25));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_of_one_client_go_to_one_replica_and_new_sockets_are_spread() {
    let mut addresses = Vec::new();
    for name in ["one", "two"] {
        // Answers and leaves: the handshake of a WebSocket has no end to wait for.
        let addr = by_hand(move |mut stream, _, _| async move {
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\n{name}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        addresses.push(addr.await);
    }
    let stage = Setting::default().with(Service::Ticketing, &addresses).start().await;
    let nobody = stage.anonymous();
    let ask = |query: &'static str, upgrade: bool| {
        let mut request = nobody.request(Method::GET, &format!("/socket.io/?EIO=4&{query}"));
        if upgrade {
            request = request
                .header("connection", "upgrade")
                .header("upgrade", "websocket")
                .header("sec-websocket-version", "13")
                .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        }
        async move { Answer::of(request).await.assert_status(200).text }
    };
    let home = ask("transport=polling", false).await;
    for _ in 0..6 {
        assert_eq!(ask("transport=polling&sid=a", false).await, home);
        assert_eq!(ask("transport=websocket&sid=a", true).await, home);
    }
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..6 {
        seen.insert(ask("transport=websocket", true).await);
    }
    assert_eq!(seen.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_cookie_does_not_keep_a_socket_out_that_says_itself_who_it_is() {
    let stage = Setting::default().start().await;
    let request = stage.anonymous().request(Method::GET, "/socket.io/?EIO=4&transport=polling");
    Answer::of(request.header("cookie", "maru_at=stale")).await.assert_status(200);
}
