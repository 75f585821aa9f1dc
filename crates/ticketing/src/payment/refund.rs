//! Giving money back.
//!
//! Whoever ends a reservation that was paid for writes a message with the topic `refund` in the same transaction. The
//! relay turns it into a payment that is `refund_pending`, and the reconciler asks the provider until the money went
//! back. The whole sum goes back at once, which a provider does once, whatever key it is asked under.

use std::sync::Arc;

use async_trait::async_trait;
use chassis::{
    outbox::{Deliver, Lane, Message, QUICK},
    problem::{Outcome, Problem},
};
use diesel_async::AsyncConnection;
use domain::ids::ReservationId;
use serde::Deserialize;

use super::{
    provider::{Charge, Reply, Standing, Trouble},
    settle,
    store::{self, Payment},
};
use crate::app::App;

/// The outbox topic of refunds.
pub const TOPIC: &str = "refund";
/// What the buyer reads of a refund.
const REASON: &str = "예매 취소";

/// A message of this topic.
#[derive(Deserialize)]
struct Refund {
    reservation_id: ReservationId,
}

/// Turns messages into payments that must go back.
struct Refunds(App);

/// Starts the relay of refunds.
pub fn relay(app: &App) {
    let lane = Lane { name: "refund", topics: &[TOPIC], patience: QUICK };
    app.outbox.relay(&app.ground.lifecycle, app.ground.pg.clone(), lane, Arc::new(Refunds(app.clone())));
}

#[async_trait]
impl Deliver for Refunds {
    async fn deliver(&self, message: &Message) -> Outcome<()> {
        let Refund { reservation_id } = serde_json::from_value(message.payload.clone()).map_err(Problem::unexpected)?;
        let mut conn = self.0.ground.pg.conn().await?;
        let owed = conn
            .transaction(async |conn| {
                store::lock_reservation(conn, reservation_id).await?;
                store::owe_refunds(conn, reservation_id).await
            })
            .await?;
        if owed > 0 {
            self.0.payments.wake();
        }
        // Nothing was paid: there is nothing to give back.
        Ok(())
    }
}

/// Gives the money of a payment back.
///
/// # Errors
/// Returns a problem when the database is away, or the provider is not configured any more.
pub async fn give_back(app: &App, payment: &Payment) -> Outcome<()> {
    let reply = ask(app, payment).await?;
    match reply {
        Ok(Standing::Cancelled(receipt)) if receipt.order_id == payment.order_id => {
            settle::settle(app, payment, Ok(Standing::Cancelled(receipt))).await.map(|_end| ())
        }
        Ok(_) => settle::postpone(app, payment, None, true).await,
        Err(trouble) => {
            metrics::counter!("refunds_postponed_total").increment(1);
            tracing::error!(payment = %payment.id, attempts = payment.attempts, %trouble, "money is not given back yet");
            let code = match &trouble {
                Trouble::Refused(code) | Trouble::Unsure(code) => Some(code.as_str()),
                Trouble::Silent(_) => None,
            };
            settle::postpone(app, payment, code, code.is_some()).await
        }
    }
}

/// Asks to cancel. A later try looks first what the earlier ones came to, and how much of the money is still here.
async fn ask(app: &App, payment: &Payment) -> Outcome<Reply> {
    let provider = Arc::clone(app.payments.named(&payment.provider)?);
    let mut charge = payment.charge()?;
    if payment.attempts > 1 {
        match provider.look_up(&payment.order_id, payment.payment_key.as_deref()).await {
            Ok(Standing::Captured(receipt)) => charge = Charge { amount: receipt.balance, ..charge },
            reply @ (Ok(Standing::Cancelled(_)) | Err(_)) => return Ok(reply),
            Ok(_) => {}
        }
    }
    let cancelled = provider.cancel(charge, REASON, &payment.idempotency_key("refund")).await;
    Ok(match cancelled {
        // Done before, perhaps.
        Err(trouble @ (Trouble::Unsure(_) | Trouble::Refused(_))) => {
            match provider.look_up(&payment.order_id, payment.payment_key.as_deref()).await {
                reply @ Ok(Standing::Cancelled(_)) => reply,
                _ => Err(trouble),
            }
        }
        reply => reply,
    })
}
