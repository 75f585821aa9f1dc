//! Which headers pass the gate, in either direction.
//!
//! Towards a service only what is on a list: a header that some service might trust can then never be a client's.
//! Towards the client everything but what concerns one connection only, or tells what runs inside.

use actix_web::{HttpRequest, http::header as old};
use chassis::{
    context::RequestContext,
    edge::{CLIENT_IP, DEADLINE_MS, DRAINING, ORIGIN_VERDICT, REQUEST_ID, TRACEPARENT, is_safe_id},
    problem::{Outcome, Problem},
};
use domain::principal::Service;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    admit::Caller,
    route::{Kind, Route},
    ticket::Burnt,
};

/// A guest's own token, which the service gave out and judges.
const PARTICIPANT_TOKEN: HeaderName = HeaderName::from_static("x-participant-token");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The id a client gave its request; ours goes beside it.
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-client-request-id");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Longest `User-Agent` that is passed on, bytes.
const USER_AGENT_MAX: usize = 256;
/// Headers of a usual request to a service; spares growing the map, and a larger one costs more than growing it.
const USUAL_COUNT: usize = 12;

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
    /// Builds the headers for one attempt at `host`, which has `remaining_ms` to answer.
    ///
    /// # Errors
    /// Returns a problem when an id of ours is no header value, which no id is.
    pub fn headers(&self, host: &HeaderValue, remaining_ms: u64) -> Outcome<HeaderMap> {
        let mut headers = HeaderMap::with_capacity(USUAL_COUNT);
        headers.insert(header::HOST, host.clone());
        let one_hop = self.named_for_one_hop();
        for (name, value) in self.request.headers() {
            if one_hop.iter().any(|named| named.eq_ignore_ascii_case(name.as_str())) {
                continue;
            }
            let Some(name) = self.passes(name.as_str()) else { continue };
            let mut bytes = value.as_bytes();
            if name == header::USER_AGENT {
                bytes = bytes.get(..USER_AGENT_MAX).unwrap_or(bytes);
            }
            if name == CLIENT_REQUEST_ID && !value.to_str().is_ok_and(is_safe_id) {
                continue;
            }
            headers.append(name, HeaderValue::from_bytes(bytes).map_err(Problem::unexpected)?);
        }
        self.hide_ticket(&mut headers)?;
        self.add_ours(&mut headers, remaining_ms)?;
        Ok(headers)
    }

    /// Leaves the subprotocols that are none of a ticket's.
    fn hide_ticket(&self, headers: &mut HeaderMap) -> Outcome<()> {
        if self.caller.ticket.is_some() {
            headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
            if let Some(others) = Burnt::other_protocols(self.request.headers()) {
                let others = HeaderValue::try_from(others).map_err(Problem::unexpected)?;
                headers.insert(header::SEC_WEBSOCKET_PROTOCOL, others);
            }
        }
        Ok(())
    }

    /// Adds what the gate itself says, in place of whatever the client said.
    fn add_ours(&self, headers: &mut HeaderMap, remaining_ms: u64) -> Outcome<()> {
        headers.insert(header::AUTHORIZATION, self.authorization.clone());
        if let Some(token) = &self.caller.guest_token {
            headers.insert(PARTICIPANT_TOKEN, token.clone());
        }
        if self.upgrade {
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        let text = |text: &str| HeaderValue::from_str(text).map_err(Problem::unexpected);
        headers.insert(HeaderName::from_static(REQUEST_ID), text(&self.context.request_id)?);
        headers.insert(HeaderName::from_static(TRACEPARENT), text(&self.context.traceparent())?);
        headers.insert(HeaderName::from_static(DEADLINE_MS), HeaderValue::from(remaining_ms));
        if let Some(ip) = &self.client_ip {
            headers.insert(HeaderName::from_static(CLIENT_IP), ip.clone());
        }
        if let Some(verdict) = &self.origin_verdict {
            headers.insert(HeaderName::from_static(ORIGIN_VERDICT), verdict.clone());
        }
        Ok(())
    }

    /// Returns the headers that the client says are for the next hop only: they end here. A body's length is not the
    /// client's to take away.
    fn named_for_one_hop(&self) -> Vec<&str> {
        let lines = self.request.headers().get_all(old::CONNECTION).filter_map(|line| line.to_str().ok());
        let options = lines.flat_map(|line| line.split(',')).map(str::trim);
        let usual = ["keep-alive", "close", "upgrade", "content-length"];
        options.filter(|option| !usual.iter().any(|usual| usual.eq_ignore_ascii_case(option))).collect()
    }

    fn passes(&self, name: &str) -> Option<HeaderName> {
        let is_auth = self.route.service == Service::Auth;
        let is_socket = self.route.kind == Kind::Socket;
        Some(match name {
            "accept" => header::ACCEPT,
            "accept-language" => header::ACCEPT_LANGUAGE,
            "content-type" => header::CONTENT_TYPE,
            "content-length" if !self.upgrade => header::CONTENT_LENGTH,
            "idempotency-key" => IDEMPOTENCY_KEY,
            "if-match" => header::IF_MATCH,
            "if-none-match" => header::IF_NONE_MATCH,
            "last-event-id" => LAST_EVENT_ID,
            "range" => header::RANGE,
            "user-agent" => header::USER_AGENT,
            REQUEST_ID => CLIENT_REQUEST_ID,
            "cookie" if is_auth => header::COOKIE,
            "origin" if is_auth || is_socket => header::ORIGIN,
            "sec-websocket-extensions" if self.upgrade => header::SEC_WEBSOCKET_EXTENSIONS,
            "sec-websocket-key" if self.upgrade => header::SEC_WEBSOCKET_KEY,
            "sec-websocket-protocol" if self.upgrade => header::SEC_WEBSOCKET_PROTOCOL,
            "sec-websocket-version" if self.upgrade => header::SEC_WEBSOCKET_VERSION,
            _ => return None,
        })
    }
}

/// Copies what the client may see of an answer's headers.
///
/// `Content-Length` is not copied: the server writes it from the body's size.
pub fn copy_to_client(answer: &HeaderMap, client: &mut old::HeaderMap) {
    for (name, value) in answer {
        if concerns_one_connection(name.as_str()) || is_named_by_connection(answer, name) {
            continue;
        }
        let name = old::HeaderName::from_bytes(name.as_str().as_bytes());
        if let (Ok(name), Ok(value)) = (name, old::HeaderValue::from_bytes(value.as_bytes())) {
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

fn is_named_by_connection(answer: &HeaderMap, name: &HeaderName) -> bool {
    let mut lines = answer.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    lines.any(|line| line.split(',').any(|option| option.trim().eq_ignore_ascii_case(name.as_str())))
}
