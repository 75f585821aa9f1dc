//! `DELETE /api/v1/sessions/{id}/participants/{pid}`.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Path},
};
use chassis::problem::{Outcome, ProblemView};
use diesel_async::AsyncConnection;
use domain::{
    ids::{ParticipantId, SessionId},
    session::participant::PARTICIPANT_NOT_FOUND,
};

use super::{
    access::{self, Viewer},
    store,
};
use crate::{
    app::App,
    stream::{self, event::Event},
};

/// Takes somebody out of a session; their token is worth nothing from then on.
///
/// **Permissions**: the session's owner for everybody in it, and each participant for themselves.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{id}/participants/{pid}", tag = "participants",
    security(("bearer" = [])),
    params(("id" = Uuid, Path), ("pid" = Uuid, Path)),
    responses(
        (status = 204),
        (status = 401, description = "`unauthenticated`, `invalid_token`", body = ProblemView),
        (status = 404, description = "`session_not_found`, `participant_not_found`", body = ProblemView)
    )
)]
pub async fn leave(app: Data<App>, req: HttpRequest, path: Path<(SessionId, ParticipantId)>) -> Outcome<HttpResponse> {
    let (session, who) = path.into_inner();
    let viewer = access::bearer(&app, &req, session).await?;
    let may = match viewer {
        Viewer::Owner(_) => true,
        Viewer::Participant { participant_id, .. } => participant_id == who,
    };
    if !may {
        return Err(PARTICIPANT_NOT_FOUND.into());
    }
    let mut conn = app.ground.pg.conn().await?;
    let gone = Event::left(who)?;
    conn.transaction(async |conn| {
        store::take_out(conn, session, who).await?.ok_or(PARTICIPANT_NOT_FOUND)?;
        stream::store::append(conn, session, &gone).await
    })
    .await?;
    app.rooms.tell(session);
    Ok(HttpResponse::NoContent().finish())
}
