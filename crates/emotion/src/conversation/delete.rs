//! `DELETE /emotion/sessions/{session_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::ids::ConversationId;

use super::{NOT_FOUND, announced, store};
use crate::{app::App, reply};

/// Deletes a conversation with everything in it, for good. A reply that is being written ends, and is kept nowhere.
///
/// **Permissions**: its owner; for anybody else it is not there.
#[utoipa::path(
    delete, path = "/emotion/sessions/{session_id}", tag = "conversations", security(("bearer" = [])),
    params(("session_id" = ConversationId, Path)),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "`session_not_found`", body = ProblemView)
    )
)]
pub async fn delete(app: Data<App>, person: Person, id: Path<ConversationId>) -> Outcome<HttpResponse> {
    let (owner, id) = (person.0.user_id, id.into_inner());
    // The note first: while it is there, a socket that only knows of the conversation could write it again.
    let was_announced = announced::remove(&app.ground.redis, owner, id).await.unwrap_or_default();
    let was_written = {
        let mut conn = app.ground.pg.conn().await?;
        store::delete(&mut conn, owner, id).await?
    };
    reply::forget(&app, owner, Some(id)).await;
    if was_written || was_announced { Ok(HttpResponse::NoContent().finish()) } else { Err(NOT_FOUND.into()) }
}
