//! The provider's books, and the rules by which they change.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Booked;

/// An answer: status and document.
pub(super) type Said = (u16, Value);

/// Every payment by its key, and every answer by the idempotency key that it was given under.
#[derive(Default)]
pub(super) struct Books {
    payments: BTreeMap<String, Entry>,
    answers: BTreeMap<String, Option<Said>>,
}

/// A payment.
pub(super) struct Entry {
    order_id: String,
    amount: i64,
    taken: i64,
    returned: i64,
    pub(super) status: &'static str,
}

impl Entry {
    pub(super) const EXPIRED: &'static str = "EXPIRED";
    const IN_PROGRESS: &'static str = "IN_PROGRESS";
    const DONE: &'static str = "DONE";
    const CANCELED: &'static str = "CANCELED";
    const DEPOSIT: &'static str = "WAITING_FOR_DEPOSIT";

    pub(super) fn give_back(&mut self) {
        self.returned = self.taken;
        self.status = Self::CANCELED;
    }

    pub(super) fn booked(&self) -> Booked {
        let Self { order_id, taken, returned, status, .. } = self;
        Booked { order_id: order_id.clone(), status, taken: *taken, returned: *returned }
    }

    /// Writes the payment as the provider does.
    pub(super) fn body(&self, payment_key: &str) -> Value {
        json!({
            "mId": "maru", "version": "2022-11-16", "type": "NORMAL", "currency": "KRW", "method": "카드",
            "paymentKey": payment_key, "orderId": self.order_id, "status": self.status,
            "totalAmount": self.amount, "balanceAmount": self.amount - self.returned, "failure": null,
        })
    }
}

/// Writes an error as the provider does.
pub(super) fn error(status: u16, code: &str) -> Said {
    (status, json!({ "code": code, "message": "안 됩니다." }))
}

impl Books {
    pub(super) fn open(&mut self, order_id: &str, amount: i64) -> String {
        let key = format!("tmaru{}", self.payments.len());
        let entry = Entry { order_id: order_id.to_owned(), amount, taken: 0, returned: 0, status: Entry::IN_PROGRESS };
        self.payments.insert(key.clone(), entry);
        key
    }

    pub(super) fn entry(&mut self, payment_key: &str) -> Option<&mut Entry> {
        self.payments.get_mut(payment_key)
    }

    pub(super) fn all(&self) -> Vec<Booked> {
        self.payments.values().map(Entry::booked).collect()
    }

    /// Begins to answer under an idempotency key, or says what was answered under it before.
    pub(super) fn begin(&mut self, key: &str) -> Option<Said> {
        match self.answers.get(key) {
            Some(Some(said)) => Some(said.clone()),
            Some(None) => Some(error(409, "IDEMPOTENT_REQUEST_PROCESSING")),
            None => {
                self.answers.insert(key.to_owned(), None);
                None
            }
        }
    }

    /// Keeps an answer under its idempotency key.
    pub(super) fn keep(&mut self, key: &str, said: &Said) {
        self.answers.insert(key.to_owned(), Some(said.clone()));
    }

    pub(super) fn confirm(&mut self, asked: &Value, is_deposit: bool) -> Said {
        let text = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (payment_key, order_id) = (text("paymentKey"), text("orderId"));
        let Some(entry) = self.payments.get_mut(&payment_key) else { return error(404, "NOT_FOUND_PAYMENT") };
        if entry.status != Entry::IN_PROGRESS {
            return match entry.status {
                Entry::EXPIRED => error(404, "NOT_FOUND_PAYMENT_SESSION"),
                _ => error(400, "ALREADY_PROCESSED_PAYMENT"),
            };
        }
        if entry.order_id != order_id || asked.get("amount").and_then(Value::as_i64) != Some(entry.amount) {
            return error(400, "INVALID_REQUEST");
        }
        if is_deposit {
            entry.status = Entry::DEPOSIT;
        } else {
            entry.taken = entry.amount;
            entry.status = Entry::DONE;
        }
        (200, entry.body(&payment_key))
    }

    pub(super) fn cancel(&mut self, payment_key: &str, asked: &Value) -> Said {
        let Some(entry) = self.payments.get_mut(payment_key) else { return error(404, "NOT_FOUND_PAYMENT") };
        match entry.status {
            Entry::CANCELED => return error(400, "ALREADY_CANCELED_PAYMENT"),
            Entry::DONE | Entry::DEPOSIT => {}
            _ => return error(403, "NOT_CANCELABLE_PAYMENT"),
        }
        if asked.get("cancelReason").and_then(Value::as_str).is_none_or(str::is_empty) {
            return error(400, "INVALID_REQUEST");
        }
        let balance = entry.amount - entry.returned;
        if asked.get("cancelAmount").and_then(Value::as_i64).is_some_and(|amount| amount != balance) {
            return error(403, "NOT_CANCELABLE_AMOUNT");
        }
        entry.give_back();
        (200, entry.body(payment_key))
    }

    pub(super) fn look_up(&self, payment_key: &str) -> Said {
        match self.payments.get(payment_key) {
            Some(entry) => (200, entry.body(payment_key)),
            None => error(404, "NOT_FOUND_PAYMENT"),
        }
    }

    /// Finds the last payment of an order.
    pub(super) fn look_up_order(&self, order_id: &str) -> Said {
        let found = self.payments.iter().rfind(|(_, entry)| entry.order_id == order_id);
        found.map_or_else(|| error(404, "NOT_FOUND_PAYMENT"), |(key, entry)| (200, entry.body(key)))
    }
}
