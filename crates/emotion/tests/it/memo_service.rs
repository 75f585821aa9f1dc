//! The memo service, as a test scripts it: it remembers what it was sent.

use std::sync::{Arc, Mutex};

use actix_web::{App, HttpResponse, HttpServer, http::StatusCode, web};
use chassis::peers::Urls;
use domain::{
    contract::{MemoToWrite, MemoWritten},
    time::Instant,
};

#[derive(Default)]
struct Script {
    /// The status of a refusal, in place of an answer.
    refuses: Option<u16>,
    written: Vec<MemoToWrite>,
}

/// A running one.
#[derive(Clone)]
pub(crate) struct MemoService {
    urls: Urls,
    script: Arc<Mutex<Script>>,
}

impl MemoService {
    /// Starts one.
    pub(crate) fn start() -> Self {
        let script: Arc<Mutex<Script>> = Arc::default();
        let data = script.clone();
        let server = HttpServer::new(move || {
            App::new().app_data(web::Data::new(data.clone())).route("/internal/memos", web::post().to(write))
        });
        let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", server.addrs()[0]).parse().unwrap();
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(server.run());
        Self { urls: Urls(vec![url]), script }
    }

    /// Returns where it is.
    pub(crate) fn urls(&self) -> Urls {
        self.urls.clone()
    }

    /// Refuses everything from now on with this status, or nothing any more.
    pub(crate) fn refuse(&self, status: Option<u16>) {
        self.script.lock().unwrap().refuses = status;
    }

    /// Returns what it was sent.
    pub(crate) fn written(&self) -> Vec<MemoToWrite> {
        self.script.lock().unwrap().written.clone()
    }
}

async fn write(script: web::Data<Arc<Mutex<Script>>>, body: web::Json<MemoToWrite>) -> HttpResponse {
    let mut script = script.lock().unwrap();
    let memo = body.into_inner();
    let is_new = script.written.iter().all(|known| known.id != memo.id);
    let id = memo.id;
    script.written.push(memo);
    match script.refuses {
        Some(status) => HttpResponse::build(StatusCode::from_u16(status).unwrap()).finish(),
        None => HttpResponse::Ok().json(MemoWritten { id, created_at: Instant(chrono::DateTime::UNIX_EPOCH), is_new }),
    }
}
