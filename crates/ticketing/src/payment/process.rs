//! `POST /api/v1/payments/process`.

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
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    fault::Violations,
    ids::{Id, PaymentId, ReservationId, UserId},
    payment::PaymentMethod,
    seat_hold::{RESERVATION_NOT_FOUND, ReservationStatus},
    ticket_order::{ALREADY_CANCELLED, RESERVATION_EXPIRED},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    claim::{self, Claimed},
    prepare::prepared,
    store::{self, Owed},
    view::PaidView,
};
use crate::{
    admission_ticket,
    app::App,
    order::settle::{self as order, Confirmed, TooLate},
    queue,
};

/// What somebody pays for, and how.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ProcessPaymentRequest {
    reservation_id: ReservationId,
    /// One of `GET /payments/methods`.
    payment_method: String,
}

/// Pays for a reservation at once, without the provider's window: where the money is imaginary, or nothing is to be paid.
///
/// A repeated request gets the same answer. After `payment_pending` or `payment_in_progress` ask again.
///
/// **Permissions**: whoever made the reservation.
#[utoipa::path(
    post, path = "/api/v1/payments/process", tag = "payments", security(("bearer" = [])),
    request_body = ProcessPaymentRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "1-128 letters, digits, `-` or `_`")),
    responses(
        (status = 200, body = PaidView),
        (status = 401, body = ProblemView),
        (status = 404, description = "`reservation_not_found`", body = ProblemView),
        (status = 409, body = ProblemView,
         description = "`reservation_expired`, `already_cancelled`, `payment_in_progress`, `payment_declined`"),
        (status = 422, description = "`invalid`, `idempotency_key_reused`", body = ProblemView),
        (status = 503, description = "`payment_pending`, `payments_not_configured`", body = ProblemView)
    )
)]
pub async fn process_payment(
    app: Data<App>,
    person: Person,
    language: Language,
    key: IdempotencyKey,
    body: Json<ProcessPaymentRequest>,
) -> Outcome<HttpResponse> {
    let buyer = person.0.user_id;
    let attempt = Attempt::new(buyer, "POST /api/v1/payments/process", key, &*body)?;
    // What costs nothing needs nobody who takes money.
    let offered = app.payments.find_active().map_or(&PaymentMethod::ALL[..], |provider| provider.methods());
    let method = PaymentMethod::parse(&body.payment_method, offered)?;
    let claimed = {
        let mut conn = app.ground.pg.conn().await?;
        let wish = (body.reservation_id, method);
        conn.transaction(async |conn| begin(&app, conn, buyer, wish, &attempt).await).await?
    };
    // Not for what was paid for before: its buyer may be in line for something else by now.
    if let Claimed::Given(reservation) = &claimed {
        queue::bought(&app, *reservation);
    }
    claim::finish(&app, claimed, &attempt, language.0).await
}

async fn begin(
    app: &App,
    conn: &mut AsyncPgConnection,
    buyer: UserId,
    (reservation, method): (ReservationId, PaymentMethod),
    attempt: &Attempt,
) -> Outcome<Claimed> {
    if let Some(answered) = claim::replay(conn, attempt).await? {
        return Ok(answered);
    }
    let owed = store::lock_own_reservation(conn, reservation, buyer).await?.ok_or(RESERVATION_NOT_FOUND)?;
    if owed.status() == ReservationStatus::Confirmed {
        return Ok(Claimed::Paid(reservation));
    }
    if let Some(refusal) = claim::refusal(&owed) {
        return Err(refusal.into());
    }
    if owed.total_amount == 0 {
        return give(conn, &owed, method).await;
    }
    let payment = prepared(app, conn, &owed, method).await?;
    let key = app.payments.named(&payment.provider)?.direct_key(PaymentId::from_uuid(payment.id));
    let key = key.ok_or_else(needs_window)?;
    claim::claim(app, conn, &payment, (&key, method), attempt).await
}

/// Confirms a reservation that costs nothing.
async fn give(conn: &mut AsyncPgConnection, owed: &Owed, method: PaymentMethod) -> Outcome<Claimed> {
    let reservation = ReservationId(owed.id);
    admission_ticket::store::issue(conn, reservation).await?;
    match order::confirm(conn, reservation, method.name()).await? {
        Confirmed::Confirmed => Ok(Claimed::Given(reservation)),
        Confirmed::AlreadyConfirmed => Ok(Claimed::Paid(reservation)),
        Confirmed::TooLate(TooLate::Expired) => Err(RESERVATION_EXPIRED.into()),
        Confirmed::TooLate(TooLate::Cancelled) => Err(ALREADY_CANCELLED.into()),
    }
}

fn needs_window() -> Problem {
    let mut violations = Violations::new();
    violations.add(
        "/paymentMethod",
        "needs_window",
        "이 결제 수단은 결제창에서 승인해야 합니다.",
        "This way to pay goes through the provider's window: prepare it, then confirm it.",
    );
    violations.into()
}
