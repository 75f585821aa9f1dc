//! A service of the house that says what a test wants it to say.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, http::StatusCode, web};
use chassis::peers::Urls;
use serde_json::Value;

/// What the next answers are.
#[derive(Clone, Debug)]
pub(crate) enum Script {
    /// A status and a document.
    Says(u16, Value),
    /// Nothing, for longer than anybody waits.
    Sleeps,
}

/// A running one.
#[derive(Clone)]
pub(crate) struct Scripted {
    urls: Urls,
    script: Arc<Mutex<Script>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Starts one.
    pub(crate) fn start(script: Script) -> Self {
        let (script, asked) = (Arc::new(Mutex::new(script)), Arc::<Mutex<Vec<String>>>::default());
        let data = (Arc::clone(&script), Arc::clone(&asked));
        let server =
            HttpServer::new(move || App::new().app_data(web::Data::new(data.clone())).default_service(web::to(answer)));
        let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", server.addrs()[0]).parse().unwrap();
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(server.run());
        Self { urls: Urls(vec![url]), script, asked }
    }

    /// Returns where it is.
    pub(crate) fn urls(&self) -> Urls {
        self.urls.clone()
    }

    /// Says something else from now on.
    pub(crate) fn now(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    /// Returns what it was asked so far: methods and paths.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

type Shared = (Arc<Mutex<Script>>, Arc<Mutex<Vec<String>>>);

async fn answer(shared: web::Data<Shared>, req: HttpRequest) -> HttpResponse {
    shared.1.lock().unwrap().push(format!("{} {}", req.method(), req.path()));
    let script = shared.0.lock().unwrap().clone();
    match script {
        Script::Says(status, document) => {
            let status = StatusCode::from_u16(status).unwrap();
            HttpResponse::build(status).json(document)
        }
        Script::Sleeps => {
            tokio::time::sleep(Duration::from_mins(1)).await;
            HttpResponse::Ok().finish()
        }
    }
}
