//! `POST /api/v1/admin/events/{event_id}/cancel`.

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
use domain::{ids::EventId, locale::Text};

use super::{authority::Scope, create_event::EventChangedView, store};
use crate::{app::App, event::show::EventDetailView};

const CANCELLED: Text = Text::new(
    "이벤트가 취소되었습니다. 예매는 차례로 취소되고 환불됩니다.",
    "The event is cancelled. Its reservations are being cancelled and refunded.",
);

/// Calls an event off: nothing more is sold from this moment; its orders are let go of and refunded soon after. Asked
/// again it says the same.
///
/// **Permissions**: its organizer, and admins; for other organizers it is not there.
#[utoipa::path(
    post, path = "/api/v1/admin/events/{event_id}/cancel", tag = "admin", security(("bearer" = [])),
    params(("event_id" = EventId, Path)),
    responses(
        (status = 200, body = EventChangedView),
        (status = 401, body = ProblemView),
        (status = 403, description = "`forbidden`", body = ProblemView),
        (status = 404, description = "`event_not_found`", body = ProblemView)
    )
)]
pub async fn cancel_event(
    app: Data<App>,
    organizer: Organizer,
    language: Language,
    event_id: Path<EventId>,
) -> Outcome<HttpResponse> {
    let (id, scope) = (*event_id, Scope::from(organizer));
    let mut conn = app.ground.pg.conn().await?;
    let detail = conn
        .transaction(async |conn| {
            store::lock_event(conn, scope, id).await?;
            if store::cancel_event(conn, id).await? {
                store::tell(conn, &app.outbox, id).await?;
            }
            EventDetailView::read(conn, id).await
        })
        .await?;
    app.changed(id);
    app.settlement.wake();
    Ok(HttpResponse::Ok().json(EventChangedView::new(CANCELLED.in_locale(language.0), detail)))
}
