//! `POST /api/v1/queue/defer/{event_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path},
};
use chassis::{
    edge::Language,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use domain::{
    ids::EventId,
    waiting_room::{NOT_WAITING, Standing, parse_places},
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{rooms::is_off, view::PlaceView};
use crate::app::App;

/// How far somebody steps back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeferRequest {
    /// 1-10,000; more than wait behind means the end of the line.
    places: i64,
}

/// Steps back by some places, for who is not ready yet; nobody who joins later comes before them.
///
/// **Permissions**: a signed-in person who waits.
#[utoipa::path(
    post, path = "/api/v1/queue/defer/{event_id}", tag = "queue", security(("bearer" = [])),
    params(("event_id" = EventId, Path)), request_body = DeferRequest,
    responses(
        (status = 200, body = PlaceView),
        (status = 401, body = ProblemView),
        (status = 404, description = "`event_not_found`", body = ProblemView),
        (status = 409, description = "`not_waiting`, `sale_closed`", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView),
        (status = 503, description = "the order cannot be kept now", body = ProblemView)
    )
)]
pub async fn defer(
    app: Data<App>,
    person: Person,
    language: Language,
    event_id: Path<EventId>,
    body: Json<DeferRequest>,
) -> Outcome<HttpResponse> {
    let user = person.0.user_id;
    let places = parse_places(body.places)?;
    let (room, facts) = app.queue.open_event(*event_id).await?;
    if is_off(&facts) {
        return Err(NOT_WAITING.into());
    }
    let seen = app.queue.defer(&room, user, places).await?;
    if seen.standing != Standing::Queued {
        return Err(NOT_WAITING.into());
    }
    Ok(HttpResponse::Ok().json(PlaceView::new(&app.queue, &room, facts, user, &seen, language.0)))
}
