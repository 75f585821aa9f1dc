//! `POST /api/v1/queue/heartbeat/{event_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{ids::EventId, waiting_room::Standing};
use serde::Serialize;
use utoipa::ToSchema;

use super::{rooms::is_off, ticket::QueueTicketHeader};
use crate::app::App;

/// A place that was kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeartbeatView {
    /// `queued`, `active` or `not_in_queue`.
    status: Standing,
    /// Whether they wait.
    queued: bool,
}

/// Keeps somebody's place without saying more than that it is kept.
///
/// **Permissions**: a signed-in person.
#[utoipa::path(
    post, path = "/api/v1/queue/heartbeat/{event_id}", tag = "queue", security(("bearer" = [])),
    params(("event_id" = EventId, Path), ("X-Queue-Ticket" = Option<String>, Header, description = "the `queueTicket` of an earlier answer")),
    responses(
        (status = 200, body = HeartbeatView),
        (status = 401, body = ProblemView),
        (status = 404, description = "`event_not_found`", body = ProblemView),
        (status = 409, description = "`sale_closed`: the event is over or cancelled", body = ProblemView),
        (status = 503, description = "the order cannot be read now", body = ProblemView)
    )
)]
pub async fn heartbeat(
    app: Data<App>,
    person: Person,
    event_id: Path<EventId>,
    header: QueueTicketHeader,
) -> Outcome<HttpResponse> {
    let user = person.0.user_id;
    let (room, facts) = app.queue.open_event(*event_id).await?;
    let status = if is_off(&facts) {
        Standing::Active
    } else {
        let ticket = app.queue.read_ticket(header.0.as_deref(), *event_id, user);
        app.queue.look(&room, user, ticket.as_ref()).await?.standing
    };
    Ok(HttpResponse::Ok().json(HeartbeatView { status, queued: status == Standing::Queued }))
}
