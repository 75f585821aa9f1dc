//! Services that do as the test says.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, http::StatusCode, web};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A service that tells what it received.
pub(crate) fn echo(name: &'static str) -> SocketAddr {
    serve(move |request, body| {
        if let Some(answer) = of_its_own(request) {
            return answer;
        }
        HttpResponse::Ok()
            .insert_header(("server", "secret/1.0"))
            .insert_header(("x-powered-by", "secret"))
            .insert_header(("x-total-count", "7"))
            .json(told(name, request, body))
    })
}

/// Answers what a gateway asks the auth service on its own account: nothing has happened.
pub(crate) fn of_its_own(request: &HttpRequest) -> Option<HttpResponse> {
    match request.path() {
        "/internal/revocations" => Some(HttpResponse::Ok().json(json!({ "revoked": [] }))),
        "/internal/logins/seen" => Some(HttpResponse::Ok().json(json!({ "noted": 0 }))),
        "/internal/ws-tickets/redeem" => Some(problem(StatusCode::UNAUTHORIZED, "invalid_ticket")),
        _ => None,
    }
}

/// A problem document, as services write them.
pub(crate) fn problem(status: StatusCode, code: &str) -> HttpResponse {
    HttpResponse::build(status).content_type("application/problem+json").json(json!({
        "type": format!("urn:maru:problem:{code}"), "title": "", "status": status.as_u16(), "detail": "", "code": code,
        "request_id": "", "error": "",
    }))
}

/// What a service received, as JSON.
pub(crate) fn told(name: &str, request: &HttpRequest, body: &[u8]) -> serde_json::Value {
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    json!({
        "service": name,
        "method": request.method().as_str(),
        "path": request.path(),
        "query": request.query_string(),
        "headers": headers,
        "body_length": body.len(),
    })
}

/// A service with one handler for everything.
pub(crate) fn serve<F>(handler: F) -> SocketAddr
where
    F: Fn(&HttpRequest, &[u8]) -> HttpResponse + Clone + Send + 'static,
{
    let server = HttpServer::new(move || {
        let handler = handler.clone();
        App::new().app_data(web::PayloadConfig::new(64 * 1024 * 1024)).default_service(web::to(
            move |request: HttpRequest, body: web::Bytes| {
                let answer = handler(&request, &body);
                async move { answer }
            },
        ))
    })
    .workers(1)
    .disable_signals()
    .bind(("127.0.0.1", 0))
    .unwrap();
    let addr = server.addrs()[0];
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(server.run());
    addr
}

/// A service that handles connections by hand, after the head of the first request has been read.
pub(crate) async fn by_hand<F, Fut>(handler: F) -> SocketAddr
where
    F: Fn(TcpStream, String, Vec<u8>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let handler = handler.clone();
            tokio::spawn(async move {
                let Some((head, early)) = read_head(&mut stream).await else { return };
                handler(stream, head, early).await;
            });
        }
    });
    addr
}

/// Reads a head, and what came with it.
pub(crate) async fn read_head(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let early = read.split_off(end + 4);
            return Some((String::from_utf8(read).unwrap(), early));
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(count) if count > 0 => read.extend_from_slice(&buffer[..count]),
            _ => return None,
        }
    }
}

/// An address where nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Counts.
#[derive(Clone, Default)]
pub(crate) struct Counter(Arc<AtomicUsize>);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Writes and keeps the connection open for as long as the client does.
pub(crate) async fn write_and_wait(mut stream: TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    _ = stream.read_to_end(&mut Vec::new()).await;
}
