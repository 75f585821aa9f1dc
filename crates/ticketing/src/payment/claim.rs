//! Claiming a payment: the last thing that is committed before the provider is asked.
//!
//! While the provider thinks, the hold must not end under the buyer: the claim lengthens it, once, and never beyond ten
//! minutes of its beginning. It does so only while all its seats are still there.

use std::time::Duration;

use actix_web::{HttpResponse, http::StatusCode};
use chassis::{
    idempotency::{Answer, Attempt},
    prepared::Prepare,
    problem::Outcome,
};
use diesel::{
    QueryableByName, sql_query,
    sql_types::{Bool, Double, Uuid as SqlUuid},
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use domain::{
    fault::Fault,
    ids::ReservationId,
    locale::Locale,
    payment::{PAYMENT_IN_PROGRESS, PaymentMethod},
    seat_hold::ReservationStatus,
    ticket_order::{ALREADY_CANCELLED, RESERVATION_EXPIRED},
};

use super::{
    charge,
    store::{self, Owed, Payment},
    view,
};
use crate::app::App;

/// How long a hold lasts at least from the moment its payment is asked for: longer than a card company takes.
const PAYING: Duration = Duration::from_mins(2);
/// Longest that a hold is lengthened to, from its beginning.
const LONGEST_HOLD: Duration = Duration::from_mins(10);

#[derive(QueryableByName)]
struct Held {
    #[diesel(sql_type = Bool)]
    is_held: bool,
}

/// Says why a reservation that is not pending cannot be paid for; nothing when it is pending, or confirmed.
pub fn refusal(owed: &Owed) -> Option<Fault> {
    match owed.status() {
        ReservationStatus::Pending | ReservationStatus::Confirmed => None,
        ReservationStatus::Expired => Some(RESERVATION_EXPIRED),
        ReservationStatus::Cancelled => Some(ALREADY_CANCELLED),
    }
}

/// Lengthens the hold of a reservation that is locked and pending.
///
/// # Errors
/// 409 `reservation_expired` when it ended in this very moment, or somebody else has one of its seats.
pub async fn keep_hold(conn: &mut AsyncPgConnection, id: ReservationId) -> Outcome<()> {
    // A seat is locked and then judged by the time after that: a rival who took it meanwhile has it.
    let Held { is_held } = sql_query(
        "WITH theirs AS MATERIALIZED ( \
             SELECT s.id, s.held_until FROM reservation_seats k JOIN seats s ON s.id = k.seat_id \
             WHERE k.reservation_id = $1 AND s.reservation_id = $1 AND s.status = 'locked' \
             ORDER BY s.id FOR UPDATE OF s), \
         held AS MATERIALIZED ( \
             SELECT r.id, greatest(r.expires_at, least(clock_timestamp() + make_interval(secs => $2), \
             r.created_at + make_interval(secs => $3))) AS until FROM reservations r \
             WHERE r.id = $1 AND r.status = 'pending' AND r.expires_at > clock_timestamp() \
             AND (SELECT count(*) FROM theirs WHERE held_until > clock_timestamp()) = \
                 (SELECT count(*) FROM reservation_seats WHERE reservation_id = $1)), \
         kept AS (UPDATE seats s SET held_until = h.until FROM theirs t, held h \
             WHERE s.id = t.id AND s.held_until < h.until), \
         lengthened AS (UPDATE reservations r SET expires_at = h.until, payment_status = 'pending', \
             updated_at = clock_timestamp() FROM held h WHERE r.id = h.id) \
         SELECT EXISTS (SELECT FROM held) AS is_held",
    )
    .bind::<SqlUuid, _>(id.0)
    .bind::<Double, _>(PAYING.as_secs_f64())
    .bind::<Double, _>(LONGEST_HOLD.as_secs_f64())
    .prepared()
    .get_result(conn)
    .await?;
    if is_held { Ok(()) } else { Err(RESERVATION_EXPIRED.into()) }
}

/// What has been decided before the provider is asked.
#[derive(Debug)]
pub enum Claimed {
    /// This was answered before, under the same key.
    Answered(Answer),
    /// It was paid for before.
    Paid(ReservationId),
    /// It costs nothing and was confirmed just now.
    Given(ReservationId),
    /// The provider is to be asked for this money.
    Ask(Payment),
}

/// Looks for an answer that was given under the request's key. That a request has begun is no answer: what came of it,
/// the payment itself says.
///
/// # Errors
/// 422 when the key came with another body, 409 while the same request is being claimed.
pub async fn replay(conn: &mut AsyncPgConnection, attempt: &Attempt) -> Outcome<Option<Claimed>> {
    let kept = attempt.replay(conn).await?.filter(|answer| answer.status != StatusCode::PROCESSING);
    Ok(kept.map(Claimed::Answered))
}

/// Claims a prepared payment of a reservation that is locked, and keeps its hold; last in the transaction.
///
/// # Errors
/// 409 `reservation_expired` or `payment_key_used`.
pub async fn claim(
    app: &App,
    conn: &mut AsyncPgConnection,
    payment: &Payment,
    (payment_key, method): (&str, PaymentMethod),
    attempt: &Attempt,
) -> Outcome<Claimed> {
    let claimed = store::claim(conn, payment.id, payment_key, method, app.payments.lease()).await?;
    let payment = claimed.ok_or(PAYMENT_IN_PROGRESS)?;
    keep_hold(conn, payment.reservation()).await?;
    attempt.keep(conn, &Answer::new(StatusCode::PROCESSING, &())?).await?;
    Ok(Claimed::Ask(payment))
}

/// Has the provider asked where that is still to be done, and answers what was paid for.
///
/// # Errors
/// What [`charge::ask`] returns.
pub async fn finish(app: &App, claimed: Claimed, attempt: &Attempt, locale: Locale) -> Outcome<HttpResponse> {
    let reservation = match claimed {
        Claimed::Answered(answer) => return Ok(answer.into()),
        Claimed::Paid(reservation) | Claimed::Given(reservation) => reservation,
        Claimed::Ask(payment) => {
            let reservation = payment.reservation();
            charge::ask(app, payment).await?;
            reservation
        }
    };
    app.outbox.wake();
    let mut conn = app.ground.pg.conn().await?;
    let answer = Answer::new(StatusCode::OK, &view::paid(app, &mut conn, reservation, locale).await?)?;
    attempt.keep(&mut conn, &answer).await?;
    Ok(answer.into())
}
