//! `GET /emotion/sessions/{session_id}/summary`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    edge::Language,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::ids::ConversationId;

use super::{SummaryView, card, of_steps};
use crate::{app::App, conversation};

/// Shows the summary card of a conversation; it is made when it is first asked for, and again when more was said since.
///
/// **Permissions**: the conversation's owner; for anybody else it is not there.
#[utoipa::path(
    get, path = "/emotion/sessions/{session_id}/summary", tag = "summary", security(("bearer" = [])),
    params(("session_id" = ConversationId, Path)),
    responses(
        (status = 200, body = SummaryView),
        (status = 404, description = "`session_not_found`", body = ProblemView)
    )
)]
pub async fn show(
    app: Data<App>,
    person: Person,
    language: Language,
    id: Path<ConversationId>,
) -> Outcome<HttpResponse> {
    let (owner, id) = (person.0.user_id, id.into_inner());
    conversation::get(&app, owner, id).await?;
    let view = match card::of(&app, owner, id, language.0).await? {
        Some(kept) => SummaryView::new(id.0, kept),
        None => SummaryView::empty(id.0, of_steps(&[], language.0)),
    };
    Ok(HttpResponse::Ok().json(view))
}
