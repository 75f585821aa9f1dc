//! `POST /api/v1/reservations/{reservation_id}/cancel`.

use actix_web::{
    HttpResponse,
    web::{Data, Path},
};
use chassis::{
    edge::Language,
    principal::Person,
    problem::{Outcome, ProblemView},
};
use diesel_async::AsyncConnection;
use domain::{
    ids::ReservationId,
    locale::Text,
    payment::TICKET_USED,
    seat_hold::{RESERVATION_NOT_FOUND, ReservationStatus},
    ticket_order::{ALREADY_CANCELLED, RESERVATION_EXPIRED, TOO_LATE_TO_CANCEL},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    settle::{self, Release, Released},
    store,
};
use crate::{admission_ticket, app::App};

const CANCELLED: Text = Text::new("예매가 취소되었습니다.", "Your reservation is cancelled.");

/// A reservation that was given back.
#[derive(Debug, Serialize, ToSchema)]
pub struct CancelledView {
    /// For people.
    message: &'static str,
}

/// Gives a reservation back, pending or confirmed: its tickets and seats are on sale again at once. What was paid is
/// refunded.
///
/// **Permissions**: whoever made it; for everybody else it is not there.
#[utoipa::path(
    post, path = "/api/v1/reservations/{reservation_id}/cancel", tag = "reservations", security(("bearer" = [])),
    params(("reservation_id" = ReservationId, Path)),
    responses(
        (status = 200, body = CancelledView),
        (status = 401, body = ProblemView),
        (status = 404, description = "`reservation_not_found`", body = ProblemView),
        (status = 409, body = ProblemView,
         description = "`already_cancelled`, `reservation_expired`, `too_late_to_cancel`, `ticket_used`")
    )
)]
pub async fn cancel(
    app: Data<App>,
    person: Person,
    language: Language,
    id: Path<ReservationId>,
) -> Outcome<HttpResponse> {
    let mut conn = app.ground.pg.conn().await?;
    let released = conn
        .transaction(async |conn| {
            let own = store::find(conn, *id, person.0.user_id).await?.ok_or(RESERVATION_NOT_FOUND)?;
            // Who was there does not get the money back.
            if own.status == "confirmed" && own.event_date <= own.now && !own.is_called_off {
                return Err(TOO_LATE_TO_CANCEL.into());
            }
            let released = settle::release(conn, *id, Release::Cancelled).await?;
            // Looked at after the reservation is locked: whoever comes in from now on finds it cancelled.
            let is_new = released == Released::Now && !own.is_called_off;
            if is_new && admission_ticket::store::is_any_used(conn, *id).await? {
                return Err(TICKET_USED.into());
            }
            Outcome::Ok(released)
        })
        .await?;
    app.outbox.wake();
    match released {
        Released::Now => Ok(HttpResponse::Ok().json(CancelledView { message: CANCELLED.in_locale(language.0) })),
        Released::No(ReservationStatus::Expired) => Err(RESERVATION_EXPIRED.into()),
        Released::No(_) => Err(ALREADY_CANCELLED.into()),
    }
}
