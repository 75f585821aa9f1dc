//! `POST /api/v1/seats/reserve`.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chassis::{
    edge::Language,
    idempotency::{Attempt, IdempotencyKey},
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use domain::{
    ids::{EventId, ReservationId, SeatId},
    locale::Text,
    seat_hold::{SEAT_TAKEN, SeatSelection, SeatStatus},
    time::Instant,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    batch::{Choice, ROUTE},
    nearest, store,
};
use crate::{
    app::App,
    order::verdict::Verdict,
    queue::{gate, ticket::QueueTicketHeader},
};

pub(super) const SELECTED: Text = Text::new("좌석이 선택되었습니다.", "The seats are held for you.");

/// The seats somebody wants.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ReserveSeatsRequest {
    /// The event they belong to.
    event_id: EventId,
    /// One to four, each once.
    seat_ids: Vec<SeatId>,
}

/// Seats that are held.
#[derive(Debug, Serialize, ToSchema)]
pub struct SeatsReservedView {
    /// For people.
    message: String,
    reservation: SeatReservationView,
}

/// A hold.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeatReservationView {
    id: ReservationId,
    /// `TK` and 12 letters or digits; what people quote.
    reservation_number: String,
    /// KRW.
    total_amount: i64,
    /// When the seats are let go unless they are paid for.
    expires_at: Instant,
    seats: Vec<HeldSeatView>,
}

/// A seat that is held.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeldSeatView {
    id: Uuid,
    section: String,
    row_number: i32,
    seat_number: i32,
    seat_label: String,
    /// KRW.
    price: i64,
    /// Always `locked`.
    status: SeatStatus,
}

/// Holds seats for five minutes: all of them, or none.
///
/// Send an `Idempotency-Key`, and a request that is sent twice holds once.
///
/// **Permissions**: a signed-in person.
#[utoipa::path(
    post, path = "/api/v1/seats/reserve", tag = "seats", security(("bearer" = [])), request_body = ReserveSeatsRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "1-128 letters, digits, `-` or `_`")),
    responses(
        (status = 201, body = SeatsReservedView),
        (status = 401, body = ProblemView),
        (status = 403, description = "`not_admitted`", body = ProblemView),
        (status = 404, description = "`event_not_found`, `seat_not_found`", body = ProblemView),
        (status = 409, body = ProblemView,
         description = "`seat_taken` (`takenSeatIds` names them, `nearestSeats` free ones of the same price, the \
                        nearest first), `sale_closed`, `limit_reached`, `idempotency_in_progress`"),
        (status = 422, description = "`invalid`, `idempotency_key_reused`", body = ProblemView)
    )
)]
pub async fn reserve_seats(
    app: Data<App>,
    person: Person,
    language: Language,
    key: IdempotencyKey,
    ticket: QueueTicketHeader,
    body: Json<ReserveSeatsRequest>,
) -> Outcome<HttpResponse> {
    let buyer = person.0.user_id;
    let attempt = Attempt::new(buyer, ROUTE, key, &*body)?;
    let ReserveSeatsRequest { event_id, seat_ids } = body.into_inner();
    let seats = SeatSelection::parse(seat_ids, app.config.max_seats_per_reservation)?;
    if let Some(answer) = gate::pass(&app, buyer, event_id, &ticket, &attempt).await? {
        return Ok(answer.into());
    }
    let id = app.ground.clock.id::<ReservationId>();
    let redis = &app.ground.redis;
    let note = app.shed.note(redis, event_id, seats.seats(), id.0, app.ground.clock.now().timestamp_millis()).await;
    let choice = Choice::new(id, event_id, buyer, seats.clone(), &attempt, SELECTED.in_locale(language.0));
    let verdict = app.seats.place(choice).await;
    note.take_back(redis).await;
    match verdict? {
        Verdict::Refused(SEAT_TAKEN) => Err(refusal(&app, event_id, &seats).await?),
        verdict => Ok(verdict.answer()?.into()),
    }
}

/// Says which seats are taken, and what else there is; the decision itself has been made.
async fn refusal(app: &App, event_id: EventId, seats: &SeatSelection) -> Outcome<Problem> {
    let conn = &mut *app.ground.pg.conn().await?;
    let standing = store::standing(conn, event_id, seats.seats()).await?;
    let taken: Vec<_> =
        standing.into_iter().filter(|(_, status)| *status != SeatStatus::Available).map(|(id, _)| id).collect();
    let nearest = nearest::find(conn, event_id, &taken, seats.seats()).await?;
    Ok(Problem::from(SEAT_TAKEN).with("takenSeatIds", taken).with("nearestSeats", nearest))
}
