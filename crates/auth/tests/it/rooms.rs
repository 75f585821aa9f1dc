//! The services that keep something about people, as a test scripts them: they record every call.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use auth::config::AuthConfig;
use chassis::peers::Urls;
use domain::principal::Service;
use serde_json::json;

/// What a service answers.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// 503.
    Away,
    /// What was asked for, after a while.
    Slow(Duration),
    /// This many things are erased, and there are more.
    More(u64),
    /// This many things are erased, and nothing is left.
    Done(u64),
}

/// What a service was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) has_token: bool,
}

#[derive(Default)]
struct Script {
    replies: VecDeque<Reply>,
    calls: Vec<Call>,
}

/// One scripted service.
pub(crate) struct Room {
    pub(crate) service: Service,
    url: String,
    script: Arc<Mutex<Script>>,
    handle: ServerHandle,
}

impl Room {
    fn open(service: Service) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script: Arc<Mutex<Script>> = Arc::default();
        let shared = (service, Arc::clone(&script));
        let server = HttpServer::new(move || {
            App::new().app_data(web::Data::new(shared.clone())).default_service(web::to(answer))
        });
        let server = server.workers(1).disable_signals().listen(listener).unwrap().run();
        let handle = server.handle();
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(server);
        Self { service, url, script, handle }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// Says what it answers next; when there is nothing left to say, it has nothing left to erase.
    pub(crate) fn will(&self, replies: impl IntoIterator<Item = Reply>) {
        self.script().replies.extend(replies);
    }

    /// Forgets what it was to answer.
    pub(crate) fn behave(&self) {
        self.script().replies.clear();
    }

    /// Returns what it was asked.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.script().calls.clone()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let handle = self.handle.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { handle.stop(false).await });
        }
    }
}

async fn answer(room: web::Data<(Service, Arc<Mutex<Script>>)>, request: HttpRequest) -> HttpResponse {
    let (service, script) = room.get_ref();
    let is_export = request.path().ends_with("/export");
    let reply = {
        let mut script = script.lock().unwrap();
        let token = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        script.calls.push(Call {
            method: request.method().to_string(),
            path: request.path().to_owned(),
            has_token: token.is_some_and(|token| token.starts_with("Bearer ey")),
        });
        script.replies.pop_front().unwrap_or(Reply::Done(0))
    };
    let erased = |count: u64, is_finished: bool| {
        let erased = if count == 0 { json!({}) } else { json!({ "things": count }) };
        HttpResponse::Ok().json(json!({ "service": service, "is_finished": is_finished, "erased": erased }))
    };
    if let Reply::Slow(by) = reply {
        tokio::time::sleep(by).await;
    }
    match reply {
        Reply::Away => HttpResponse::ServiceUnavailable().finish(),
        _ if is_export => {
            HttpResponse::Ok().json(json!({ "service": service, "data": { "things": [service.name()] } }))
        }
        Reply::More(count) => erased(count, false),
        Reply::Done(count) => erased(count, true),
        Reply::Slow(_) => erased(0, true),
    }
}

/// All four of them.
pub(crate) struct Rooms {
    pub(crate) all: [Room; 4],
}

impl Rooms {
    /// Opens them.
    pub(crate) fn open() -> Self {
        Self { all: [Service::Session, Service::Ticketing, Service::Emotion, Service::Memo].map(Room::open) }
    }

    /// Points a configuration at them.
    pub(crate) fn point(&self, config: &mut AuthConfig) {
        let [session, ticketing, emotion, memo] = &self.all;
        let urls = |room: &Room| Urls(vec![room.url.parse().unwrap()]);
        config.services.session_urls = urls(session);
        config.services.ticketing_urls = urls(ticketing);
        config.services.emotion_urls = urls(emotion);
        config.services.memo_urls = urls(memo);
    }

    /// Returns one of them.
    pub(crate) fn of(&self, service: Service) -> &Room {
        self.all.iter().find(|room| room.service == service).unwrap()
    }
}
