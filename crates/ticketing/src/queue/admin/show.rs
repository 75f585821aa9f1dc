//! `GET /api/v1/queue/admin/{event_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Organizer,
    problem::{Outcome, ProblemView},
};
use domain::ids::EventId;

use super::{describe, own_room};
use crate::{app::App, queue::view::RoomView};

/// Shows how a waiting room stands and how it is run.
///
/// **Permissions**: the event's organizer, or an admin.
#[utoipa::path(
    get, path = "/api/v1/queue/admin/{event_id}", tag = "queue", security(("bearer" = [])),
    params(("event_id" = EventId, Path)),
    responses(
        (status = 200, body = RoomView),
        (status = 403, description = "`forbidden`", body = ProblemView),
        (status = 404, description = "`event_not_found`: unknown, or somebody else's", body = ProblemView),
        (status = 503, description = "the order cannot be read now", body = ProblemView)
    )
)]
pub async fn show_room(app: Data<App>, organizer: Organizer, event_id: Path<EventId>) -> Outcome<HttpResponse> {
    let (room, facts) = own_room(&app, organizer.0, *event_id).await?;
    Ok(HttpResponse::Ok().json(describe(&app.queue, &room, facts.settings).await?))
}
