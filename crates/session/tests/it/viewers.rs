//! Who may look at a session: what sockets and streams ask before they begin.

use actix_web::{HttpMessage, HttpRequest, test::TestRequest};
use chassis::token::Caller;
use deadpool_redis::redis::cmd;
use domain::{
    ids::{ParticipantId, SessionId},
    principal::{Principal, Role, Service},
};
use secrecy::SecretString;
use serde_json::json;
use session::{
    app::App,
    participants::access::{Viewer, is_in, viewer},
};
use testkit::{Answer, Stage, TestApp, TestClient};

use crate::{SESSIONS, config, join, open, start};

/// What a stream of the same house sees.
struct Stream {
    app: App,
}

impl Stream {
    fn new(stage: &Stage) -> Self {
        Self { app: App::new(config(stage), stage.clock.clone()).unwrap() }
    }

    async fn ask(&self, request: TestRequest, person: Option<Principal>, session: SessionId) -> Result<Viewer, String> {
        let request: HttpRequest = request.to_http_request();
        request.extensions_mut().insert(Caller { service: Service::Gateway, person, is_own: false });
        viewer(&self.app, &request, session)
            .await
            .map_err(|problem| format!("{} {}", problem.status().as_u16(), problem.code()))
    }
}

fn principal(client: &TestClient) -> Principal {
    Principal { user_id: client.user_id, login_id: client.login_id, role: Role::User }
}

fn id(path: &str) -> SessionId {
    path.rsplit('/').next().unwrap().parse().unwrap()
}

fn participant(session: SessionId, joined: &Answer) -> Viewer {
    let participant_id: ParticipantId = joined.text("/participant/id").parse().unwrap();
    Viewer::Participant { session_id: session, participant_id }
}

async fn ticket(app: &TestApp, path: &str, joined: &Answer) -> String {
    let nobody = app.anonymous();
    let request = nobody.request(reqwest::Method::POST, &format!("{path}/stream-ticket"));
    let given = nobody.send(request.header("x-participant-token", joined.text("/participant_token"))).await;
    let given = given.assert_status(200);
    assert_eq!(given.json["expires_in"], 30);
    given.text("/ticket").to_owned()
}

fn by_protocol(ticket: &str) -> TestRequest {
    TestRequest::with_uri("/ws/sessions/x").append_header(("sec-websocket-protocol", format!("ticket.{ticket}")))
}

fn by_query(ticket: &str) -> TestRequest {
    TestRequest::with_uri(&format!("/x/stream?ticket={ticket}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_people_who_joined_and_guests_may_look_and_nobody_else() {
    let (stage, app) = start().await;
    let stream = Stream::new(&stage);
    let (kim, lee) = (app.as_user(), app.as_user());
    let (path, code) = open(&kim).await;
    let session = id(&path);
    let plain = || TestRequest::with_uri("/x");
    assert_eq!(stream.ask(plain(), None, session).await.unwrap_err(), "401 unauthenticated");
    assert_eq!(stream.ask(plain(), Some(principal(&kim)), session).await, Ok(Viewer::Owner(principal(&kim))));
    assert_eq!(stream.ask(plain(), Some(principal(&lee)), session).await.unwrap_err(), "404 session_not_found");
    let joined = join(&lee, &code, "이주최").await.assert_status(201);
    assert_eq!(stream.ask(plain(), Some(principal(&lee)), session).await, Ok(participant(session, &joined)));
    let unknown: SessionId = "01900000-0000-7000-8000-0000000000ff".parse().unwrap();
    assert_eq!(stream.ask(plain(), Some(principal(&kim)), unknown).await.unwrap_err(), "404 session_not_found");

    let guest = join(&app.anonymous(), &code, "손님").await.assert_status(201);
    let show = |token: &str| plain().append_header(("x-participant-token", token));
    let token = guest.text("/participant_token");
    assert_eq!(stream.ask(show(token), None, session).await, Ok(participant(session, &guest)));
    assert_eq!(stream.ask(show(token), None, unknown).await.unwrap_err(), "404 session_not_found");
    assert_eq!(stream.ask(show("mpt_x"), None, session).await.unwrap_err(), "401 invalid_token");
    let Viewer::Participant { participant_id, .. } = participant(session, &guest) else { panic!("a participant") };
    assert!(is_in(&stream.app, session, participant_id).await.unwrap());
    kim.delete(&format!("{path}/participants/{participant_id}")).await.assert_status(204);
    assert!(!is_in(&stream.app, session, participant_id).await.unwrap());
    assert_eq!(stream.ask(show(token), None, session).await.unwrap_err(), "401 invalid_token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_opens_one_stream_once() {
    let (stage, app) = start().await;
    let stream = Stream::new(&stage);
    let (path, code) = open(&app.as_user()).await;
    let session = id(&path);
    let guest = join(&app.anonymous(), &code, "손님").await.assert_status(201);
    let first = ticket(&app, &path, &guest).await;
    assert_eq!(stream.ask(by_protocol(&first), None, session).await, Ok(participant(session, &guest)));
    assert_eq!(stream.ask(by_protocol(&first), None, session).await.unwrap_err(), "401 invalid_ticket");
    let second = ticket(&app, &path, &guest).await;
    assert_ne!(first, second);
    let (a, b, c) = tokio::join!(
        stream.ask(by_query(&second), None, session),
        stream.ask(by_query(&second), None, session),
        stream.ask(by_query(&second), None, session)
    );
    assert_eq!([a, b, c].iter().filter(|opened| opened.is_ok()).count(), 1);
    for made_up in ["", "x", &"x".repeat(300), "%00"] {
        assert_eq!(stream.ask(by_query(made_up), None, session).await.unwrap_err(), "401 invalid_ticket", "{made_up}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_for_another_session_opens_neither_and_one_of_somebody_who_left_none() {
    let (stage, app) = start().await;
    let stream = Stream::new(&stage);
    let kim = app.as_user();
    let (path, code) = open(&kim).await;
    let (other, _code) = open(&kim).await;
    let guest = join(&app.anonymous(), &code, "손님").await.assert_status(201);
    let crossed = ticket(&app, &path, &guest).await;
    assert_eq!(stream.ask(by_query(&crossed), None, id(&other)).await.unwrap_err(), "404 session_not_found");
    assert_eq!(stream.ask(by_query(&crossed), None, id(&path)).await.unwrap_err(), "401 invalid_ticket");
    let late = ticket(&app, &path, &guest).await;
    kim.delete(&format!("{path}/participants/{}", guest.text("/participant/id"))).await.assert_status(204);
    assert_eq!(stream.ask(by_query(&late), None, id(&path)).await.unwrap_err(), "401 invalid_ticket");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_holds_a_tickets_digest_for_half_a_minute_and_never_the_ticket() {
    let (stage, app) = start().await;
    let (path, code) = open(&app.as_user()).await;
    let guest = join(&app.anonymous(), &code, "손님").await.assert_status(201);
    let ticket = ticket(&app, &path, &guest).await;
    let redis = stage.redis();
    let mut keys = cmd("KEYS");
    let keys: Vec<String> = redis.run(keys.arg(redis.key("stream-ticket:*"))).await.unwrap();
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert!(!keys[0].contains(&ticket), "{keys:?}");
    let mut life = cmd("TTL");
    let life: i64 = redis.run(life.arg(&keys[0])).await.unwrap();
    assert!((1..=30).contains(&life), "{life}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_there_are_no_tickets_and_everything_else_goes_on() {
    let stage = Stage::new(Service::Session, session::app::MIGRATIONS).await;
    let mut config = config(&stage);
    // A port of loopback where nothing listens.
    config.base.redis.redis_url = SecretString::from("redis://127.0.0.1:1");
    let app = stage.serve(session::build(config, stage.clock.clone()).unwrap());
    let (path, code) = open(&app.as_user()).await;
    let guest = join(&app.anonymous(), &code, "손님").await.assert_status(201);
    let nobody = app.anonymous();
    let with_token = |request: reqwest::RequestBuilder| {
        nobody.send(request.header("x-participant-token", guest.text("/participant_token")))
    };
    let refused = with_token(nobody.request(reqwest::Method::POST, &format!("{path}/stream-ticket"))).await;
    assert_eq!(refused.assert_problem(503, "unavailable").header("retry-after"), "1");
    let place = format!("{path}/participants/{}", guest.text("/participant/id"));
    with_token(nobody.request(reqwest::Method::DELETE, &place)).await.assert_status(204);
    assert_eq!(nobody.get(&format!("{SESSIONS}/code/{code}")).await.json["participant_count"], json!(0));
}
