//! A request that a service answers: who makes it, the way there, and the way back.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash, Hasher},
};

use actix_web::{
    HttpRequest, HttpResponse,
    body::BodySize,
    http::{StatusCode, header},
    web::Payload,
};
use bytes::Bytes;
use chassis::{
    context::RequestContext,
    edge::PassedOn,
    problem::{Outcome, Problem},
};
use domain::principal::Service;
use http::{Method, Response, uri::PathAndQuery};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until};

use crate::{
    admit::{Caller, admit},
    download::{Download, LeftOut},
    exchange::Exchange,
    faults::{BAD_UPSTREAM, UPGRADE_NOT_SUPPORTED},
    gate::{Arrival, Gate, Notes},
    headers::{self, Outgoing},
    limit::Class,
    route::{Entry, Kind, Route},
    ticket::Burnt,
    tunnel,
    upload::Upload,
    upstream::Choice,
};

const NOT_FOUND: http::StatusCode = http::StatusCode::NOT_FOUND;
const SWITCHING_PROTOCOLS: http::StatusCode = http::StatusCode::SWITCHING_PROTOCOLS;

/// Sends a request to its service and returns the answer, or a tunnel.
///
/// # Errors
/// What the gate refuses, and 503 or 504 when the service does not answer.
pub async fn forward(
    gate: &Gate,
    arrival: &Arrival<'_>,
    payload: Payload,
    (entry, route): (&Entry, &'static Route),
    notes: &mut Notes,
) -> Outcome<HttpResponse> {
    let Arrival { request, asking, address } = arrival;
    let deadline = Instant::now() + route.patience.unwrap_or(gate.usual_patience);
    let upgrade = wants_tunnel(request, route)?;
    if upgrade {
        asking.refuse_strangers()?;
    }
    let caller = admit(gate, arrival, route, upgrade, notes).await?;
    let context = RequestContext::current().ok_or_else(|| Problem::unexpected("outside any request"))?;
    let (mut upload, tunnelled) =
        if upgrade { (None, Some(payload)) } else { (Upload::begin(request, payload, route.body_limit)?, None) };
    let is_head = request.method() == actix_web::http::Method::HEAD;
    let exchange = Exchange {
        client: &gate.client,
        upstream: gate.upstream(route.service)?,
        choice: if route.sticky { Choice::By(client_key(arrival)) } else { Choice::LessBusy },
        // A poll that is held until something happens works as little as a socket.
        counted: upgrade || route.kind != Kind::Socket,
        // Services answer GET; what HEAD leaves out is left out here.
        method: if is_head { Method::GET } else { method(request)? },
        target: target(request, route, entry, &caller)?,
        outgoing: Outgoing {
            request,
            route,
            caller: &caller,
            authorization: gate.internal_tokens.authorization(route.service, caller.person)?,
            context: &context,
            client_ip: gate.client_ip(*address),
            origin_verdict: if route.service == Service::Auth { asking.verdict() } else { None },
            upgrade,
        },
        deadline,
    };
    let mut timer = Box::pin(sleep_until(deadline));
    let answered = exchange.run(&mut upload, &mut timer).await;
    if route.limit == Class::Code && !answered.as_ref().is_ok_and(|(answer, _)| answer.status() == NOT_FOUND) {
        gate.limits.give_back(route.limit, None, *address).await;
    }
    let (answer, lease) = answered?;
    let watch = || gate.revocations.watch(caller.person.map(|person| person.login_id));
    match (answer.status(), tunnelled) {
        (SWITCHING_PROTOCOLS, Some(payload)) => tunnel::open(answer, payload, watch(), caller.ticket.as_ref()).await,
        (SWITCHING_PROTOCOLS, None) => Err(BAD_UPSTREAM.into()),
        _ => pass_on(answer, is_head, caller.person.is_some(), |incoming, size| {
            let body = Download::new(incoming, size, upload.filter(|_| !is_head), timer);
            if route.kind == Kind::Stream { body.lasting(watch()) } else { body.holding(lease) }
        }),
    }
}

/// Returns whether a request asks for a tunnel, where there are any.
fn wants_tunnel(request: &HttpRequest, route: &Route) -> Outcome<bool> {
    let Some(protocol) = request.headers().get(header::UPGRADE) else { return Ok(false) };
    let is_websocket = protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
    match (route.kind == Kind::Socket, is_websocket) {
        (true, true) if request.method() == actix_web::http::Method::GET => Ok(true),
        // A client may offer another protocol (`h2c`) to anybody, and be answered in the one it speaks.
        (false, false) => Ok(false),
        _ => Err(UPGRADE_NOT_SUPPORTED.into()),
    }
}

fn method(request: &HttpRequest) -> Outcome<Method> {
    Method::from_bytes(request.method().as_str().as_bytes()).map_err(Problem::unexpected)
}

/// Builds the target a service sees: the checked path under the service's own name for it, and the query as it came, but
/// for a ticket that has been redeemed.
fn target(request: &HttpRequest, route: &Route, entry: &Entry, caller: &Caller) -> Outcome<PathAndQuery> {
    let uri = request.uri();
    let path = uri.path();
    let path = match path.strip_suffix('/') {
        // Engine.IO knows its endpoint with the slash.
        Some(without) if !without.is_empty() && route.kind != Kind::Socket => without,
        _ => path,
    };
    let (prefix, rest) = entry.upstream_path(path);
    let query = uri.query().map(|query| match caller.ticket {
        Some(_) => Cow::Owned(Burnt::other_parameters(query)),
        None => Cow::Borrowed(query),
    });
    let mut target =
        String::with_capacity(prefix.len() + rest.len() + 1 + query.as_ref().map_or(0, |query| query.len()));
    target.push_str(prefix);
    target.push_str(rest);
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        target.push('?');
        target.push_str(&query);
    }
    PathAndQuery::from_maybe_shared(Bytes::from(target)).map_err(|_strange| Problem::from(crate::faults::BAD_PATH))
}

/// Tells one client from another as well as can be without a login.
fn client_key(Arrival { request, address, .. }: &Arrival<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    address.hash(&mut hasher);
    request.headers().get(header::USER_AGENT).map(header::HeaderValue::as_bytes).hash(&mut hasher);
    hasher.finish()
}

fn pass_on(
    answer: Response<Incoming>,
    is_head: bool,
    for_person: bool,
    body: impl FnOnce(Incoming, BodySize) -> Download,
) -> Outcome<HttpResponse> {
    let (parts, incoming) = answer.into_parts();
    let status = StatusCode::from_u16(parts.status.as_u16()).map_err(Problem::unexpected)?;
    let length = parts.headers.get(http::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let size = match length {
        _ if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => BodySize::None,
        Some(length) => BodySize::Sized(length),
        None => BodySize::Stream,
    };
    let mut response = HttpResponse::new(status);
    headers::copy_to_client(&parts.headers, response.headers_mut());
    headers::protect(response.headers_mut(), for_person);
    response.extensions_mut().insert(PassedOn);
    let response = match size {
        BodySize::None => response,
        _ if is_head => response.set_body(LeftOut(size)).map_into_boxed_body(),
        _ => response.set_body(body(incoming, size)).map_into_boxed_body(),
    };
    Ok(response)
}
