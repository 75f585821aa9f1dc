//! Tickets: what a browser shows where it cannot send a header.
//!
//! A page that opens a socket or a stream cannot set `Authorization`, and a token has no place in an address that ends up
//! in logs. So it asks for a ticket, good once and for seconds, and shows it as the subprotocol `ticket.<t>` or, to a
//! stream, as `?ticket=<t>`. The ticket is redeemed here and goes no further. One that the auth service does not know may
//! be a guest's, which the service behind a route for guests gave out and judges itself.

use actix_web::{
    HttpRequest,
    http::header::{AUTHORIZATION, HeaderMap, SEC_WEBSOCKET_PROTOCOL},
};
use chassis::{
    client::{CallError, Peer},
    problem::{Outcome, Problem},
};
use domain::{contract::TicketRedemption, principal::Principal};
use http::StatusCode;

use crate::{faults::TWO_CREDENTIALS, route::Kind};

/// How a subprotocol that is a ticket begins.
const PREFIX: &str = "ticket.";
/// The name of a query parameter that is one.
const PARAMETER: &str = "ticket=";
/// Longest ticket, bytes.
const LONGEST: usize = 256;

/// A ticket that has been redeemed: worth nothing any more, and nobody's business.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burnt(String);

/// Returns the ticket a request shows.
///
/// # Errors
/// Refuses a ticket beside a bearer token: they may speak for two people.
pub fn shown(request: &HttpRequest, kind: Kind, upgrade: bool) -> Outcome<Option<&str>> {
    let ticket = match kind {
        Kind::Socket if upgrade => protocols(request.headers()).find_map(|name| name.strip_prefix(PREFIX)),
        Kind::Stream => parameters(request.query_string()).find_map(|parameter| parameter.strip_prefix(PARAMETER)),
        _ => None,
    };
    if ticket.is_some() && request.headers().contains_key(AUTHORIZATION) {
        return Err(TWO_CREDENTIALS.into());
    }
    Ok(ticket)
}

fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|name| !name.is_empty())
}

fn parameters(query: &str) -> impl Iterator<Item = &str> {
    query.split('&')
}

impl Burnt {
    /// Returns the subprotocols a request offers beside tickets, as one header's value.
    pub fn other_protocols(headers: &HeaderMap) -> Option<String> {
        let others: Vec<&str> = protocols(headers).filter(|name| !name.starts_with(PREFIX)).collect();
        (!others.is_empty()).then(|| others.join(", "))
    }

    /// Returns a query without tickets.
    pub fn other_parameters(query: &str) -> String {
        let others: Vec<&str> = parameters(query).filter(|parameter| !parameter.starts_with(PARAMETER)).collect();
        others.join("&")
    }

    /// Returns the subprotocol to answer with where the service selects none: browsers close a socket whose offer is not
    /// taken up, and this one tells nobody anything.
    pub fn protocol(&self) -> String {
        [PREFIX, &self.0].concat()
    }
}

/// Redeems tickets at the auth service.
pub struct Tickets(Peer);

impl Tickets {
    /// Asks `auth`.
    pub fn new(auth: Peer) -> Self {
        Self(auth)
    }

    /// Uses a ticket up; returns whose it was, or nobody for one that is used, expired or made up.
    ///
    /// # Errors
    /// 503 or 504 when the auth service does not tell.
    pub async fn redeem(&self, ticket: &str) -> Outcome<Option<(Principal, Burnt)>> {
        let is_plain = ticket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
        if !is_plain || !(1..=LONGEST).contains(&ticket.len()) {
            return Ok(None);
        }
        let body = TicketRedemption { ticket: ticket.to_owned() };
        match self.0.post(None, &["internal", "ws-tickets", "redeem"], &body).await {
            Ok(person) => Ok(Some((person, Burnt(body.ticket)))),
            Err(CallError::Refused(view)) if view.status == StatusCode::UNAUTHORIZED => Ok(None),
            Err(failed) => Err(Problem::from(failed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_ticket_is_found_where_it_belongs_and_taken_out() {
        let socket = TestRequest::with_uri("/ws?ticket=no")
            .append_header(("sec-websocket-protocol", "chat.v1 ,ticket.abc"))
            .append_header(("sec-websocket-protocol", "ticket.def,chat.v2"))
            .to_http_request();
        assert_eq!(shown(&socket, Kind::Socket, true).unwrap(), Some("abc"));
        assert_eq!(shown(&socket, Kind::Socket, false).unwrap(), None);
        assert_eq!(shown(&socket, Kind::Plain, false).unwrap(), None);
        assert_eq!(Burnt::other_protocols(socket.headers()).unwrap(), "chat.v1, chat.v2");
        assert_eq!(Burnt("abc".to_owned()).protocol(), "ticket.abc");
        let stream = TestRequest::with_uri("/s?a=1&ticket=abc&xticket=2&ticket=d").to_http_request();
        assert_eq!(shown(&stream, Kind::Stream, false).unwrap(), Some("abc"));
        assert_eq!(Burnt::other_parameters(stream.query_string()), "a=1&xticket=2");
        let two = TestRequest::with_uri("/s?ticket=abc").append_header(("authorization", "Bearer x")).to_http_request();
        assert_eq!(shown(&two, Kind::Stream, false).unwrap_err().code(), "two_credentials");
    }
}
