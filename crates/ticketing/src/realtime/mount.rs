//! `/socket.io`: where HTTP ends and the library begins.
//!
//! Requests of long-polling are answered by the library one by one. A WebSocket's handshake is answered here, and what is
//! spoken on it goes to the library through a `pipe`. So there is one port, one set of limits and one
//! measure of everything, and the gateway's token guards this route as it does all others.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
};

use actix_http::ws::{hash_key, verify_handshake};
use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web::{Bytes, BytesMut, Data, Payload},
};
use chassis::{
    context,
    principal::Anyone,
    problem::{Outcome, Problem},
};
use domain::{
    fault::{Fault, Kind, common},
    principal::Principal,
};
use futures_util::{StreamExt, future::Either};
use http_body_util::{BodyExt, Empty, Full};
use hyper::service::Service;
use socketioxide::{service::SocketIoService, socket::Sid};

use super::{
    connection::Connection,
    hub::Hub,
    pipe::{STALL, ServerEnd, Upward, pipe},
};

/// Largest body of a polled request, bytes; what the library tells clients, and the limit of the original.
pub(super) const PAYLOAD_MAX: usize = 100_000;

/// A WebSocket's handshake that is none.
const BAD_HANDSHAKE: Fault = Fault::new(
    Kind::Malformed,
    "bad_handshake",
    "WebSocket 연결 요청을 읽을 수 없습니다.",
    "The request for a WebSocket could not be read.",
);
/// A session that is not, or no longer, here.
const UNKNOWN_SESSION: Fault = Fault::new(
    Kind::Malformed,
    "unknown_session",
    "알 수 없는 연결입니다. 다시 연결해 주세요.",
    "There is no such session. Please connect again.",
);

/// The library's service, and what stands around it; clones share it.
#[derive(Clone)]
pub struct Mount {
    hub: Hub,
    service: SocketIoService<Elsewhere>,
}

/// Whatever is not the library's: nothing is.
#[derive(Clone)]
pub(super) struct Elsewhere;

impl Service<http::Request<Full<Bytes>>> for Elsewhere {
    type Response = http::Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, _request: http::Request<Full<Bytes>>) -> Self::Future {
        let mut response = http::Response::new(Empty::new());
        *response.status_mut() = http::StatusCode::NOT_FOUND;
        ready(Ok(response))
    }
}

impl Mount {
    /// Puts the library's service behind the routes.
    pub(super) const fn new(hub: Hub, service: SocketIoService<Elsewhere>) -> Self {
        Self { hub, service }
    }

    /// Returns the connection that a request belongs to, or a new one.
    fn connection(&self, request: &HttpRequest, person: Option<Principal>) -> Outcome<Arc<Connection>> {
        if let Some(sid) = parameter(request, "sid=") {
            let sid = sid.parse::<Sid>().ok().and_then(|sid| self.hub.connections.find(sid));
            return sid.ok_or_else(|| UNKNOWN_SESSION.into());
        }
        // The gateway tries another replica; here it would be sent away again soon.
        if self.hub.lifecycle.is_draining() || self.hub.is_closing() {
            return Err(Problem::unavailable("this replica is about to stop").retry_after(1));
        }
        let opened = self.hub.connections.open(person, context::locale());
        opened.ok_or_else(|| Problem::unavailable("this replica has as many connections as it takes").retry_after(5))
    }

    fn upgrade(
        &self,
        request: &HttpRequest,
        payload: Payload,
        connection: &Arc<Connection>,
    ) -> Result<HttpResponse, Fault> {
        verify_handshake(request.head()).map_err(|_handshake| BAD_HANDSHAKE)?;
        let key = request.headers().get(header::SEC_WEBSOCKET_KEY).ok_or(BAD_HANDSHAKE)?;
        let accept = hash_key(key.as_bytes());
        let (server, client) = pipe(STALL);
        let begun = Service::<(ServerEnd, http::Request<()>)>::call(
            &self.service,
            (server, translate(request, connection, ()).map_err(|_head| BAD_HANDSHAKE)?),
        );
        begun.into_inner().map_err(|_query| BAD_HANDSHAKE)?;
        connection.carried_by(client.wire());
        actix_web::rt::spawn(carry(payload, client.upward()));
        let mut response = HttpResponse::SwitchingProtocols();
        response.upgrade("websocket").insert_header((header::SEC_WEBSOCKET_ACCEPT, &accept[..]));
        Ok(response.body(client.downward()))
    }

    async fn poll(&self, request: &HttpRequest, body: Bytes, connection: &Arc<Connection>) -> Outcome<HttpResponse> {
        let asked = translate(request, connection, Full::new(body)).map_err(Problem::unexpected)?;
        let is_new = parameter(request, "sid=").is_none();
        let Ok(answer) = Service::call(&self.service, asked).await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(Problem::unexpected)?.to_bytes();
        if is_new && head.status == http::StatusCode::OK {
            connection.begin(session_of(&body).ok_or_else(|| Problem::unexpected("a session without an id"))?);
        }
        let status = StatusCode::from_u16(head.status.as_u16()).map_err(Problem::unexpected)?;
        let mut response = HttpResponse::build(status);
        if let Some(kind) = head.headers.get(http::header::CONTENT_TYPE) {
            response.insert_header((header::CONTENT_TYPE, kind.as_bytes()));
        }
        Ok(response.insert_header((header::CACHE_CONTROL, "no-store")).body(body))
    }
}

/// Opens a connection, or goes on with one.
#[utoipa::path(
    get, path = "/socket.io/", tag = "socket.io", description = super::document::TEXT,
    params(
        ("EIO" = u8, Query, description = "`4`"),
        ("transport" = String, Query, description = "`websocket` or `polling`"),
        ("sid" = Option<String>, Query, description = "The session, once there is one")
    ),
    responses(
        (status = 101, description = "A WebSocket"),
        (status = 200, description = "Engine.IO packets, separated by U+001E", body = String, content_type = "text/plain"),
        (status = 400, description = "`bad_handshake`, `unknown_session`, or Engine.IO's `{code, message}`"),
        (status = 503, description = "`unavailable`: this replica is full or about to stop")
    )
)]
pub async fn open(
    request: HttpRequest,
    payload: Payload,
    mount: Data<Mount>,
    Anyone(person): Anyone,
) -> Outcome<HttpResponse> {
    let connection = mount.connection(&request, person)?;
    if request.headers().contains_key(header::UPGRADE) {
        return Ok(mount.upgrade(&request, payload, &connection)?);
    }
    mount.poll(&request, Bytes::new(), &connection).await
}

/// Takes what a client that polls has to say.
#[utoipa::path(
    post, path = "/socket.io/", tag = "socket.io", request_body(content = String, content_type = "text/plain"),
    params(
        ("EIO" = u8, Query, description = "`4`"),
        ("transport" = String, Query, description = "`polling`"),
        ("sid" = String, Query, description = "The session")
    ),
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = 400, description = "`unknown_session`, or Engine.IO's `{code, message}`"),
        (status = 413, description = "`too_large`")
    )
)]
pub async fn say(
    request: HttpRequest,
    payload: Payload,
    mount: Data<Mount>,
    Anyone(person): Anyone,
) -> Outcome<HttpResponse> {
    let connection = mount.connection(&request, person)?;
    let body = collect(payload).await?;
    mount.poll(&request, body, &connection).await
}

async fn collect(mut payload: Payload) -> Outcome<Bytes> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| Problem::from(common::MALFORMED).caused_by(error.to_string()))?;
        if body.len() + chunk.len() > PAYLOAD_MAX {
            return Err(common::TOO_LARGE.into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Passes on what a client says on its WebSocket, until either side has had enough.
async fn carry(mut payload: Payload, upward: Upward) {
    loop {
        let (unheard, chunk) = (std::pin::pin!(upward.unheard()), payload.next());
        // A client that is gone and one that ended its side look alike here.
        let Either::Right((Some(Ok(bytes)), _)) = futures_util::future::select(unheard, chunk).await else { return };
        if !upward.push(bytes).await {
            return;
        }
    }
}

/// Returns the request as the library reads it. It keeps its head for as long as the connection lasts, so nothing is in
/// there that it does not need.
fn translate<B>(request: &HttpRequest, connection: &Arc<Connection>, body: B) -> Result<http::Request<B>, http::Error> {
    let mut translated = http::Request::builder()
        .method(request.method().as_str())
        .uri(format!("/socket.io/?{}", request.query_string()))
        .extension(connection.clone());
    if let Some(kind) = request.headers().get(header::CONTENT_TYPE) {
        translated = translated.header(http::header::CONTENT_TYPE, kind.as_bytes());
    }
    translated.body(body)
}

fn parameter<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    request.query_string().split('&').find_map(|parameter| parameter.strip_prefix(name))
}

/// Reads the id of a new session out of its first packet: `0{"sid":"...", ...}`.
fn session_of(body: &[u8]) -> Option<Sid> {
    let packet: serde_json::Value = serde_json::from_slice(body.strip_prefix(b"0")?).ok()?;
    packet.get("sid")?.as_str()?.parse().ok()
}
