//! The orders: what is sent, and what became of it.

use std::{fmt::Write as _, io::Write as _, sync::Arc, time::Duration};

use serde::Serialize;

use super::contender::Contender;
use crate::{
    figures,
    load::{self, Answered},
    ticketing_process::Server,
};

/// The event, and the ticket type that everybody wants of it.
pub(super) const HOT: &str = "6d617275-0000-4000-8000-000000000001";
/// Buyers who take turns until each has all their orders; more than there are connections, so that nobody has two on
/// their way at once.
const TAKING_TURNS: u64 = 1_024;

/// Rows of one event and one ticket type with more tickets than can be sold.
pub(super) fn seed(room: &str) -> String {
    format!(
        "INSERT INTO events (id, organizer_id, title, venue, event_date, sale_start_date, sale_end_date) \
         VALUES ('{HOT}', '{HOT}', 'maru-bench', 'maru-bench', now() + interval '3 days', now() - interval '1 day', \
         now() + interval '2 days'); \
         INSERT INTO ticket_types (id, event_id, name, price, total_quantity) \
         VALUES ('{HOT}', '{HOT}', 'maru-bench', 45000, 2000000000); \
         INSERT INTO waiting_rooms (event_id, mode, threshold) VALUES ('{HOT}', {room}); \
         CREATE SEQUENCE bench_orders CACHE 64"
    )
}

/// Forgets all orders, and has the disk to do with nothing of the round before.
pub(super) const FORGET: &str = "
    TRUNCATE reservations, reservation_items, reservation_seats, user_event, idempotency_keys, outbox CASCADE;
    UPDATE ticket_types SET held = 0;
    CHECKPOINT;
";
pub(super) const COMMITTED: &str = "SELECT count(*) FROM reservations";
/// Ticket types that do not agree with their orders.
pub(super) const UNSOUND: &str = "
    SELECT count(*) FROM ticket_types t WHERE t.held <> (SELECT coalesce(sum(quantity), 0) FROM reservation_items)
";

/// The statement of the limit: 64 orders of 64 new buyers, in the order of their ids, which suits the indexes best.
/// The reservations' ids and numbers come from a sequence.
pub(super) fn batch_statement() -> String {
    format!(
        "WITH made AS MATERIALIZED (SELECT nextval('bench_orders') AS n, gen_random_uuid() AS buyer \
         FROM generate_series(1, 64)), \
         rows AS (SELECT array_agg(lpad(to_hex(n), 32, '0')::uuid) AS ids, \
         array_agg('TK' || lpad(upper(to_hex(n)), 12, '0')) AS numbers, array_agg(buyer) AS buyers, \
         array_agg(buyer::text) AS keys, array_agg('\\x00'::bytea) AS hashes, array_agg('maru-bench'::text) AS messages \
         FROM made) \
         SELECT b.outcomes FROM rows r, reserve_batch(r.ids, r.numbers, array_fill(:id::uuid, ARRAY[64]), r.buyers, \
         'POST /api/v1/reservations', r.keys, r.hashes, r.messages, ARRAY(SELECT generate_series(1, 64)), \
         array_fill('{HOT}'::uuid, ARRAY[64]), array_fill(1, ARRAY[64]), 3600, 10, false, false) b"
    )
}

/// How buyers name themselves.
#[derive(Clone, Debug)]
pub(super) enum Named {
    /// By a token of their own.
    Tokens(Arc<[String]>),
    /// By their id, for who checks no token.
    Ids(Arc<[String]>),
}

/// Returns what writes one order after the other.
pub(super) fn writer(buyers: Named, server: Server, orders_per_buyer: u64) -> Box<load::Write> {
    let body = format!(r#"{{"eventId":"{HOT}","items":[{{"ticketTypeId":"{HOT}","quantity":1}}]}}"#);
    let head = format!(
        "POST /api/v1/reservations HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        server.address,
        body.len()
    );
    Box::new(move |number, out| {
        let (field, names) = match &buyers {
            Named::Tokens(tokens) => ("authorization: Bearer ", tokens),
            Named::Ids(ids) => ("x-user-id: ", ids),
        };
        let buyer = usize::try_from(buyer_of(number, orders_per_buyer)).unwrap_or(usize::MAX);
        let Some(name) = names.get(buyer) else { return false };
        out.extend_from_slice(head.as_bytes());
        write!(out, "{field}{name}\r\nidempotency-key: order-{number}\r\n\r\n{body}").is_ok()
    })
}

/// Returns whose an order is: some buyers take turns, then the next ones.
const fn buyer_of(number: u64, orders_per_buyer: u64) -> u64 {
    let together = TAKING_TURNS * orders_per_buyer;
    number / together * TAKING_TURNS + number % TAKING_TURNS
}

/// Returns how many buyers it takes.
pub(super) const fn buyers_for(orders: u64, orders_per_buyer: u64) -> u64 {
    (orders / (TAKING_TURNS * orders_per_buyer) + 1) * TAKING_TURNS
}

/// One contender in one round.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sample {
    pub(super) contender: Contender,
    pub(super) round: u32,
    /// Orders on disk.
    pub(super) committed: u64,
    pub(super) per_second: f64,
    #[serde(rename = "p50_ms", serialize_with = "figures::as_milliseconds")]
    pub(super) p50: Duration,
    #[serde(rename = "p99_ms", serialize_with = "figures::as_milliseconds")]
    pub(super) p99: Duration,
    pub(super) server_micros: Option<f64>,
    pub(super) gateway_micros: Option<f64>,
    pub(super) postgres_micros: Option<f64>,
    /// Answers that were no 201.
    pub(super) others: String,
    /// Orders that were answered with 201 and are not on disk, or the other way round, or tickets that were sold twice.
    pub(super) faults: u64,
}

impl Sample {
    pub(super) const fn is_sound(&self) -> bool {
        self.faults == 0
    }

    /// Sets what was answered.
    pub(super) fn answered(mut self, answered: &Answered) -> Self {
        let at = |share| figures::percentile(&answered.times, share).unwrap_or_default();
        (self.p50, self.p99) = (at(0.5), at(0.99));
        self.faults += self.committed.abs_diff(answered.count(201));
        self.others.clear();
        let _ = write!(self.others, "{}", answered.others(201));
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn nobody_has_more_orders_than_allowed_or_two_at_once() {
        let mut orders = BTreeMap::<u64, Vec<u64>>::new();
        for number in 0..50_000 {
            orders.entry(buyer_of(number, 10)).or_default().push(number);
        }
        assert!(orders.values().all(|numbers| numbers.len() <= 10));
        assert!(orders.values().all(|numbers| numbers.is_sorted_by(|a, b| b - a >= TAKING_TURNS)));
        assert!(*orders.keys().max().unwrap() < buyers_for(50_000, 10));
    }

    #[test]
    fn a_request_states_its_length() {
        let write = writer(Named::Ids(["a".to_owned()].into()), Server::at(1, 2), 10);
        let mut out = Vec::new();
        assert!(write(0, &mut out));
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())));
        assert!(head.contains("x-user-id: a\r\nidempotency-key: order-0"));
        assert!(!write(1, &mut Vec::new()));
    }
}
