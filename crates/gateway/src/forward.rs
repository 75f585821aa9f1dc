//! A request that a service answers: who makes it, the way there, and the way back.

use std::{
    borrow::Cow,
    hash::{DefaultHasher, Hash, Hasher},
};

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse,
    body::BodySize,
    http::{Method, StatusCode, header},
    web::Payload,
};
use chassis::{edge::Routed, problem::Outcome};
use domain::principal::Service;

use crate::{
    admit::{Caller, admit},
    client::{Answer, Incoming},
    download::{Download, LeftOut},
    exchange::{Exchange, Target},
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
    let Arrival { request, asking, address, context } = arrival;
    let upgrade = wants_tunnel(request, route)?;
    if upgrade {
        asking.refuse_strangers()?;
    }
    let caller = admit(gate, arrival, route, upgrade, notes).await?;
    let deadline = context.started + route.patience.unwrap_or(gate.usual_patience);
    let (mut upload, tunnelled) =
        if upgrade { (None, Some(payload)) } else { (Upload::begin(request, payload, route.body_limit)?, None) };
    let is_head = request.method() == Method::HEAD;
    let query = query(request, &caller);
    let exchange = Exchange {
        client: &gate.client,
        upstream: gate.upstream(route.service)?,
        choice: if route.sticky && !stands_alone(request, upgrade) {
            Choice::By(client_key(arrival))
        } else {
            Choice::LessBusy
        },
        // A poll that is held until something happens works as little as a socket.
        counted: upgrade || route.kind != Kind::Socket,
        // Services answer GET; what HEAD leaves out is left out here.
        method: if is_head { &Method::GET } else { request.method() },
        target: target(request, route, entry, &query),
        outgoing: Outgoing {
            request,
            route,
            caller: &caller,
            authorization: gate.internal_tokens.authorization(route.service, caller.person, context.at)?,
            context,
            client_ip: gate.client_ip(*address),
            origin_verdict: if route.service == Service::Auth { asking.verdict() } else { None },
            upgrade,
        },
        deadline,
    };
    let answered = exchange.run(&mut upload).await;
    if route.limit == Class::Code
        && !answered.as_ref().is_ok_and(|(answer, _)| answer.head.status == StatusCode::NOT_FOUND)
    {
        gate.limits.give_back(route.limit, None, *address).await;
    }
    let (answer, lease) = answered?;
    let watch = || gate.revocations.watch(caller.person.map(|person| person.login_id));
    match (answer.head.status, tunnelled) {
        (StatusCode::SWITCHING_PROTOCOLS, Some(payload)) => {
            mark_passed_on(request);
            tunnel::open(answer, payload, (watch(), gate.lifecycle.socket()), caller.ticket.as_ref())
        }
        (StatusCode::SWITCHING_PROTOCOLS, None) => Err(BAD_UPSTREAM.into()),
        _ => {
            mark_passed_on(request);
            Ok(pass_on(answer, is_head, caller.person.is_some(), |incoming, size| {
                let body = Download::new(incoming, size, upload.filter(|_| !is_head));
                if route.kind == Kind::Stream {
                    body.lasting(watch(), gate.lifecycle.socket())
                } else {
                    body.holding(lease)
                }
            }))
        }
    }
}

/// Returns whether a request asks for a tunnel, where there are any.
fn wants_tunnel(request: &HttpRequest, route: &Route) -> Outcome<bool> {
    let Some(protocol) = request.headers().get(header::UPGRADE) else { return Ok(false) };
    let is_websocket = protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
    match (route.kind == Kind::Socket, is_websocket) {
        (true, true) if request.method() == Method::GET => Ok(true),
        // A client may offer another protocol (`h2c`) to anybody, and be answered in the one it speaks.
        (false, false) => Ok(false),
        _ => Err(UPGRADE_NOT_SUPPORTED.into()),
    }
}

/// Returns the query as it came, but for a ticket that has been redeemed.
fn query<'r>(request: &'r HttpRequest, caller: &Caller) -> Cow<'r, str> {
    let query = request.query_string();
    if caller.ticket.is_some() { Cow::Owned(Burnt::other_parameters(query)) } else { Cow::Borrowed(query) }
}

/// Returns the target a service sees: the checked path under the service's own name for it, and the query.
fn target<'r>(request: &'r HttpRequest, route: &Route, entry: &Entry, query: &'r str) -> Target<'r> {
    let path = request.uri().path();
    let path = match path.strip_suffix('/') {
        // Engine.IO knows its endpoint with the slash.
        Some(without) if !without.is_empty() && route.kind != Kind::Socket => without,
        _ => path,
    };
    let (prefix, rest) = entry.upstream_path(path);
    [prefix, rest, if query.is_empty() { "" } else { "?" }, query]
}

/// Returns whether a request begins a connection that nothing else has to find: a WebSocket that continues no session.
/// A crowd behind one address is then spread over all replicas.
fn stands_alone(request: &HttpRequest, upgrade: bool) -> bool {
    upgrade && !request.query_string().split('&').any(|parameter| parameter.starts_with("sid="))
}

/// Tells one client from another as well as can be without a login.
fn client_key(Arrival { request, address, .. }: &Arrival<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    address.hash(&mut hasher);
    request.headers().get(header::USER_AGENT).map(header::HeaderValue::as_bytes).hash(&mut hasher);
    hasher.finish()
}

/// Tells the edge that the answer is not ours.
fn mark_passed_on(request: &HttpRequest) {
    if let Some(routed) = request.extensions_mut().get_mut::<Routed>() {
        routed.is_passed_on = true;
    }
}

fn pass_on(
    answer: Answer,
    is_head: bool,
    for_person: bool,
    body: impl FnOnce(Incoming, BodySize) -> Download,
) -> HttpResponse {
    let Answer { head, body: mut incoming } = answer;
    let size = match incoming.length() {
        _ if matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) => BodySize::None,
        Some(length) => BodySize::Sized(length),
        None => BodySize::Stream,
    };
    let mut response = HttpResponse::new(head.status);
    headers::copy_to_client(&head, response.headers_mut());
    headers::protect(response.headers_mut(), for_person);
    match (size, incoming.take_whole()) {
        (BodySize::None, _) => response,
        _ if is_head => response.set_body(LeftOut(size)).map_into_boxed_body(),
        // Nothing is waited for any more.
        (_, Some(whole)) => response.set_body(whole).map_into_boxed_body(),
        (_, None) => response.set_body(body(incoming, size)).map_into_boxed_body(),
    }
}
