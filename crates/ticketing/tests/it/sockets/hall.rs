//! Two replicas with sockets, and an auth service that says what it is told to.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use actix_web::{App, HttpResponse, HttpServer, web};
use chassis::peers::Urls;
use domain::{
    contract::{REVOCATIONS, Revocation, Revocations, TokenVerification, VerifiedToken},
    ids::EventId,
    principal::{Principal, Role},
};
use serde_json::{Value, json};
use testkit::{SocketIo, Stage, TestApp, TestClient};
use ticketing::{
    config::TicketingConfig,
    notice::{Notice, Notices},
};

use crate::house::{self, House, ON_SALE};

/// Two replicas.
pub(crate) struct Hall {
    pub(crate) house: House,
    pub(crate) other: TestApp,
    pub(crate) auth: ScriptedAuth,
}

impl Hall {
    pub(crate) async fn open() -> Self {
        Self::with(|_config| {}).await
    }

    /// Opens a hall whose second replica has other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut TicketingConfig)) -> Self {
        Self::on(house::stage().await, change)
    }

    /// The same, on a stage.
    pub(crate) fn on(stage: Stage, change: impl FnOnce(&mut TicketingConfig)) -> Self {
        let auth = ScriptedAuth::start();
        let urls = auth.urls();
        let house = House::on(stage, |config| config.realtime.auth_urls = urls.clone());
        let mut config = house::config(&house.stage);
        config.realtime.auth_urls = urls;
        change(&mut config);
        let other = house.stage.serve(ticketing::build(config, house.stage.clock.clone()).unwrap());
        Self { house, other, auth }
    }

    pub(crate) async fn event(&self) -> EventId {
        self.house.event("달빛 재즈", ON_SALE).await
    }

    /// Tells all replicas.
    pub(crate) async fn tell(&self, notices: &[Notice]) {
        Notices::new(self.house.stage.redis()).tell(notices).await.unwrap();
    }

    /// Connects somebody new at the first replica.
    pub(crate) async fn here(&self) -> SocketIo {
        socket(&self.house.app.as_user()).await
    }

    /// Connects somebody new at the second replica.
    pub(crate) async fn there(&self) -> SocketIo {
        socket(&self.other.as_user()).await
    }

    pub(crate) fn somebody(&self) -> Principal {
        let clock = &self.house.stage.clock;
        Principal { user_id: clock.id(), login_id: clock.id(), role: Role::User }
    }

    /// Ends a login, as the auth service does.
    pub(crate) async fn end(&self, person: Principal) {
        let expires_at = (self.house.stage.clock.now() + Duration::from_hours(1)).into();
        let notice = serde_json::to_string(&Revocation { login_id: person.login_id, expires_at }).unwrap();
        self.house.stage.redis().publish(REVOCATIONS, &notice).await.unwrap();
    }
}

/// Connects as whom the gateway recognised.
pub(crate) async fn socket(client: &TestClient) -> SocketIo {
    client.socket_io(None).await.unwrap()
}

/// Connects and enters a room.
pub(crate) async fn joined(mut socket: SocketIo, how: &str, event: EventId) -> SocketIo {
    let answer = socket.ask(how, &json!({ "eventId": event })).await;
    assert_eq!(answer["ok"], true, "{answer}");
    socket
}

/// Makes sure that everything a replica was told before has arrived.
pub(crate) async fn settle(socket: &mut SocketIo) {
    socket.ask("leave-event", &json!("00000000-0000-7000-8000-000000000000")).await;
}

/// An auth service of few words.
pub(crate) struct ScriptedAuth {
    addr: SocketAddr,
    script: Arc<Script>,
}

#[derive(Default)]
struct Script {
    tokens: Mutex<HashMap<String, VerifiedToken>>,
    asked: AtomicUsize,
    is_away: AtomicBool,
}

impl ScriptedAuth {
    pub(crate) fn start() -> Self {
        let script = Arc::new(Script::default());
        let shared = web::Data::from(Arc::clone(&script));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .route("/internal/revocations", web::get().to(no_revocations))
                .route("/internal/tokens/verify", web::post().to(verify))
        });
        let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
        let addr = server.addrs()[0];
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(server.run());
        Self { addr, script }
    }

    pub(crate) fn urls(&self) -> Urls {
        Urls(vec![format!("http://{}", self.addr).parse().unwrap()])
    }

    /// Knows a token from now on.
    pub(crate) fn knows(&self, token: &str, principal: Principal, expires_at: domain::time::Instant) -> Value {
        self.script.tokens.lock().unwrap().insert(token.to_owned(), VerifiedToken { principal, expires_at });
        json!({ "token": token })
    }

    /// Returns how often it was asked whose a token is.
    pub(crate) fn asked(&self) -> usize {
        self.script.asked.load(Ordering::SeqCst)
    }

    /// Answers nothing but 503, or answers again.
    pub(crate) fn is_away(&self, is_away: bool) {
        self.script.is_away.store(is_away, Ordering::SeqCst);
    }
}

async fn no_revocations() -> HttpResponse {
    HttpResponse::Ok().json(Revocations::default())
}

async fn verify(script: web::Data<Script>, body: web::Json<TokenVerification>) -> HttpResponse {
    script.asked.fetch_add(1, Ordering::SeqCst);
    if script.is_away.load(Ordering::SeqCst) {
        return HttpResponse::ServiceUnavailable().finish();
    }
    match script.tokens.lock().unwrap().get(&body.token) {
        Some(verified) => HttpResponse::Ok().json(verified),
        None => HttpResponse::Unauthorized().json(json!({
            "type": "urn:maru:problem:invalid_token", "title": "Unauthorized", "status": 401, "detail": "",
            "code": "invalid_token", "request_id": "", "error": ""
        })),
    }
}
