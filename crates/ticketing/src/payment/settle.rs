//! Settling what the provider said: in one transaction the payment, its reservation and the tickets.
//!
//! Whoever brings an answer settles it: the buyer's request, the reconciler, a webhook, in any number and any order.
//! Under the lock of the reservation only the first of them changes anything.

use std::time::Duration;

use chassis::problem::Outcome;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use domain::{payment::PaymentStatus as Status, seat_hold::ReservationStatus};

use super::{
    provider::{Receipt, Reply, Standing, Trouble},
    store::{self, Payment},
};
use crate::{
    admission_ticket,
    app::App,
    order::settle::{self as order, Confirmed, Release, TooLate},
    queue,
};

/// Why a payment failed whose consent belongs to another order. Whose it is may still use it.
const ORDER_MISMATCH: &str = "order_mismatch";
/// Why money goes back of which another sum came than was asked for.
const AMOUNT_MISMATCH: &str = "amount_mismatch";
/// Why money goes back that came for what was paid for otherwise.
const PAID_OTHERWISE: &str = "paid_otherwise";
/// Why money goes back that came too late.
const TOO_LATE: &str = "too_late";
/// Why a payment failed that nobody at the provider's knows of, or goes on with.
const ABANDONED: &str = "abandoned";
/// First pause before what nobody could tell is asked again; doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause before what nobody could tell is asked again.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// What a payment came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The money is here, the reservation confirmed, the tickets made.
    Paid,
    /// The money came, and goes or went back.
    Refunding,
    /// No money came; why.
    Failed(String),
    /// Nobody knows yet.
    Unknown,
}

/// What came of money in one transaction.
enum Taken {
    /// The reservation was confirmed by it.
    Sold,
    /// It was not: so it stands. Who bought before may be in line for something else by now.
    Stands(End),
}

/// Settles what the provider said of a payment.
///
/// # Errors
/// Returns a problem when the database is away; then the payment is as unsettled as before.
pub async fn settle(app: &App, payment: &Payment, reply: Reply) -> Outcome<End> {
    match reply {
        Ok(Standing::Captured(receipt) | Standing::Cancelled(receipt)) if receipt.order_id != payment.order_id => {
            tracing::warn!(payment = %payment.id, "a payment was tried with the key of another one");
            fail(app, payment, ORDER_MISMATCH).await
        }
        Ok(Standing::Captured(receipt)) => captured(app, payment, &receipt).await,
        Ok(Standing::Cancelled(receipt)) => gone_back(app, payment, &receipt).await,
        Ok(Standing::Dead(code)) | Err(Trouble::Refused(code)) => fail(app, payment, &code).await,
        Ok(Standing::Open | Standing::Missing | Standing::AwaitsDeposit) if payment.is_old => {
            fail(app, payment, ABANDONED).await
        }
        Ok(Standing::Open | Standing::Missing | Standing::AwaitsDeposit) => {
            postpone(app, payment, None, false).await?;
            Ok(End::Unknown)
        }
        Err(trouble) => {
            tracing::warn!(payment = %payment.id, %trouble, "a payment is not known to be made or not");
            let (why, is_new_round) = match &trouble {
                Trouble::Unsure(code) | Trouble::Refused(code) => (Some(code.as_str()), true),
                Trouble::Silent(_) => (None, false),
            };
            postpone(app, payment, why, is_new_round).await?;
            Ok(End::Unknown)
        }
    }
}

/// Has a payment looked into again, later each time.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn postpone(app: &App, payment: &Payment, why: Option<&str>, is_new_round: bool) -> Outcome<()> {
    let doublings = payment.attempts.clamp(0, 16).unsigned_abs();
    let pause = PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    let mut conn = app.ground.pg.conn().await?;
    store::postpone(&mut conn, payment, why, pause, is_new_round).await
}

async fn captured(app: &App, payment: &Payment, receipt: &Receipt) -> Outcome<End> {
    let mut conn = app.ground.pg.conn().await?;
    let most = app.config.max_per_user_event;
    let taken = conn.transaction(async |conn| take_money(conn, payment, receipt, most).await).await?;
    tell(app, "captured");
    match taken {
        Taken::Sold => {
            queue::bought(app, payment.reservation());
            Ok(End::Paid)
        }
        Taken::Stands(end) => Ok(end),
    }
}

/// Turns money into tickets, or owes it back. The stock that everybody waits for is touched last.
async fn take_money(
    conn: &mut AsyncPgConnection,
    payment: &Payment,
    receipt: &Receipt,
    most_per_event: usize,
) -> Outcome<Taken> {
    let Some((reservation, payment)) = lock(conn, payment).await? else { return Ok(Taken::Stands(End::Unknown)) };
    match payment.status()? {
        Status::Captured => return Ok(Taken::Stands(End::Paid)),
        Status::RefundPending | Status::Refunded => return Ok(Taken::Stands(End::Refunding)),
        Status::Prepared | Status::Authorising | Status::Failed => {}
    }
    let key = Some(receipt.payment_key.as_str());
    if receipt.amount != payment.amount || receipt.balance != payment.amount {
        store::advance(conn, &payment, Status::RefundPending, key, Some(AMOUNT_MISMATCH)).await?;
        return Ok(Taken::Stands(End::Refunding));
    }
    if reservation == ReservationStatus::Confirmed || store::has_rival(conn, &payment).await? {
        store::advance(conn, &payment, Status::RefundPending, key, Some(PAID_OTHERWISE)).await?;
        return Ok(Taken::Stands(End::Refunding));
    }
    if reservation == ReservationStatus::Pending {
        store::advance(conn, &payment, Status::Captured, key, None).await?;
        admission_ticket::store::issue(conn, payment.reservation()).await?;
        if order::confirm(conn, payment.reservation(), &payment.method).await? == Confirmed::Confirmed {
            return Ok(Taken::Sold);
        }
        // It ended between the look at the clock and this one.
        admission_ticket::store::withdraw(conn, payment.reservation()).await?;
    }
    seat_late(conn, payment, receipt, most_per_event).await
}

/// Finds the seats of money that came too late once more, or owes it back.
async fn seat_late(
    conn: &mut AsyncPgConnection,
    payment: Payment,
    receipt: &Receipt,
    most_per_event: usize,
) -> Outcome<Taken> {
    let key = Some(receipt.payment_key.as_str());
    let reservation = payment.reservation();
    let seated = match order::confirm(conn, reservation, &payment.method).await? {
        Confirmed::TooLate(TooLate::Expired) => {
            order::reseat(conn, reservation, &payment.method, most_per_event).await?
        }
        seated => seated,
    };
    let Some(payment) = store::lock_order(conn, &payment.order_id).await? else {
        return Ok(Taken::Stands(End::Unknown));
    };
    if seated == Confirmed::Confirmed {
        if payment.status()? != Status::Captured {
            store::advance(conn, &payment, Status::Captured, key, None).await?;
        }
        admission_ticket::store::issue(conn, reservation).await?;
        return Ok(Taken::Sold);
    }
    store::advance(conn, &payment, Status::RefundPending, key, Some(TOO_LATE)).await?;
    // Whether or not a sweeper has come round: a reservation whose money goes back is over.
    order::release(conn, reservation, Release::Refused).await?;
    Ok(Taken::Stands(End::Refunding))
}

async fn fail(app: &App, payment: &Payment, why: &str) -> Outcome<End> {
    let mut conn = app.ground.pg.conn().await?;
    let end = conn
        .transaction(async |conn| {
            let Some((_reservation, payment)) = lock(conn, payment).await? else { return Ok(End::Unknown) };
            match payment.status()? {
                Status::Captured => return Outcome::Ok(End::Paid),
                Status::RefundPending | Status::Refunded => return Ok(End::Refunding),
                Status::Failed => return Ok(End::Failed(payment.failure.unwrap_or_default())),
                Status::Prepared | Status::Authorising => {}
            }
            store::advance(conn, &payment, Status::Failed, None, Some(why)).await?;
            store::mark_failed(conn, payment.reservation()).await?;
            Ok(End::Failed(why.to_owned()))
        })
        .await?;
    tell(app, "failed");
    Ok(end)
}

/// Writes down that all the money went back: because we asked for it, or because somebody did at the provider's own desk,
/// which ends the reservation too.
async fn gone_back(app: &App, payment: &Payment, receipt: &Receipt) -> Outcome<End> {
    let mut conn = app.ground.pg.conn().await?;
    conn.transaction(async |conn| {
        let Some((_reservation, payment)) = lock(conn, payment).await? else { return Ok(()) };
        let was = payment.status()?;
        if was == Status::Refunded {
            return Outcome::Ok(());
        }
        let (key, why) = (Some(receipt.payment_key.as_str()), payment.failure.as_deref());
        store::advance(conn, &payment, Status::Refunded, key, why).await?;
        if was == Status::Captured {
            order::release(conn, payment.reservation(), Release::Cancelled).await?;
        }
        store::mark_refunded(conn, payment.reservation()).await
    })
    .await?;
    tell(app, "refunded");
    Ok(End::Refunding)
}

/// Locks a payment's reservation and then the payment; says where the reservation stands.
async fn lock(conn: &mut AsyncPgConnection, payment: &Payment) -> Outcome<Option<(ReservationStatus, Payment)>> {
    let Some(owed) = store::lock_reservation(conn, payment.reservation()).await? else { return Ok(None) };
    let payment = store::lock_order(conn, &payment.order_id).await?;
    Ok(payment.map(|payment| (owed.status(), payment)))
}

fn tell(app: &App, what: &'static str) {
    metrics::counter!("payments_settled_total", "what" => what).increment(1);
    app.outbox.wake();
    app.payments.wake();
}
