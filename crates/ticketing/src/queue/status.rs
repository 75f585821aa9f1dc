//! `GET /api/v1/queue/status/{event_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    edge::Language,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::ids::EventId;

use super::{rooms::is_off, ticket::QueueTicketHeader, view::PlaceView};
use crate::app::App;

/// Says how far somebody is, and keeps their place; who is not in line is not put there.
///
/// **Permissions**: a signed-in person.
#[utoipa::path(
    get, path = "/api/v1/queue/status/{event_id}", tag = "queue", security(("bearer" = [])),
    params(("event_id" = EventId, Path), ("X-Queue-Ticket" = Option<String>, Header, description = "the `queueTicket` of an earlier answer")),
    responses(
        (status = 200, body = PlaceView),
        (status = 401, body = ProblemView),
        (status = 404, description = "`event_not_found`", body = ProblemView),
        (status = 409, description = "`sale_closed`: the event is over or cancelled", body = ProblemView),
        (status = 503, description = "the order cannot be read now", body = ProblemView)
    )
)]
pub async fn show_status(
    app: Data<App>,
    person: Person,
    language: Language,
    event_id: Path<EventId>,
    header: QueueTicketHeader,
) -> Outcome<HttpResponse> {
    let user = person.0.user_id;
    let (room, facts) = app.queue.open_event(*event_id).await?;
    if is_off(&facts) {
        return Ok(HttpResponse::Ok().json(PlaceView::everybody(facts)));
    }
    let ticket = app.queue.read_ticket(header.0.as_deref(), *event_id, user);
    let seen = app.queue.look(&room, user, ticket.as_ref()).await?;
    Ok(HttpResponse::Ok().json(PlaceView::new(&app.queue, &room, facts, user, &seen, language.0)))
}
