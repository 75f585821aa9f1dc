//! `POST /api/v1/queue/admin/clear/{event_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    edge::Language,
    principal::Organizer,
    problem::{Outcome, ProblemView},
};
use domain::{ids::EventId, locale::Text};
use serde::Serialize;
use utoipa::ToSchema;

use super::own_room;
use crate::{app::App, queue::rooms::LineChange};

const CLEARED: Text = Text::new("대기열을 비웠습니다.", "The waiting room was emptied.");

/// A waiting room that was emptied.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClearedView {
    /// For people.
    message: &'static str,
    /// How many were sent away, from the line and from inside.
    cleared: i64,
}

/// Sends everybody away, who waits and who is inside; their tickets are worth nothing any more, and all may join again.
///
/// **Permissions**: the event's organizer, or an admin.
#[utoipa::path(
    post, path = "/api/v1/queue/admin/clear/{event_id}", tag = "queue", security(("bearer" = [])),
    params(("event_id" = EventId, Path)),
    responses(
        (status = 200, body = ClearedView),
        (status = 403, description = "`forbidden`", body = ProblemView),
        (status = 404, description = "`event_not_found`: unknown, or somebody else's", body = ProblemView),
        (status = 503, description = "it is emptied as soon as the order can be read", body = ProblemView)
    )
)]
pub async fn clear_room(
    app: Data<App>,
    organizer: Organizer,
    language: Language,
    event_id: Path<EventId>,
) -> Outcome<HttpResponse> {
    let (room, _facts) = own_room(&app, organizer.0, *event_id).await?;
    let (_line, place) = app.queue.change(&room, LineChange::Empty).await?;
    // Where a script tells a number, it is here how many there were.
    let cleared = place.map_or(0, |place| place.numbers.seq);
    tracing::info!(event_id = %event_id, cleared, "a waiting room was emptied");
    Ok(HttpResponse::Ok().json(ClearedView { message: CLEARED.in_locale(language.0), cleared }))
}
