//! `POST /api/v1/payments/confirm`.

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
    ids::UserId,
    payment::{
        ALREADY_PAID, PAYMENT_DECLINED, PAYMENT_IN_PROGRESS, PAYMENT_NOT_FOUND, PAYMENT_REFUNDED, PaymentMethod,
        PaymentStatus, check_amount, check_payment_key, is_order_id,
    },
    seat_hold::ReservationStatus,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    claim::{self, Claimed},
    store::{self, Payment},
    view::PaidView,
};
use crate::app::App;

/// The buyer's consent, as the provider's window hands it out.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ConfirmPaymentRequest {
    /// What the consent is known by at the provider's.
    payment_key: String,
    /// What the purchase is known by.
    order_id: String,
    /// KRW; what was prepared.
    amount: i64,
}

/// Takes the money that the buyer has consented to, and makes tickets of it.
///
/// A repeated request gets the same answer. After `payment_pending` or `payment_in_progress` ask again with the same
/// request: what came of it will be found out, whether or not anybody asks.
///
/// **Permissions**: whoever made the reservation.
#[utoipa::path(
    post, path = "/api/v1/payments/confirm", tag = "payments", security(("bearer" = [])),
    request_body = ConfirmPaymentRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "1-128 letters, digits, `-` or `_`")),
    responses(
        (status = 200, body = PaidView),
        (status = 401, body = ProblemView),
        (status = 404, description = "`payment_not_found`", body = ProblemView),
        (status = 409, body = ProblemView,
         description = "`payment_declined` (`reason` is the provider's code), `reservation_expired`, \
         `already_cancelled`, `already_paid`, `payment_in_progress`, `payment_refunded`, `payment_key_used`"),
        (status = 422, description = "`invalid`, `idempotency_key_reused`", body = ProblemView),
        (status = 503, description = "`payment_pending`", body = ProblemView)
    )
)]
pub async fn confirm_payment(
    app: Data<App>,
    person: Person,
    language: Language,
    key: IdempotencyKey,
    body: Json<ConfirmPaymentRequest>,
) -> Outcome<HttpResponse> {
    let buyer = person.0.user_id;
    let attempt = Attempt::new(buyer, "POST /api/v1/payments/confirm", key, &*body)?;
    check_payment_key(&body.payment_key)?;
    if !is_order_id(&body.order_id) {
        return Err(PAYMENT_NOT_FOUND.into());
    }
    let claimed = {
        let mut conn = app.ground.pg.conn().await?;
        conn.transaction(async |conn| begin(&app, conn, buyer, &body, &attempt).await).await?
    };
    claim::finish(&app, claimed, &attempt, language.0).await
}

async fn begin(
    app: &App,
    conn: &mut AsyncPgConnection,
    buyer: UserId,
    wish: &ConfirmPaymentRequest,
    attempt: &Attempt,
) -> Outcome<Claimed> {
    if let Some(answered) = claim::replay(conn, attempt).await? {
        return Ok(answered);
    }
    let reservation = store::find_reservation(conn, &wish.order_id, buyer).await?.ok_or(PAYMENT_NOT_FOUND)?;
    let owed = store::lock_own_reservation(conn, reservation, buyer).await?.ok_or(PAYMENT_NOT_FOUND)?;
    let payment = store::lock_order(conn, &wish.order_id).await?.ok_or(PAYMENT_NOT_FOUND)?;
    check_amount(wish.amount, payment.amount)?;
    if payment.status()? != PaymentStatus::Prepared {
        return known(&payment, &wish.payment_key);
    }
    if owed.status() == ReservationStatus::Confirmed {
        return Err(ALREADY_PAID.into());
    }
    if let Some(refusal) = claim::refusal(&owed) {
        return Err(refusal.into());
    }
    let how = (wish.payment_key.as_str(), PaymentMethod::TossPayments);
    claim::claim(app, conn, &payment, how, attempt).await
}

/// Says what has come of a payment that was asked for before.
fn known(payment: &Payment, payment_key: &str) -> Outcome<Claimed> {
    match payment.status()? {
        PaymentStatus::Captured if payment.payment_key.as_deref() == Some(payment_key) => {
            Ok(Claimed::Paid(payment.reservation()))
        }
        PaymentStatus::Captured => Err(ALREADY_PAID.into()),
        PaymentStatus::RefundPending | PaymentStatus::Refunded => Err(PAYMENT_REFUNDED.into()),
        PaymentStatus::Failed => {
            Err(Problem::from(PAYMENT_DECLINED).with("reason", payment.failure.clone().unwrap_or_default()))
        }
        PaymentStatus::Prepared | PaymentStatus::Authorising => Err(Problem::from(PAYMENT_IN_PROGRESS).retry_after(1)),
    }
}
