//! A socket without a token: who it is, is said in its first frame.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{App, HttpResponse, HttpServer, web};
use chassis::peers::Urls;
use domain::{
    contract::{Revocation, Revocations, TokenVerification, VerifiedToken},
    principal::{Principal, Role, Service},
};
use emotion::config::{EmotionConfig, ServicesConfig};
use serde_json::json;
use testkit::{Socket, Stage, TestApp, TestClient};
use tokio_tungstenite::tungstenite::Message;

use crate::{config, nowhere, path};

/// An auth service of few words.
#[derive(Clone, Default)]
struct Auth(Arc<Known>);

#[derive(Default)]
struct Known {
    tokens: Mutex<HashMap<String, VerifiedToken>>,
    ended: Mutex<Vec<Revocation>>,
}

impl Auth {
    fn start(&self) -> SocketAddr {
        let known = web::Data::from(Arc::clone(&self.0));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(known.clone())
                .route("/internal/revocations", web::get().to(ended))
                .route("/internal/tokens/verify", web::post().to(verify))
        });
        let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
        let addr = server.addrs()[0];
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(server.run());
        addr
    }

    fn knows(&self, token: &str, principal: Principal, expires_at: domain::time::Instant) {
        self.0.tokens.lock().unwrap().insert(token.to_owned(), VerifiedToken { principal, expires_at });
    }
}

async fn ended(known: web::Data<Known>) -> HttpResponse {
    let revoked = known.ended.lock().unwrap().clone();
    HttpResponse::Ok().json(Revocations { revoked, as_of: None })
}

async fn verify(known: web::Data<Known>, body: web::Json<TokenVerification>) -> HttpResponse {
    match known.tokens.lock().unwrap().get(&body.token) {
        Some(verified) => HttpResponse::Ok().json(verified),
        None => HttpResponse::Unauthorized().json(json!({
            "type": "urn:maru:problem:invalid_token", "title": "Unauthorized", "status": 401, "detail": "",
            "code": "invalid_token", "request_id": "", "error": "",
        })),
    }
}

async fn start() -> (Stage, TestApp, Auth) {
    let (auth, stage) = (Auth::default(), Stage::new(Service::Emotion, emotion::app::MIGRATIONS).await);
    let auth_urls = Urls(vec![format!("http://{}", auth.start()).parse().unwrap()]);
    let services = ServicesConfig { memo_urls: nowhere(), auth_urls };
    let config = EmotionConfig { services, ..config(&stage) };
    let app = stage.serve(emotion::build(config, stage.clock.clone()).unwrap());
    (stage, app, auth)
}

fn somebody(stage: &Stage) -> Principal {
    Principal { user_id: stage.clock.id(), login_id: stage.clock.id(), role: Role::User }
}

/// Opens a socket for somebody as a stranger, and shows a token.
async fn show(app: &TestApp, who: &TestClient, token: &str) -> Socket {
    let mut socket = app.anonymous().socket(&path(who, None)).await;
    socket.send_json(&json!({ "type": "open", "access_token": token })).await;
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_a_token_first_talks_in_the_typed_dialect() {
    let (stage, app, auth) = start().await;
    let principal = somebody(&stage);
    auth.knows("kims", principal, (stage.clock.now() + Duration::from_hours(1)).into());
    let kim = app.as_principal(principal);
    let mut socket = show(&app, &kim, "kims").await;
    let opened = socket.next_json().await;
    assert_eq!(opened["type"], "open_ok", "{opened}");
    assert!(opened["session_id"].is_string() && opened["notice"].is_string());
    socket.send_json(&json!({ "type": "message", "text": "안녕" })).await;
    assert_eq!(socket.next_json().await["type"], "message_start");
    let session_id = opened["session_id"].as_str().unwrap();
    kim.get(&format!("/emotion/sessions/{session_id}")).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_no_good_token_is_nobody_and_who_shows_anothers_is_refused() {
    let (stage, app, auth) = start().await;
    let (kims, lees) = (somebody(&stage), somebody(&stage));
    auth.knows("lees", lees, (stage.clock.now() + Duration::from_hours(1)).into());
    auth.knows("old", kims, (stage.clock.now() - Duration::from_secs(1)).into());
    let kim = app.as_principal(kims);
    for (token, code) in [("made up", 4401), ("", 4401), (&*"x".repeat(5_000), 4401), ("old", 4401), ("lees", 4403)] {
        assert_eq!(show(&app, &kim, token).await.closed().await, Some(code), "{token:.9}");
    }
    for first in [r#"{"user_input":"안녕"}"#, r#"{"type":"open"}"#, r#"{"type":"ping"}"#, "hello"] {
        let mut socket = app.anonymous().socket(&path(&kim, None)).await;
        socket.send(Message::text(first)).await;
        assert_eq!(socket.closed().await, Some(4401), "{first}");
    }
    let mut socket = app.anonymous().socket(&path(&kim, None)).await;
    socket.send(Message::binary(b"open".as_slice())).await;
    assert_eq!(socket.closed().await, Some(4401));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_signed_in_here_ends_with_its_login_and_with_its_token() {
    let (stage, app, auth) = start().await;
    let (kims, lees) = (somebody(&stage), somebody(&stage));
    let later: domain::time::Instant = (stage.clock.now() + Duration::from_hours(1)).into();
    auth.knows("kims", kims, later);
    auth.knows("lees", lees, (stage.clock.now() + Duration::from_secs(1)).into());
    let mut kims_socket = show(&app, &app.as_principal(kims), "kims").await;
    assert_eq!(kims_socket.next_json().await["type"], "open_ok");
    let mut lees_socket = show(&app, &app.as_principal(lees), "lees").await;
    assert_eq!(lees_socket.next_json().await["type"], "open_ok");
    assert_eq!(lees_socket.closed().await, Some(4401), "the token is over");
    auth.0.ended.lock().unwrap().push(Revocation { login_id: kims.login_id, expires_at: later });
    assert_eq!(kims_socket.closed().await, Some(4401), "the login is over");
    assert_eq!(show(&app, &app.as_principal(kims), "kims").await.closed().await, Some(4401));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_auth_service_a_client_is_told_to_come_again() {
    let (_stage, app) = crate::start().await;
    let kim = app.as_user();
    assert_eq!(show(&app, &kim, "kims").await.closed().await, Some(1013));
}
