//! `POST /api/v1/payments/prepare`.

use actix_web::{
    HttpResponse,
    http::StatusCode,
    web::{Data, Json},
};
use chassis::{
    idempotency::{Answer, Attempt, IdempotencyKey},
    principal::Person,
    problem::{Outcome, Problem, ProblemView},
};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{
    fault::Violations,
    ids::{ReservationId, UserId},
    payment::{ALREADY_PAID, PAYMENT_IN_PROGRESS, PaymentMethod, PaymentStatus, check_amount},
    seat_hold::{RESERVATION_NOT_FOUND, ReservationStatus},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    claim,
    store::{self, Owed, Payment},
};
use crate::app::App;

/// What somebody is about to pay for.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PreparePaymentRequest {
    reservation_id: ReservationId,
    /// KRW; what the reservation costs.
    amount: i64,
}

/// What the provider's window is opened with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreparedPaymentView {
    /// What the purchase is known by, here and there.
    order_id: String,
    /// KRW.
    amount: i64,
    /// The provider's public key; `sandbox` when the money is imaginary, and then every payment key will do.
    client_key: String,
}

/// Prepares a payment in the provider's window. Asked again before it is paid, it answers the same order.
///
/// **Permissions**: whoever made the reservation.
#[utoipa::path(
    post, path = "/api/v1/payments/prepare", tag = "payments", security(("bearer" = [])),
    request_body = PreparePaymentRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "1-128 letters, digits, `-` or `_`")),
    responses(
        (status = 200, body = PreparedPaymentView),
        (status = 401, body = ProblemView),
        (status = 404, description = "`reservation_not_found`", body = ProblemView),
        (status = 409, body = ProblemView,
         description = "`reservation_expired`, `already_cancelled`, `already_paid`, `payment_in_progress`"),
        (status = 422, description = "`invalid`: the amount is another one", body = ProblemView),
        (status = 503, description = "`payments_not_configured`", body = ProblemView)
    )
)]
pub async fn prepare_payment(
    app: Data<App>,
    person: Person,
    key: IdempotencyKey,
    body: Json<PreparePaymentRequest>,
) -> Outcome<HttpResponse> {
    let buyer = person.0.user_id;
    let attempt = Attempt::new(buyer, "POST /api/v1/payments/prepare", key, &*body)?;
    let mut conn = app.ground.pg.conn().await?;
    let answer = conn
        .transaction(async |conn| {
            if let Some(answer) = attempt.replay(conn).await? {
                return Outcome::Ok(answer);
            }
            let answer = Answer::new(StatusCode::OK, &prepare(&app, conn, buyer, &body).await?)?;
            attempt.keep(conn, &answer).await?;
            Ok(answer)
        })
        .await?;
    Ok(answer.into())
}

async fn prepare(
    app: &App,
    conn: &mut AsyncPgConnection,
    buyer: UserId,
    wish: &PreparePaymentRequest,
) -> Outcome<PreparedPaymentView> {
    let provider = app.payments.active()?;
    let owed = store::lock_own_reservation(conn, wish.reservation_id, buyer).await?.ok_or(RESERVATION_NOT_FOUND)?;
    check_amount(wish.amount, owed.total_amount)?;
    if owed.total_amount == 0 {
        return Err(nothing_to_pay());
    }
    if owed.status() == ReservationStatus::Confirmed {
        return Err(ALREADY_PAID.into());
    }
    if let Some(refusal) = claim::refusal(&owed) {
        return Err(refusal.into());
    }
    let payment = prepared(app, conn, &owed, PaymentMethod::TossPayments).await?;
    Ok(PreparedPaymentView {
        order_id: payment.order_id,
        amount: payment.amount,
        client_key: provider.client_key().to_owned(),
    })
}

/// Finds the prepared payment of a reservation that is locked and pending, or makes one.
///
/// # Errors
/// 409 `payment_in_progress`, `already_paid`.
pub(super) async fn prepared(
    app: &App,
    conn: &mut AsyncPgConnection,
    owed: &Owed,
    method: PaymentMethod,
) -> Outcome<Payment> {
    let provider = app.payments.active()?;
    if let Some(payment) = store::lock_live(conn, ReservationId(owed.id)).await? {
        match payment.status()? {
            PaymentStatus::Authorising => return Err(Problem::from(PAYMENT_IN_PROGRESS).retry_after(1)),
            PaymentStatus::Prepared if payment.provider == provider.name() => return Ok(payment),
            // Of a provider that takes no new money.
            PaymentStatus::Prepared => {
                store::advance(conn, &payment, PaymentStatus::Failed, None, Some("superseded")).await?;
            }
            _ => return Err(ALREADY_PAID.into()),
        }
    }
    store::insert(conn, app.ground.clock.id(), owed, provider.name(), method).await
}

fn nothing_to_pay() -> Problem {
    let mut violations = Violations::new();
    violations.add(
        "/amount",
        "nothing_to_pay",
        "결제할 금액이 없습니다.",
        "There is nothing to pay; process the payment directly.",
    );
    violations.into()
}
