//! Asking the provider for the money of a claimed payment.
//!
//! The buyer's request waits for the answer, and may go away: the question is a task of its own, so that a closed browser
//! leaves nothing half done. What neither the confirmation nor a look afterwards can tell, the reconciler finds out.

use std::{sync::Arc, time::Duration};

use chassis::{
    context::RequestContext,
    problem::{Outcome, Problem},
};
use domain::payment::{PAYMENT_DECLINED, PAYMENT_PENDING, PAYMENT_REFUNDED};
use tokio::{sync::oneshot, time::timeout};

use super::{
    provider::{Provider, Reply, Standing, Trouble},
    settle::{End, settle},
    store::Payment,
};
use crate::app::App;

/// How much earlier than its request's deadline a buyer is told that the result is not known yet.
const MARGIN: Duration = Duration::from_millis(500);
/// Longest a buyer waits outside any request's deadline.
const PATIENCE: Duration = Duration::from_mins(1);
/// What a buyer reads when an account to pay into some day is taken back.
const NO_DEPOSITS: &str = "가상계좌는 사용할 수 없습니다.";
/// Why a payment failed whose buyer would have paid into an account some day.
const DEPOSIT: &str = "deposit_not_supported";

/// Asks for the money of a claimed payment and waits for what comes of it.
///
/// # Errors
/// 409 `payment_declined` with the provider's code as `reason`, 409 `payment_refunded`, 503 `payment_pending`.
pub async fn ask(app: &App, payment: Payment) -> Outcome<()> {
    let (send, receive) = oneshot::channel();
    let own = app.clone();
    app.ground.lifecycle.spawn("payment", async move {
        let end = carry_out(&own, &payment).await;
        if let Err(problem) = &end {
            problem.log();
        }
        // Nobody listens when the buyer has gone.
        _ = send.send(end);
    });
    let patience = RequestContext::current().map_or(PATIENCE, |request| request.remaining().saturating_sub(MARGIN));
    let end = match timeout(patience, receive).await {
        Ok(Ok(end)) => end.map_err(|problem| Problem::from(PAYMENT_PENDING).caused_by(problem.to_string()))?,
        // The task was dropped with its process, or is still at it.
        Ok(Err(_)) | Err(_) => End::Unknown,
    };
    answer(end)
}

/// Turns what came of a payment into an answer.
///
/// # Errors
/// For everything but money that has become tickets.
pub fn answer(end: End) -> Outcome<()> {
    match end {
        End::Paid => Ok(()),
        End::Refunding => Err(PAYMENT_REFUNDED.into()),
        End::Failed(reason) => Err(Problem::from(PAYMENT_DECLINED).with("reason", reason)),
        End::Unknown => Err(PAYMENT_PENDING.into()),
    }
}

async fn carry_out(app: &App, payment: &Payment) -> Outcome<End> {
    let provider = Arc::clone(app.payments.named(&payment.provider)?);
    let reply = confirm(&*provider, payment).await?;
    settle(app, payment, reply).await
}

/// Confirms a payment, and looks it up when that does not tell.
///
/// # Errors
/// Returns a problem when the payment cannot be asked for at all.
pub async fn confirm(provider: &dyn Provider, payment: &Payment) -> Outcome<Reply> {
    let charge = payment.charge()?;
    let asked = provider.confirm(charge, &payment.idempotency_key("confirm")).await;
    let trouble = match asked {
        Err(trouble @ (Trouble::Unsure(_) | Trouble::Silent(_))) => trouble,
        reply => return conclude(provider, payment, reply).await,
    };
    let reply = match provider.look_up(&payment.order_id, payment.payment_key.as_deref()).await {
        // It may still be on its way there.
        Ok(Standing::Open | Standing::Missing) | Err(_) => Err(trouble),
        reply => reply,
    };
    conclude(provider, payment, reply).await
}

/// Takes back an account that was given to the buyer to pay into some day: nothing is held for so long.
///
/// # Errors
/// Returns a problem when the payment cannot be asked for at all.
pub async fn conclude(provider: &dyn Provider, payment: &Payment, reply: Reply) -> Outcome<Reply> {
    if !matches!(reply, Ok(Standing::AwaitsDeposit)) {
        return Ok(reply);
    }
    let cancelled = provider.cancel(payment.charge()?, NO_DEPOSITS, &payment.idempotency_key("void")).await;
    Ok(match cancelled {
        Ok(Standing::Cancelled(_) | Standing::Dead(_)) => Ok(Standing::Dead(DEPOSIT.to_owned())),
        // Refused or not, it is looked at again.
        Err(Trouble::Refused(code)) => Err(Trouble::Unsure(code)),
        reply => reply,
    })
}
