//! `POST /api/v1/queue/leave/{event_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    edge::Language,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{ids::EventId, locale::Text};
use serde::Serialize;
use utoipa::ToSchema;

use super::{rooms::is_off, script::Leaving};
use crate::app::App;

const LEFT: Text = Text::new("대기열에서 나왔습니다.", "You have left the waiting room.");

/// Somebody has gone.
#[derive(Debug, Serialize, ToSchema)]
pub struct LeftView {
    /// For people.
    message: &'static str,
}

/// Leaves the line, or gives the place inside to the next. Who does neither wait nor is inside has left already.
///
/// **Permissions**: a signed-in person.
#[utoipa::path(
    post, path = "/api/v1/queue/leave/{event_id}", tag = "queue", security(("bearer" = [])),
    params(("event_id" = EventId, Path)),
    responses(
        (status = 200, body = LeftView),
        (status = 401, body = ProblemView),
        (status = 404, description = "`event_not_found`", body = ProblemView),
        (status = 503, description = "the order cannot be kept now", body = ProblemView)
    )
)]
pub async fn leave(
    app: Data<App>,
    person: Person,
    language: Language,
    event_id: Path<EventId>,
) -> Outcome<HttpResponse> {
    let (room, facts) = app.queue.event(*event_id).await?;
    if !is_off(&facts) {
        app.queue.leave(&room, person.0.user_id, Leaving::Anywhere).await?;
    }
    Ok(HttpResponse::Ok().json(LeftView { message: LEFT.in_locale(language.0) }))
}
