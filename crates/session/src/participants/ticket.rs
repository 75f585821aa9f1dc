//! `POST /api/v1/sessions/{id}/stream-ticket`, and what becomes of a ticket.
//!
//! A browser cannot put a token into the handshake of a socket, and a token in an address ends up in logs. So a guest
//! asks for a ticket: random, good for half a minute and for one use, because whoever takes it out of Redis has it alone.
//! Only its digest is kept there. A signed-in person gets one of the auth service's, which the gateway redeems: so their
//! streams end with their login.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL},
    web::{Data, Path},
};
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chassis::{
    client::CallError,
    optional_json::OptionalJson,
    principal::Anyone,
    problem::{Outcome, Problem, ProblemView},
};
use deadpool_redis::redis::cmd;
use domain::{
    contract::StreamTicket,
    fault::common,
    ids::{ParticipantId, SessionId},
    principal::Principal,
    session::{NOT_FOUND, participant::INVALID_TICKET},
};
use serde::{Deserialize, Serialize};

use super::access::{self, Viewer};
use crate::{app::App, sessions::lifecycle::Nothing};

/// How long a ticket is good, seconds: long enough to open a stream, too short to be found somewhere.
const LIFE_SECONDS: u32 = 30;
/// Random bytes of a ticket.
const BYTES: usize = 24;
/// Longest ticket that is looked for, bytes.
const LONGEST: usize = 256;
/// How a subprotocol that is a ticket begins.
const PROTOCOL: &str = "ticket.";
/// The name of a query parameter that is one.
const PARAMETER: &str = "ticket=";

/// Whom a ticket was given to.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Given {
    session_id: SessionId,
    participant_id: ParticipantId,
}

/// Gives a ticket for one socket or stream of a session.
///
/// **Permissions**: the session's owner, and its participants with their token.
#[utoipa::path(
    post, path = "/api/v1/sessions/{id}/stream-ticket", tag = "participants",
    security(("bearer" = [])),
    params(("id" = Uuid, Path)),
    request_body = Option<Nothing>,
    responses(
        (status = 200, body = StreamTicket),
        (status = 401, description = "`unauthenticated`, `invalid_token`", body = ProblemView),
        (status = 404, description = "`session_not_found`", body = ProblemView)
    )
)]
pub async fn give(
    app: Data<App>,
    caller: Anyone,
    id: Path<SessionId>,
    req: HttpRequest,
    _body: OptionalJson<Nothing>,
) -> Outcome<HttpResponse> {
    let viewer = access::bearer(&app, &req, *id).await?;
    let ticket = match (caller.0, viewer) {
        (Some(person), _) | (None, Viewer::Owner(person)) => of_person(&app, person).await?,
        (None, Viewer::Participant { session_id, participant_id }) => {
            of_guest(&app, Given { session_id, participant_id }).await?
        }
    };
    Ok(HttpResponse::Ok().json(ticket))
}

async fn of_person(app: &App, person: Principal) -> Outcome<StreamTicket> {
    match app.peers.auth.post(Some(person), &["auth", "ws-ticket"], &()).await {
        Ok(ticket) => Ok(ticket),
        Err(CallError::Refused(_)) => Err(common::INVALID_TOKEN.into()),
        Err(CallError::Failed(problem)) => Err(problem),
    }
}

async fn of_guest(app: &App, given: Given) -> Outcome<StreamTicket> {
    let mut bytes = [0; BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(Problem::unexpected)?;
    let ticket = BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let holder = serde_json::to_string(&given).map_err(Problem::unexpected)?;
    let mut keep = cmd("SET");
    keep.arg(key(app, &ticket)).arg(holder).arg("NX").arg("EX").arg(LIFE_SECONDS);
    let kept: Option<String> = app.ground.redis.run(&keep).await?;
    kept.ok_or_else(|| Problem::unexpected("a ticket was drawn twice"))?;
    Ok(StreamTicket { ticket, expires_in: LIFE_SECONDS })
}

/// Returns the subprotocol that is a ticket, where a handshake offers one: it is the one to take up.
pub fn offered(req: &HttpRequest) -> Option<HeaderValue> {
    protocols(req).find(|name| name.starts_with(PROTOCOL)).and_then(|name| HeaderValue::from_str(name).ok())
}

fn protocols(req: &HttpRequest) -> impl Iterator<Item = &str> {
    let lines = req.headers().get_all(SEC_WEBSOCKET_PROTOCOL).filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// Returns the ticket that a request shows. The gateway passes on what the auth service does not know.
pub(super) fn shown(req: &HttpRequest) -> Option<String> {
    let by_protocol = protocols(req).find_map(|name| name.strip_prefix(PROTOCOL));
    let by_query = || req.query_string().split('&').find_map(|parameter| parameter.strip_prefix(PARAMETER));
    by_protocol.or_else(by_query).map(str::to_owned)
}

/// Uses a ticket up, and says whose it was.
///
/// # Errors
/// 401 [`INVALID_TICKET`] when it is used, over, made up, or of somebody who has left; 404 when it is for another
/// session; 503 without Redis or the database.
pub(super) async fn redeem(app: &App, ticket: &str, session_id: SessionId) -> Outcome<Viewer> {
    if !(1..=LONGEST).contains(&ticket.len()) {
        return Err(INVALID_TICKET.into());
    }
    let mut take = cmd("GETDEL");
    take.arg(key(app, ticket));
    let holder: Option<String> = app.ground.redis.run(&take).await?;
    let holder = holder.ok_or(INVALID_TICKET)?;
    let given: Given = serde_json::from_str(&holder).map_err(Problem::unexpected)?;
    if given.session_id != session_id {
        return Err(NOT_FOUND.into());
    }
    if !access::is_in(app, session_id, given.participant_id).await? {
        return Err(INVALID_TICKET.into());
    }
    Ok(Viewer::Participant { session_id, participant_id: given.participant_id })
}

fn key(app: &App, ticket: &str) -> String {
    let digest = digest(&SHA256, ticket.as_bytes());
    app.ground.redis.key(format_args!("stream-ticket:{}", hex::encode(digest)))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_ticket_is_found_among_protocols_and_parameters() {
        let socket = TestRequest::with_uri("/ws/sessions/1")
            .append_header(("sec-websocket-protocol", "chat.v1, ticket.abc"))
            .to_http_request();
        assert_eq!(shown(&socket).as_deref(), Some("abc"));
        let stream = TestRequest::with_uri("/s?a=1&xticket=2&ticket=def").to_http_request();
        assert_eq!(shown(&stream).as_deref(), Some("def"));
        assert_eq!(shown(&TestRequest::with_uri("/s?a=1").to_http_request()), None);
    }
}
