//! `POST /api/v1/sessions/code/{code}/join`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{Data, Path},
};
use aws_lc_rs::digest::{SHA256, digest};
use chassis::{
    context,
    edge::CLIENT_IP,
    idempotency::IdempotencyKey,
    optional_json::OptionalJson,
    principal::Anyone,
    problem::{Outcome, Problem, ProblemView},
};
use diesel_async::AsyncConnection;
use domain::{
    fault::{Violations, common},
    ids::{ParticipantId, SessionId},
    locale::Text,
    principal::Principal,
    session::{lifecycle::NOT_ACTIVE, participant::parse_display_name},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    ParticipantView, PublicSessionView, admission, lookup,
    store::{self, NewParticipant, Participant},
    token::ParticipantToken,
};
use crate::{
    app::App,
    sessions::store::Session,
    stream::{
        self,
        event::{Event, Topic},
    },
};

/// What somebody is called who says nothing about it.
const UNNAMED: Text = Text::new("참가자", "Participant");

/// How somebody wants to come in.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// 1-50 characters, without the spaces around them; a signed-in person's own name when it is left out.
    #[schema(min_length = 1, max_length = 50)]
    display_name: Option<String>,
}

impl JoinRequest {
    fn name(&self) -> Result<Option<String>, Violations> {
        let mut violations = Violations::new();
        let name = self.display_name.as_deref().and_then(|name| parse_display_name(name, &mut violations));
        violations.into_result().map(|()| name)
    }
}

/// Somebody who has come in.
#[derive(Debug, Serialize, ToSchema)]
pub struct JoinedView {
    /// Who they are in the session.
    pub participant: ParticipantView,
    /// Their bearer token for everything that participants may do, until they leave.
    pub participant_token: String,
    /// The session.
    pub session: PublicSessionView,
}

/// Comes into an active session, signed in or as a guest.
///
/// A signed-in person who is in already gets the same place again, with another token for it. A session of an event is
/// for those who have a confirmed ticket.
#[utoipa::path(
    post, path = "/api/v1/sessions/code/{code}/join", tag = "participants", security((), ("bearer" = [])),
    params(
        ("code" = String, Path, description = "As it stands on the screen"),
        ("Idempotency-Key" = Option<String>, Header, description = "Sent twice, a guest comes in once")
    ),
    request_body = Option<JoinRequest>,
    responses(
        (status = 201, body = JoinedView),
        (status = 403, description = "`ticket_required`", body = ProblemView),
        (status = 404, description = "`session_not_found`", body = ProblemView),
        (status = 409, description = "`session_not_active`, `session_full`", body = ProblemView),
        (status = 422, description = "`invalid`, `idempotency_key_reused`", body = ProblemView)
    )
)]
pub async fn join(
    app: Data<App>,
    caller: Anyone,
    code: Path<String>,
    key: IdempotencyKey,
    req: HttpRequest,
    body: OptionalJson<JoinRequest>,
) -> Outcome<HttpResponse> {
    let name = body.0.name()?;
    let session = lookup::find(&app, &code).await?;
    if !session.is_active() {
        return Err(NOT_ACTIVE.into());
    }
    admission::require_ticket(&app, &session, caller.0).await?;
    let display_name = match name {
        Some(name) => name,
        None => usual_name(&app, caller.0).await,
    };
    let new = NewParticipant {
        id: app.ground.clock.uuid(),
        session_id: session.id,
        user_id: caller.0.map(|person| person.user_id.0),
        display_name,
        join_key: join_key(&req, caller.0, key),
    };
    let (participant, count) = enter(&app, &session, new).await?;
    let joined = joined(&app, participant, Session { participant_count: count, ..session }).await;
    Ok(HttpResponse::Created().insert_header((header::CACHE_CONTROL, "no-store")).json(joined))
}

async fn usual_name(app: &App, person: Option<Principal>) -> String {
    let own = match person {
        Some(person) => app.names.of(&app.peers.cards, person.user_id).await,
        None => None,
    };
    // An account's name may be longer than a place card.
    let own = own.and_then(|name| parse_display_name(&name, &mut Violations::new()));
    own.unwrap_or_else(|| UNNAMED.in_locale(context::locale()).to_owned())
}

/// Makes a guest's key one that only who comes from there can use: keys may be short, and a place is worth something.
/// A person is known without.
fn join_key(req: &HttpRequest, person: Option<Principal>, key: IdempotencyKey) -> Option<Vec<u8>> {
    let key = key.0.filter(|_| person.is_none())?;
    let from = req.headers().get(CLIENT_IP).and_then(|ip| ip.to_str().ok()).unwrap_or_default();
    Some(digest(&SHA256, format!("{from}\n{key}").as_bytes()).as_ref().to_vec())
}

/// Takes a place, or finds the one that they have; returns it and how many are in the session.
async fn enter(app: &App, session: &Session, new: NewParticipant) -> Outcome<(Participant, i32)> {
    let mut conn = app.ground.pg.conn().await?;
    let entering = conn.transaction(async |conn| {
        if let Some(participant) = store::insert(conn, &new).await? {
            let count = store::count_in(conn, session.id).await?;
            stream::store::append(conn, SessionId(session.id), &Event::changed(Topic::Participants)).await?;
            return Outcome::Ok((participant, count, true));
        }
        let place = store::find_of(conn, &new).await?;
        // They were in a moment ago, and are not any more.
        let place = place.ok_or_else(|| Problem::unavailable("somebody left while they came in"))?;
        if new.join_key.is_some() && place.display_name != new.display_name {
            return Err(common::IDEMPOTENCY_KEY_REUSED.into());
        }
        Ok((place, session.participant_count, false))
    });
    let (participant, count, is_new) = entering.await?;
    if is_new {
        app.rooms.tell(SessionId(session.id));
    }
    Ok((participant, count))
}

async fn joined(app: &App, participant: Participant, session: Session) -> JoinedView {
    let token = ParticipantToken {
        session_id: SessionId(participant.session_id),
        participant_id: ParticipantId(participant.id),
    };
    JoinedView {
        participant_token: token.write(&app.participant_mac, app.ground.clock.now()),
        participant: participant.into(),
        session: PublicSessionView::new(app, session).await,
    }
}
