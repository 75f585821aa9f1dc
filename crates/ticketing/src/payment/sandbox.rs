//! Imaginary money, for development: everything is paid for at once, and says so (`sandbox: true`).
//!
//! It remembers nothing, so that it answers the same from every replica and after every restart: a key that begins with
//! [`DECLINED`] is declined, and every other one has paid.

use async_trait::async_trait;
use domain::{ids::PaymentId, payment::PaymentMethod};

use super::provider::{Charge, Provider, Receipt, Reply, Standing, Trouble};

/// How a key begins that is declined, to see how that looks.
pub const DECLINED: &str = "sandbox_decline";

/// The sandbox.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sandbox;

fn receipt(charge: Charge<'_>, balance: i64) -> Receipt {
    Receipt {
        order_id: charge.order_id.to_owned(),
        payment_key: charge.payment_key.to_owned(),
        amount: charge.amount,
        balance,
    }
}

#[async_trait]
impl Provider for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn is_sandbox(&self) -> bool {
        true
    }

    fn client_key(&self) -> &'static str {
        "sandbox"
    }

    fn methods(&self) -> &'static [PaymentMethod] {
        &PaymentMethod::ALL
    }

    fn direct_key(&self, payment_id: PaymentId) -> Option<String> {
        Some(format!("sandbox_{}", payment_id.0.simple()))
    }

    async fn confirm(&self, charge: Charge<'_>, _idempotency_key: &str) -> Reply {
        if charge.payment_key.starts_with(DECLINED) {
            return Err(Trouble::Refused("SANDBOX_DECLINED".to_owned()));
        }
        Ok(Standing::Captured(receipt(charge, charge.amount)))
    }

    async fn cancel(&self, charge: Charge<'_>, _reason: &str, _idempotency_key: &str) -> Reply {
        Ok(Standing::Cancelled(receipt(charge, 0)))
    }

    // Open, and so it is asked to confirm or to cancel once more, which does no harm.
    async fn look_up(&self, _order_id: &str, _payment_key: Option<&str>) -> Reply {
        Ok(Standing::Open)
    }
}
