//! Calls from one service to another.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use chassis::{
    client::{CallError, Peer},
    clock::Clock,
    context::RequestContext,
    token::{KeyPair, Signer, Verifier},
};
use domain::{locale::Locale, principal::Service};
use serde_json::{Value, json};

/// Serves `handler` at every path and counts how often it was asked.
fn serve(answer: fn(&HttpRequest, usize) -> HttpResponse) -> (SocketAddr, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let server = HttpServer::new(move || {
        let asked = counted.clone();
        App::new().default_service(web::to(move |req: HttpRequest| {
            let turn = asked.fetch_add(1, Ordering::SeqCst);
            async move { answer(&req, turn) }
        }))
    })
    .workers(1)
    .disable_signals()
    .bind(("127.0.0.1", 0))
    .unwrap();
    let addr = server.addrs()[0];
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(server.run());
    (addr, asked)
}

fn peer(addrs: &[SocketAddr]) -> Peer {
    let urls = addrs.iter().map(|addr| format!("http://{addr}").parse().unwrap()).collect();
    Peer::new(Service::Memo, urls, None, Clock::system()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_shows_its_own_token_and_carries_the_request() {
    let keys = KeyPair::generate("session.1").unwrap();
    let signer = Signer::new(Service::Session, "session.1", &keys.private_pem).unwrap();
    let (addr, _) = serve(|req, _| {
        let text = |name: &str| req.headers().get(name).and_then(|v| v.to_str().ok()).map(ToOwned::to_owned);
        HttpResponse::Ok().json(json!({
            "path": req.path(), "token": text("authorization"), "id": text("x-request-id"),
            "deadline": text("x-deadline-ms"), "trace": text("traceparent"), "language": text("accept-language"),
        }))
    });
    let url = format!("http://{addr}").parse().unwrap();
    let peer = Peer::new(Service::Memo, vec![url], Some(signer), Clock::system()).unwrap();
    let context = RequestContext {
        request_id: "r-1".into(),
        locale: Locale::En,
        started: tokio::time::Instant::now(),
        at: Clock::system().now(),
        deadline: tokio::time::Instant::now() + Duration::from_secs(3),
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
    };
    let seen: Value = context.scope(peer.get(None, &["internal", "a/../b c"])).await.unwrap();
    assert_eq!((&seen["path"], &seen["id"]), (&json!("/internal/a%2F..%2Fb%20c"), &json!("r-1")));
    assert_eq!(seen["language"], "en");
    assert!(seen["trace"].as_str().unwrap().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    let deadline: u64 = seen["deadline"].as_str().unwrap().parse().unwrap();
    assert!((1..=3000).contains(&deadline));
    let token = seen["token"].as_str().unwrap().strip_prefix("Bearer ").unwrap();
    let caller = Verifier::new(&keys.public_jwks).unwrap().verify(token, Service::Memo, Clock::system().now());
    assert_eq!(caller.unwrap().service, Service::Session);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_is_tried_once_more_and_a_write_is_not() {
    let flaky = |_: &HttpRequest, turn: usize| match turn {
        0 => HttpResponse::ServiceUnavailable().finish(),
        _ => HttpResponse::Ok().json(json!({ "turn": turn })),
    };
    let (addr, _) = serve(flaky);
    let read: Value = peer(&[addr]).get(None, &["x"]).await.unwrap();
    assert_eq!(read["turn"], 1);

    let (addr, asked) = serve(flaky);
    let write: Result<Value, _> = peer(&[addr]).post(None, &["x"], &json!({})).await;
    assert!(matches!(write, Err(CallError::Failed(problem)) if problem.status() == 503));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_refuses_is_passed_over_even_for_a_write() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (open, _) = serve(|_, _| HttpResponse::Ok().json(json!({})));
    let peer = peer(&[closed, open]);
    for _ in 0..4 {
        peer.post::<_, Value>(None, &["x"], &json!({})).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_breaker_stops_asking_a_service_that_keeps_failing() {
    let (addr, asked) = serve(|_, _| HttpResponse::InternalServerError().finish());
    let peer = peer(&[addr]);
    for _ in 0..20 {
        let failed: Result<Value, _> = peer.post(None, &["x"], &json!({})).await;
        assert!(failed.is_err());
    }
    assert_eq!(asked.load(Ordering::SeqCst), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_comes_back_as_it_was_and_redirects_are_not_followed() {
    let (addr, _) = serve(|req, _| match req.path() {
        "/moved" => HttpResponse::Found().insert_header(("location", "http://169.254.169.254/")).finish(),
        _ => {
            actix_web::ResponseError::error_response(&chassis::problem::Problem::from(domain::fault::common::NOT_FOUND))
        }
    });
    let peer = peer(&[addr]);
    let refused: Result<Value, _> = peer.get(None, &["thing"]).await;
    assert!(matches!(refused, Err(CallError::Refused(view)) if view.code == "not_found" && view.status == 404));
    let moved: Result<Value, _> = peer.get(None, &["moved"]).await;
    assert!(matches!(moved, Err(CallError::Failed(_))));
}
