//! `GET /emotion/sessions/{session_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::ids::ConversationId;

use super::{ConversationView, get};
use crate::app::App;

/// Shows a conversation.
///
/// **Permissions**: its owner; for anybody else it is not there.
#[utoipa::path(
    get, path = "/emotion/sessions/{session_id}", tag = "conversations", security(("bearer" = [])),
    params(("session_id" = ConversationId, Path)),
    responses(
        (status = 200, body = ConversationView),
        (status = 404, description = "`session_not_found`", body = ProblemView)
    )
)]
pub async fn show(app: Data<App>, person: Person, id: Path<ConversationId>) -> Outcome<HttpResponse> {
    let conversation = get(&app, person.0.user_id, id.into_inner()).await?.conversation;
    Ok(HttpResponse::Ok().json(ConversationView::from(conversation)))
}
