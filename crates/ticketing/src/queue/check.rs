//! `POST /api/v1/queue/check/{event_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    edge::Language,
    optional_json::OptionalJson,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::ids::EventId;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{rooms::is_off, ticket::QueueTicketHeader, view::PlaceView};
use crate::app::App;

/// The place somebody had.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CheckRequest {
    /// The `queueTicket` of an earlier answer; brings the place back if the line was lost since.
    queue_ticket: Option<String>,
}

/// Comes in, or waits in line; who asks again, from whatever device, keeps their place.
///
/// **Permissions**: a signed-in person.
#[utoipa::path(
    post, path = "/api/v1/queue/check/{event_id}", tag = "queue", security(("bearer" = [])),
    params(("event_id" = EventId, Path), ("X-Queue-Ticket" = Option<String>, Header, description = "the `queueTicket` of an earlier answer")),
    request_body = Option<CheckRequest>,
    responses(
        (status = 200, body = PlaceView),
        (status = 401, body = ProblemView),
        (status = 404, description = "`event_not_found`", body = ProblemView),
        (status = 409, description = "`sale_closed`: the event is over or cancelled", body = ProblemView),
        (status = 503, description = "the order cannot be kept now; nobody is let past it", body = ProblemView)
    )
)]
pub async fn check(
    app: Data<App>,
    person: Person,
    language: Language,
    event_id: Path<EventId>,
    header: QueueTicketHeader,
    body: OptionalJson<CheckRequest>,
) -> Outcome<HttpResponse> {
    let user = person.0.user_id;
    let (room, facts) = app.queue.open_event(*event_id).await?;
    if is_off(&facts) {
        return Ok(HttpResponse::Ok().json(PlaceView::everybody(facts)));
    }
    let text = body.0.queue_ticket.or(header.0);
    let ticket = app.queue.read_ticket(text.as_deref(), *event_id, user);
    let seen = app.queue.join(&room, user, ticket.as_ref()).await?;
    Ok(HttpResponse::Ok().json(PlaceView::new(&app.queue, &room, facts, user, &seen, language.0)))
}
