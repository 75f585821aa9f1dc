//! Tickets open sockets and streams, once, and go no further than the gate.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use actix_web::{HttpResponse, http::StatusCode};
use chassis::{clock::Clock, token::Caller as Verified};
use domain::{
    contract::TicketRedemption,
    principal::{Principal, Role, Service},
};
use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        handshake::server::{Request, Response},
        http::{HeaderMap, HeaderValue},
    },
};

use crate::{
    Stage,
    caller::Answer,
    scripted::{of_its_own, problem, serve},
    stage::{PAGE, Setting, token},
};

/// A ticket nobody has used.
pub(crate) const GOOD: &str = "3kQ-good_ticket";

/// An auth service that gave [`GOOD`] to a person.
pub(crate) fn auth(person: Principal) -> SocketAddr {
    let tickets = Arc::new(Mutex::new(HashMap::from([(GOOD.to_owned(), person)])));
    serve(move |request, body| {
        if request.path() != "/internal/ws-tickets/redeem" {
            return of_its_own(request).unwrap();
        }
        let asked: TicketRedemption = serde_json::from_slice(body).unwrap();
        match tickets.lock().unwrap().remove(&asked.ticket) {
            Some(person) => HttpResponse::Ok().json(person),
            None => problem(StatusCode::UNAUTHORIZED, "invalid_ticket"),
        }
    })
}

pub(crate) fn person() -> Principal {
    let clock = Clock::system();
    Principal { user_id: clock.id(), login_id: clock.id(), role: Role::User }
}

/// A service that opens sockets, selects `protocol` where there is one, and repeats what it hears. Keeps what it was
/// asked with.
async fn sockets(protocol: Option<&'static str>) -> (SocketAddr, Arc<Mutex<Vec<(String, HeaderMap)>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::new(Vec::new())));
    let log = asked.clone();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let log = log.clone();
            tokio::spawn(async move {
                #[expect(clippy::result_large_err, reason = "the library's own type")]
                let answer = |request: &Request, mut response: Response| {
                    log.lock().unwrap().push((request.uri().to_string(), request.headers().clone()));
                    if let Some(protocol) = protocol {
                        let value = HeaderValue::from_static(protocol);
                        response.headers_mut().insert("sec-websocket-protocol", value);
                    }
                    Ok(response)
                };
                let mut socket = accept_hdr_async(stream, answer).await.unwrap();
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() {
                        socket.send(message).await.unwrap();
                    }
                }
            });
        }
    });
    (addr, asked)
}

type Opened = (WebSocketStream<TcpStream>, Option<String>);

/// Opens a socket as a browser does.
async fn open(stage: &Stage, path: &str, headers: &[(&'static str, &str)]) -> Result<Opened, Error> {
    let mut request = format!("ws://{}{path}", stage.addr).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let stream = TcpStream::connect(stage.addr).await.unwrap();
    let (socket, response) = client_async(request, stream).await?;
    let protocol = response.headers().get("sec-websocket-protocol");
    Ok((socket, protocol.map(|value| value.to_str().unwrap().to_owned())))
}

fn refused_with(opened: Result<Opened, Error>) -> u16 {
    match opened {
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(_broken) => 0,
        Ok(_) => 101,
    }
}

fn who(stage: &Stage, headers: &HeaderMap, service: Service) -> Verified {
    let token = headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    stage.verifier.verify(token, service, Clock::system().now()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_opens_one_socket_for_the_person_it_was_given_to() {
    let (person, (emotion, asked)) = (person(), sockets(None).await);
    let stage = Setting::default().with(Service::Auth, &[auth(person)]).with(Service::Emotion, &[emotion]);
    let stage = stage.start().await;
    let offer = format!("ticket.{GOOD}");
    let headers = [("origin", PAGE), ("sec-websocket-protocol", &offer), ("cookie", "maru_at=stale")];
    // This client, like every browser, closes a socket whose offer is not taken up.
    let (mut socket, protocol) = open(&stage, "/ws/emotion?user_id=u1", &headers).await.unwrap();
    assert_eq!(protocol.as_deref(), Some(offer.as_str()));
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    {
        let asked = asked.lock().unwrap();
        let (target, headers) = &asked[0];
        assert_eq!((target.as_str(), headers.get("sec-websocket-protocol")), ("/ws/emotion?user_id=u1", None));
        let expected = Verified { service: Service::Gateway, person: Some(person), is_own: false };
        assert_eq!(who(&stage, headers, Service::Emotion), expected);
        assert!(!format!("{headers:?}").contains(GOOD), "{headers:?}");
    }
    assert_eq!(refused_with(open(&stage, "/ws/emotion", &headers).await), 401);
    assert_eq!(asked.lock().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_service_selects_is_what_the_page_hears() {
    let (emotion, asked) = sockets(Some("chat.v2")).await;
    let stage = Setting::default().with(Service::Auth, &[auth(person())]).with(Service::Emotion, &[emotion]);
    let stage = stage.start().await;
    let offer = format!("chat.v1, ticket.{GOOD}, chat.v2");
    let (_socket, protocol) = open(&stage, "/ws/emotion", &[("sec-websocket-protocol", &offer)]).await.unwrap();
    assert_eq!(protocol.as_deref(), Some("chat.v2"));
    assert_eq!(asked.lock().unwrap()[0].1["sec-websocket-protocol"], "chat.v1, chat.v2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_that_is_none_or_beside_a_token_opens_nothing() {
    let (emotion, asked) = sockets(None).await;
    let principal = person();
    let stage = Setting::default().with(Service::Auth, &[auth(principal)]).with(Service::Emotion, &[emotion]);
    let stage = stage.start().await;
    let too_long = format!("ticket.{}", "a".repeat(300));
    for offer in ["ticket.unknown", "ticket.", "ticket.a'b", too_long.as_str()] {
        assert_eq!(refused_with(open(&stage, "/ws/emotion", &[("sec-websocket-protocol", offer)]).await), 401);
    }
    let bearer = format!("Bearer {}", token(principal, std::time::Duration::from_mins(5)));
    let both = [("sec-websocket-protocol", "ticket.unknown"), ("authorization", &bearer)];
    assert_eq!(refused_with(open(&stage, "/ws/emotion", &both).await), 400);
    let elsewhere = [("sec-websocket-protocol", &*format!("ticket.{GOOD}")), ("origin", "https://evil.example.com")];
    assert_eq!(refused_with(open(&stage, "/ws/emotion", &elsewhere).await), 403);
    assert!(asked.lock().unwrap().is_empty());
    // In the address of a socket it is no ticket at all, and nobody comes in with it.
    drop(open(&stage, &format!("/ws/emotion?ticket={GOOD}"), &[]).await.unwrap());
    assert_eq!(who(&stage, &asked.lock().unwrap()[0].1, Service::Emotion).person, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_opened_by_its_address_and_the_service_does_not_see_the_ticket() {
    let principal = person();
    let stage = Setting::default().with(Service::Auth, &[auth(principal)]).start().await;
    let ask = |query: String| {
        let path = format!("/api/v1/sessions/s1/stream?{query}");
        Answer::of(stage.anonymous().request(Method::GET, &path).header("cookie", "maru_at=stale"))
    };
    let answer = ask(format!("a=1&ticket={GOOD}&b=2")).await.assert_status(200);
    assert_eq!((answer.json["query"].as_str(), answer.text.contains(GOOD)), (Some("a=1&b=2"), false));
    let authorization = answer.received("authorization")[0].strip_prefix("Bearer ").unwrap().to_owned();
    let caller = stage.verifier.verify(&authorization, Service::Session, Clock::system().now()).unwrap();
    assert_eq!(caller.person, Some(principal));
    // Used up: what is left may be a guest's, and that is for the service to know.
    let answer = ask(format!("ticket={GOOD}")).await.assert_status(200);
    assert_eq!(answer.json["query"], format!("ticket={GOOD}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guests_ticket_goes_to_the_service_that_gave_it_out() {
    let (session, asked) = sockets(Some("ticket.guests")).await;
    let stage = Setting::default().with(Service::Session, &[session]).start().await;
    let (_socket, protocol) =
        open(&stage, "/ws/sessions/s1", &[("sec-websocket-protocol", "ticket.guests")]).await.unwrap();
    assert_eq!(protocol.as_deref(), Some("ticket.guests"));
    let asked = asked.lock().unwrap();
    assert_eq!(asked[0].1["sec-websocket-protocol"], "ticket.guests");
    assert_eq!(who(&stage, &asked[0].1, Service::Session).person, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_comes_in_by_a_ticket_while_the_auth_service_is_away() {
    let (emotion, asked) = sockets(None).await;
    let nobody = crate::scripted::nobody().await;
    let stage = Setting::default().with(Service::Auth, &[nobody]).with(Service::Emotion, &[emotion]).start().await;
    let offer = format!("ticket.{GOOD}");
    assert_eq!(refused_with(open(&stage, "/ws/emotion", &[("sec-websocket-protocol", &offer)]).await), 503);
    assert!(asked.lock().unwrap().is_empty());
}
