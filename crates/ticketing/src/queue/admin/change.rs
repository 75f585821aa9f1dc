//! `PUT /api/v1/queue/admin/{event_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path},
};
use chassis::{
    principal::Organizer,
    problem::{Outcome, ProblemView},
};
use domain::{
    ids::EventId,
    time::Instant,
    waiting_room::settings::{Mode, SettingsChange},
};
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::{describe, own_room};
use crate::{
    app::App,
    queue::{rooms::LineChange, view::RoomView},
};

/// How a waiting room is to be run; what is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::option_option, reason = "left out, taken away, or given")]
pub struct ChangeRoomRequest {
    /// `off` (admission is never needed), `auto` (while the event is full or anybody waits) or `on`.
    mode: Option<Mode>,
    /// How many may be inside at once, 1-1,000,000. More than before lets people in at once.
    threshold: Option<i64>,
    /// How many may be let in within a second, 1-100,000; `null` for any number.
    #[serde(default, alias = "ratePerSecond", deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    rate_per_second: Option<Option<i64>>,
    /// Whether nobody is let in for now.
    paused: Option<bool>,
    /// From when on people are let in; `null` for the start of the sale.
    #[serde(default, alias = "opensAt", deserialize_with = "given")]
    #[schema(value_type = Option<Instant>)]
    opens_at: Option<Option<Instant>>,
}

/// Tells `null` from what is left out.
#[expect(clippy::option_option, reason = "left out, taken away, or given")]
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl From<ChangeRoomRequest> for SettingsChange {
    fn from(request: ChangeRoomRequest) -> Self {
        Self {
            mode: request.mode,
            threshold: request.threshold,
            rate_per_second: request.rate_per_second,
            paused: request.paused,
            opens_at: request.opens_at.map(|at| at.map(|at| at.0)),
        }
    }
}

/// Changes how a waiting room is run, at once: raising the threshold or ending a pause lets the next people in.
///
/// Turning it off sends everybody who waits away, into an event that needs no admission any more.
///
/// **Permissions**: the event's organizer, or an admin.
#[utoipa::path(
    put, path = "/api/v1/queue/admin/{event_id}", tag = "queue", security(("bearer" = [])),
    params(("event_id" = EventId, Path)), request_body = ChangeRoomRequest,
    responses(
        (status = 200, body = RoomView),
        (status = 403, description = "`forbidden`", body = ProblemView),
        (status = 404, description = "`event_not_found`: unknown, or somebody else's", body = ProblemView),
        (status = 422, description = "`invalid`", body = ProblemView),
        (status = 503, description = "the change is kept and takes effect as soon as the order can be read", body = ProblemView)
    )
)]
pub async fn change_room(
    app: Data<App>,
    organizer: Organizer,
    event_id: Path<EventId>,
    body: Json<ChangeRoomRequest>,
) -> Outcome<HttpResponse> {
    let (room, _facts) = own_room(&app, organizer.0, *event_id).await?;
    let change = SettingsChange::from(body.into_inner());
    let (line, _place) = app.queue.change(&room, LineChange::Settings(change)).await?;
    tracing::info!(event_id = %event_id, settings = ?line.settings, "a waiting room is run in another way");
    Ok(HttpResponse::Ok().json(describe(&app.queue, &room, line.settings).await?))
}
