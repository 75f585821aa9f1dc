//! `PATCH /api/v1/admin/reservations/{reservation_id}/status`.

use actix_web::{
    HttpResponse,
    web::{Data, Json, Path},
};
use chassis::{
    edge::Language,
    principal::Organizer,
    problem::{Outcome, Problem, ProblemView},
};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    catalogue::INVALID_TRANSITION,
    fault::Violations,
    ids::{EventId, ReservationId},
    locale::Text,
    seat_hold::{RESERVATION_NOT_FOUND, ReservationStatus},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    authority::Scope, list_reservations::parse_status, reservation_store, reservation_view::ManagedReservationView,
    store,
};
use crate::{
    admission_ticket,
    app::App,
    order::settle::{self, Confirmed, Release, Released},
};

const CHANGED: Text = Text::new("예매 상태가 변경되었습니다.", "The reservation's status is changed.");
/// What a reservation was paid by when its organizer says that it was: cash at the door, a transfer seen in the account.
const BY_HAND: &str = "manual";

/// Where a reservation is to stand.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReservationStatusRequest {
    /// `confirmed`: a pending one was paid for in another way. `cancelled`: a pending one is let go of, a confirmed one
    /// too, and its money goes back.
    #[schema(value_type = ReservationStatus)]
    status: String,
}

/// A reservation after a change.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReservationChangedView {
    /// For people.
    message: &'static str,
    reservation: Option<ManagedReservationView>,
}

/// Confirms or cancels a reservation. Asked for where it stands already, nothing happens.
///
/// **Permissions**: the organizer of its event, and admins; for other organizers it is not there.
#[utoipa::path(
    patch, path = "/api/v1/admin/reservations/{reservation_id}/status", tag = "admin", security(("bearer" = [])),
    params(("reservation_id" = ReservationId, Path)), request_body = ReservationStatusRequest,
    responses(
        (status = 200, body = ReservationChangedView),
        (status = 401, body = ProblemView),
        (status = 403, description = "`forbidden`", body = ProblemView),
        (status = 404, description = "`reservation_not_found`", body = ProblemView),
        (status = 409, body = ProblemView,
         description = "`invalid_transition` (`standing` says where it stands)"),
        (status = 422, description = "`invalid`", body = ProblemView)
    )
)]
pub async fn set_reservation_status(
    app: Data<App>,
    organizer: Organizer,
    language: Language,
    id: Path<ReservationId>,
    body: Json<ReservationStatusRequest>,
) -> Outcome<HttpResponse> {
    let mut violations = Violations::new();
    let status = parse_status(&body.status, "/status", &mut violations);
    violations.into_result()?;
    let (id, scope) = (*id, Scope::from(organizer));
    let mut conn = app.ground.pg.conn().await?;
    let standing = reservation_store::find(&mut conn, scope, id).await?.ok_or(RESERVATION_NOT_FOUND)?;
    let event = EventId(standing.event_id);
    conn.transaction(async |conn| {
        store::tell(conn, &app.outbox, event).await?;
        go(conn, id, status).await
    })
    .await?;
    app.changed(event);
    let row = reservation_store::find(&mut conn, scope, id).await?;
    let reservation = ManagedReservationView::complete(&mut conn, row.into_iter().collect()).await?.pop();
    Ok(HttpResponse::Ok().json(ReservationChangedView { message: CHANGED.in_locale(language.0), reservation }))
}

/// Moves a reservation; whether it may is decided under its lock.
async fn go(conn: &mut AsyncPgConnection, id: ReservationId, to: Option<ReservationStatus>) -> Outcome<()> {
    match to {
        Some(ReservationStatus::Confirmed) => match settle::confirm(conn, id, BY_HAND).await? {
            Confirmed::Confirmed | Confirmed::AlreadyConfirmed => admission_ticket::store::issue(conn, id).await,
            Confirmed::TooLate(_) => Err(INVALID_TRANSITION.into()),
        },
        Some(ReservationStatus::Cancelled) => match settle::release(conn, id, Release::Cancelled).await? {
            Released::Now | Released::No(ReservationStatus::Cancelled) => Ok(()),
            Released::No(standing) => Err(Problem::from(INVALID_TRANSITION).with("standing", standing)),
        },
        // Only time makes one expire, and nothing makes it pending again.
        _ => Err(INVALID_TRANSITION.into()),
    }
}
