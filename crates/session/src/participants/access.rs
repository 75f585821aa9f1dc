//! Who may look at a session: its owner, and whoever is in it.
//!
//! A signed-in person is known by the internal token. A guest shows the token they got when they joined, which the
//! gateway passes on beside its own (`X-Participant-Token`; a client cannot set it), or, where a browser can show none,
//! a ticket for one stream. Whoever is neither owner nor in finds no such session.

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use chassis::{principal::Anyone, problem::Outcome};
use domain::{
    fault::common,
    ids::{ParticipantId, SessionId},
    principal::Principal,
    session::NOT_FOUND,
};

use super::{store, ticket, token::ParticipantToken};
use crate::app::App;

/// Where the gateway puts a bearer token that is not one of its own.
const GUEST_TOKEN: &str = "x-participant-token";

/// Somebody who may look at a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// Whose session it is.
    Owner(Principal),
    /// Who is in it.
    Participant {
        /// The session.
        session_id: SessionId,
        /// Their place in it.
        participant_id: ParticipantId,
    },
}

/// Finds out who wants to look at a session: a signed-in person, the bearer of a participant's token, or the holder of
/// a ticket (`Sec-WebSocket-Protocol: ticket.<t>`, `?ticket=<t>`).
///
/// For sockets and streams, once per request: a ticket that is shown is used up by this, whether or not it opens this
/// session. That a viewer was in when they came says nothing of later; [`is_in`] does.
///
/// # Errors
/// 401 for nobody, and for a token or ticket that is forged, over, used, or of somebody who has left; 404
/// `session_not_found` for a session that is not theirs; 503 without the database, or without Redis for a ticket.
pub async fn viewer(app: &App, req: &HttpRequest, session_id: SessionId) -> Outcome<Viewer> {
    match (holder(app, req, session_id).await?, ticket::shown(req)) {
        (Some(viewer), _) => Ok(viewer),
        (None, Some(ticket)) => ticket::redeem(app, &ticket, session_id).await,
        (None, None) => Err(common::UNAUTHENTICATED.into()),
    }
}

/// Returns whether a participant is still in a session, for streams that look again from time to time.
///
/// # Errors
/// 503 without the database.
pub async fn is_in(app: &App, session_id: SessionId, participant_id: ParticipantId) -> Outcome<bool> {
    let mut conn = app.ground.pg.conn().await?;
    store::is_in(&mut conn, session_id, participant_id).await
}

/// As [`viewer`], for requests that can carry a token: tickets are not looked at.
///
/// # Errors
/// As [`viewer`].
pub(super) async fn bearer(app: &App, req: &HttpRequest, session_id: SessionId) -> Outcome<Viewer> {
    Ok(holder(app, req, session_id).await?.ok_or(common::UNAUTHENTICATED)?)
}

async fn holder(app: &App, req: &HttpRequest, session_id: SessionId) -> Outcome<Option<Viewer>> {
    if let Anyone(Some(person)) = Anyone::from_request(req, &mut Payload::None).into_inner()? {
        return of_person(app, person, session_id).await.map(Some);
    }
    let Some(token) = req.headers().get(GUEST_TOKEN) else { return Ok(None) };
    let read = |text: &str| ParticipantToken::read(text, &app.participant_mac, app.ground.clock.now());
    let token = token.to_str().ok().and_then(read).ok_or(common::INVALID_TOKEN)?;
    if token.session_id != session_id {
        return Err(NOT_FOUND.into());
    }
    if !is_in(app, session_id, token.participant_id).await? {
        return Err(common::INVALID_TOKEN.into());
    }
    Ok(Some(Viewer::Participant { session_id, participant_id: token.participant_id }))
}

async fn of_person(app: &App, person: Principal, session_id: SessionId) -> Outcome<Viewer> {
    let mut conn = app.ground.pg.conn().await?;
    let (owner, place) = store::place_of(&mut conn, session_id, person.user_id).await?.ok_or(NOT_FOUND)?;
    if owner == person.user_id {
        return Ok(Viewer::Owner(person));
    }
    let participant_id = place.ok_or(NOT_FOUND)?;
    Ok(Viewer::Participant { session_id, participant_id })
}
