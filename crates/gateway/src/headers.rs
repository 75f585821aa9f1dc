//! Which headers pass the gate, in either direction.
//!
//! Towards a service only what is on a list: a header that some service might trust can then never be a client's.
//! Towards the client everything but what concerns one connection only, or tells what runs inside.

use actix_web::{HttpRequest, http::header as old};
use chassis::{
    context::RequestContext,
    edge::{CLIENT_IP, DEADLINE_MS, DRAINING, ORIGIN_VERDICT, REQUEST_ID, TRACEPARENT, is_safe_id},
};
use domain::principal::Service;
use http::HeaderValue;

use crate::{
    admit::Caller,
    client::{AnswerHead, RequestHead},
    route::{Kind, Route},
    ticket::Burnt,
};

/// A guest's own token, which the service gave out and judges.
const PARTICIPANT_TOKEN: &str = "x-participant-token";
/// The id a client gave its request; ours goes beside it.
const CLIENT_REQUEST_ID: &str = "x-client-request-id";
/// Longest `User-Agent` that is passed on, bytes.
const USER_AGENT_MAX: usize = 256;

/// What a request to a service is made from.
pub struct Outgoing<'r> {
    /// The client's request.
    pub request: &'r HttpRequest,
    /// Its route.
    pub route: &'static Route,
    /// Who makes it.
    pub caller: &'r Caller,
    /// What proves that to the service.
    pub authorization: HeaderValue,
    /// Id and trace of the request.
    pub context: &'r RequestContext,
    /// The address it comes from.
    pub client_ip: Option<HeaderValue>,
    /// What the auth service is told about the page it comes from.
    pub origin_verdict: Option<HeaderValue>,
    /// Whether it asks for a tunnel.
    pub upgrade: bool,
}

impl Outgoing<'_> {
    /// Writes the headers for one attempt at `host`, which has `remaining_ms` to answer.
    ///
    /// How long the body is, is not among them: whoever sends it says so.
    pub fn write(&self, head: &mut RequestHead<'_>, host: &HeaderValue, remaining_ms: u64) {
        head.ours("host", host);
        let one_hop = self.named_for_one_hop();
        for (name, value) in self.request.headers() {
            let Some(told_as) = self.passes(name.as_str()) else { continue };
            if one_hop.iter().any(|named| named.eq_ignore_ascii_case(name.as_str())) {
                continue;
            }
            let mut bytes = value.as_bytes();
            if name == old::USER_AGENT {
                bytes = bytes.get(..USER_AGENT_MAX).unwrap_or(bytes);
            }
            if told_as == CLIENT_REQUEST_ID && !value.to_str().is_ok_and(is_safe_id) {
                continue;
            }
            head.line(told_as, bytes);
        }
        if self.caller.ticket.is_some()
            && let Some(others) = Burnt::other_protocols(self.request.headers())
        {
            head.line("sec-websocket-protocol", others.as_bytes());
        }
        self.add_ours(head, remaining_ms);
    }

    /// Adds what the gate itself says, in place of whatever the client said.
    fn add_ours(&self, head: &mut RequestHead<'_>, remaining_ms: u64) {
        head.ours("authorization", &self.authorization);
        if let Some(token) = &self.caller.guest_token {
            head.ours(PARTICIPANT_TOKEN, token);
        }
        if self.upgrade {
            head.line("connection", b"upgrade");
            head.line("upgrade", b"websocket");
        }
        head.line(REQUEST_ID, self.context.request_id.as_bytes());
        let traceparent = self.context.traceparent_pieces();
        head.pieces(TRACEPARENT, traceparent.iter().map(|piece| piece.as_bytes()));
        head.number(DEADLINE_MS, remaining_ms);
        if let Some(ip) = &self.client_ip {
            head.ours(CLIENT_IP, ip);
        }
        if let Some(verdict) = &self.origin_verdict {
            head.ours(ORIGIN_VERDICT, verdict);
        }
    }

    /// Returns the headers that the client says are for the next hop only: they end here. A body's length is not the
    /// client's to take away.
    fn named_for_one_hop(&self) -> Vec<&str> {
        let lines = self.request.headers().get_all(old::CONNECTION).filter_map(|line| line.to_str().ok());
        let options = lines.flat_map(|line| line.split(',')).map(str::trim);
        let usual = ["keep-alive", "close", "upgrade", "content-length"];
        options.filter(|option| !usual.iter().any(|usual| usual.eq_ignore_ascii_case(option))).collect()
    }

    /// Returns the name under which a service is told a client's header, if it is told at all.
    fn passes<'n>(&self, name: &'n str) -> Option<&'n str> {
        let is_auth = self.route.service == Service::Auth;
        let is_told = match name {
            "accept" | "accept-language" | "content-type" | "idempotency-key" | "if-match" | "if-none-match"
            | "last-event-id" | "range" | "user-agent" => true,
            REQUEST_ID => return Some(CLIENT_REQUEST_ID),
            "cookie" => is_auth,
            "origin" => is_auth || self.route.kind == Kind::Socket,
            // A ticket is not the service's to see; what else is offered goes apart.
            "sec-websocket-protocol" => self.upgrade && self.caller.ticket.is_none(),
            "sec-websocket-extensions" | "sec-websocket-key" | "sec-websocket-version" => self.upgrade,
            _ => false,
        };
        is_told.then_some(name)
    }
}

/// Copies what the client may see of an answer's headers.
///
/// `Content-Length` is not copied: the server writes it from the body's size. The values are copied byte by byte, because
/// the server keeps the last answers' headers, and would keep all that was read with them.
pub fn copy_to_client(answer: &AnswerHead, client: &mut old::HeaderMap) {
    for (name, value) in answer.headers() {
        if concerns_one_connection(name) || is_named_by_connection(answer, name) {
            continue;
        }
        let name = old::HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, old::HeaderValue::from_bytes(value)) {
            client.append(name, value);
        }
    }
}

/// Adds what every answer has.
pub fn protect(client: &mut old::HeaderMap, for_person: bool) {
    client.insert(old::X_CONTENT_TYPE_OPTIONS, old::HeaderValue::from_static("nosniff"));
    client.insert(old::REFERRER_POLICY, old::HeaderValue::from_static("no-referrer"));
    if for_person && !client.contains_key(old::CACHE_CONTROL) {
        client.insert(old::CACHE_CONTROL, old::HeaderValue::from_static("no-store"));
    }
}

fn concerns_one_connection(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "content-length"
            | "date"
            | "server"
            | "x-powered-by"
            | DRAINING
            | REQUEST_ID
    ) || name.starts_with("access-control-")
}

fn is_named_by_connection(answer: &AnswerHead, name: &str) -> bool {
    answer.has_option("connection", name)
}
