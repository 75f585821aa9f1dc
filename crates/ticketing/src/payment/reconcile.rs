//! Finding out what is not known, in every replica.
//!
//! A payment that is neither settled nor somebody's is leased to one replica at a time, by a time in its row, and looked
//! into: the provider is asked, and what it says is settled. So it goes with payments whose asker died, with money that
//! must go back, and with what webhooks point at. Nothing is locked while the provider thinks.

use std::{sync::Arc, time::Duration};

use chassis::problem::{Outcome, Problem};
use domain::payment::PaymentStatus;
use futures_util::future::join_all;

use super::{
    charge,
    provider::Standing,
    refund,
    settle::settle,
    store::{self, Payment},
    webhook,
};
use crate::app::App;

/// Payments that are looked into at once; the provider answers each within its time-out.
const BATCH: i32 = 16;

/// Starts the loop that looks every `pause`, and when it is told to.
pub fn start(app: &App, pause: Duration) {
    let app = app.clone();
    app.ground.lifecycle.clone().spawn_loop("payments", move |stop| {
        let app = app.clone();
        async move {
            while !stop.is_cancelled() {
                // Listening before looking: what is said in between is not waited for until the next sweep.
                let wake = app.payments.wake.clone();
                let woken = wake.notified();
                match sweep(&app).await {
                    Ok(seen) if seen >= usize::try_from(BATCH).unwrap_or_default() => continue,
                    Ok(_) => {}
                    Err(problem) => tracing::warn!(code = problem.code(), "payments wait for the database"),
                }
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = woken => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    });
}

/// Looks into everything that is due, at most one batch of each kind; returns how much there was.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn sweep(app: &App) -> Outcome<usize> {
    let payments = store::take_due(&mut *app.ground.pg.conn().await?, BATCH, app.payments.lease()).await?;
    let seen = payments.len();
    join_all(payments.iter().map(|payment| look_into(app, payment))).await;
    Ok(seen + webhook::work_through(app, BATCH).await?)
}

async fn look_into(app: &App, payment: &Payment) {
    let looked = match payment.status() {
        Ok(PaymentStatus::Authorising) => find_out(app, payment).await,
        Ok(PaymentStatus::RefundPending) => refund::give_back(app, payment).await,
        Ok(status) => Err(Problem::unexpected(format!("a payment is due that is {}", status.name()))),
        Err(problem) => Err(problem),
    };
    if let Err(problem) = looked {
        // Its lease ends, and then it is looked into again.
        tracing::error!(payment = %payment.id, code = problem.code(), "a payment could not be looked into");
        problem.log();
    }
}

/// Asks what became of a payment. If the buyer has consented and the money was not taken, it is taken now, as long as
/// there is something to pay for.
async fn find_out(app: &App, payment: &Payment) -> Outcome<()> {
    let provider = Arc::clone(app.payments.named(&payment.provider)?);
    let mut reply = provider.look_up(&payment.order_id, payment.payment_key.as_deref()).await;
    if matches!(reply, Ok(Standing::Open | Standing::Missing)) {
        let is_payable = store::is_payable(&mut *app.ground.pg.conn().await?, payment).await?;
        if is_payable {
            reply = charge::confirm(&*provider, payment).await?;
        }
    }
    let reply = charge::conclude(&*provider, payment, reply).await?;
    settle(app, payment, reply).await.map(|_end| ())
}
