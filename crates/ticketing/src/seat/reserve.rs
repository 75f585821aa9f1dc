//! `POST /api/v1/seats/reserve`.

use actix_web::{
    HttpResponse,
    web::{Data, Json},
};
use chassis::{
    edge::Language,
    idempotency::{Answer, Attempt, IdempotencyKey},
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    ids::{EventId, ReservationId, SeatId, UserId},
    locale::{Locale, Text},
    seat_hold::{EVENT_NOT_FOUND, SEAT_NOT_FOUND, SEAT_TAKEN, SeatSelection, SeatStatus},
    time::Instant,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    hold::{HeldSeat, Hold},
    store,
};
use crate::{
    app::App,
    event,
    queue::{gate, ticket::QueueTicketHeader},
};

const SELECTED: Text = Text::new("좌석이 선택되었습니다.", "The seats are held for you.");

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
    message: &'static str,
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

impl From<HeldSeat> for HeldSeatView {
    fn from(seat: HeldSeat) -> Self {
        Self {
            id: seat.id,
            section: seat.section,
            row_number: seat.row_number,
            seat_number: seat.seat_number,
            seat_label: seat.label,
            price: seat.price,
            status: SeatStatus::Locked,
        }
    }
}

struct Wish {
    event_id: EventId,
    seats: SeatSelection,
    buyer: UserId,
    locale: Locale,
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
         description = "`seat_taken` (`takenSeatIds` names them), `sale_closed`, `idempotency_in_progress`"),
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
    let attempt = Attempt::new(buyer, "POST /api/v1/seats/reserve", key, &*body)?;
    let ReserveSeatsRequest { event_id, seat_ids } = body.into_inner();
    let seats = SeatSelection::parse(seat_ids, app.config.max_seats_per_reservation)?;
    let admitted = gate::require(&app, buyer, event_id, ticket.0.as_deref()).await;
    let wish = Wish { event_id, seats, buyer, locale: language.0 };
    let mut conn = app.ground.pg.conn().await?;
    let answer = conn
        .transaction(async |conn| {
            if let Some(answer) = attempt.replay(conn).await? {
                return Outcome::Ok(answer);
            }
            // An answer that was given is given again, also to who has left since.
            admitted?;
            let answer = Answer::created(&reserve(&app, conn, &wish).await?)?;
            attempt.keep(conn, &answer).await?;
            Ok(answer)
        })
        .await?;
    Ok(answer.into())
}

async fn reserve(app: &App, conn: &mut AsyncPgConnection, wish: &Wish) -> Outcome<SeatsReservedView> {
    let (sale, now) = event::store::find_sale(conn, wish.event_id).await?.ok_or(EVENT_NOT_FOUND)?;
    sale.admit(now)?;
    let id = app.ground.clock.id::<ReservationId>();
    let hold = Hold::new(id, wish.event_id, wish.buyer, &wish.seats, app.config.hold_ttl);
    let seats = hold.run(conn).await?;
    let Some(first) = seats.first() else { return Err(refusal(conn, wish).await?) };
    let (total_amount, expires_at) = (first.total_amount, first.expires_at.into());
    let reservation = SeatReservationView {
        id,
        reservation_number: hold.number().to_owned(),
        total_amount,
        expires_at,
        seats: seats.into_iter().map(HeldSeatView::from).collect(),
    };
    Ok(SeatsReservedView { message: SELECTED.in_locale(wish.locale), reservation })
}

/// Says why the seats could not be held; the decision itself has been made.
async fn refusal(conn: &mut AsyncPgConnection, wish: &Wish) -> Outcome<Problem> {
    let standing = store::standing(conn, wish.event_id, wish.seats.seats()).await?;
    if standing.len() < wish.seats.seats().len() {
        return Ok(SEAT_NOT_FOUND.into());
    }
    let taken: Vec<_> =
        standing.into_iter().filter(|(_, status)| *status != SeatStatus::Available).map(|(id, _)| id).collect();
    Ok(Problem::from(SEAT_TAKEN).with("takenSeatIds", taken))
}
