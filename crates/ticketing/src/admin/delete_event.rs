//! `DELETE /api/v1/admin/events/{event_id}`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    edge::Language,
    principal::Organizer,
    problem::{Outcome, ProblemView},
};
use diesel_async::AsyncConnection;
use domain::{catalogue::EVENT_ORDERED, ids::EventId, locale::Text};
use serde::Serialize;
use utoipa::ToSchema;

use super::{authority::Scope, store};
use crate::app::App;

const DELETED: Text = Text::new("이벤트가 삭제되었습니다.", "The event is deleted.");

/// That something was done.
#[derive(Debug, Serialize, ToSchema)]
pub struct DoneView {
    /// For people.
    message: &'static str,
}

/// Deletes an event that nobody has ever ordered from, with its seats and ticket types.
///
/// **Permissions**: its organizer, and admins; for other organizers it is not there.
#[utoipa::path(
    delete, path = "/api/v1/admin/events/{event_id}", tag = "admin", security(("bearer" = [])),
    params(("event_id" = EventId, Path)),
    responses(
        (status = 200, body = DoneView),
        (status = 401, body = ProblemView),
        (status = 403, description = "`forbidden`", body = ProblemView),
        (status = 404, description = "`event_not_found`", body = ProblemView),
        (status = 409, description = "`event_ordered`: cancel it instead", body = ProblemView)
    )
)]
pub async fn delete_event(
    app: Data<App>,
    organizer: Organizer,
    language: Language,
    event_id: Path<EventId>,
) -> Outcome<HttpResponse> {
    let (id, scope) = (*event_id, Scope::from(organizer));
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        store::lock_event(conn, scope, id).await?;
        if !store::delete_event(conn, id).await? {
            return Err(EVENT_ORDERED.into());
        }
        store::tell(conn, &app.outbox, id).await
    })
    .await?;
    app.changed(id);
    Ok(HttpResponse::Ok().json(DoneView { message: DELETED.in_locale(language.0) }))
}
