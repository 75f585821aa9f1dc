//! Whether what the database says of stock, seats, holds, limits, payments and admissions fits together.
//!
//! Looks at a live database as of one instant, and changes nothing. Every check counts what should not be there, so all
//! counts are zero while everything is sound. A hold whose time has passed and which nobody has cleaned up is sound.

use std::io::Write;

use chassis::problem::{Outcome, Problem};
use diesel::{QueryableByName, sql_query, sql_types::BigInt};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use crate::{app::App, payment, queue::log};

/// Longest a check may run, milliseconds: it reads whole tables, which no request does.
const PATIENCE_MS: u32 = 600_000;

/// The check that no query can make.
const BROKEN_LOGS: &str = "waiting rooms whose admission log has a flaw, or ends elsewhere than they say";

/// One thing that must hold, and how often it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What must not be there.
    pub name: &'static str,
    /// How often it is there.
    pub count: i64,
}

/// What must not be there, each with the query that counts it; `$1` is the limit of a person for an event.
const CHECKS: [(&str, &str); 19] = [
    (
        "ticket types of which more is held and sold than there is",
        "SELECT count(*) FROM ticket_types WHERE held < 0 OR sold < 0 OR held + sold > total_quantity",
    ),
    (
        "ticket types whose held and sold numbers are not those of their reservations",
        "SELECT count(*) FROM ticket_types t LEFT JOIN ( \
             SELECT i.ticket_type_id, coalesce(sum(i.quantity) FILTER (WHERE r.status = 'pending'), 0) AS held, \
             coalesce(sum(i.quantity) FILTER (WHERE r.status = 'confirmed'), 0) AS sold \
             FROM reservation_items i JOIN reservations r ON r.id = i.reservation_id GROUP BY i.ticket_type_id) s \
         ON s.ticket_type_id = t.id WHERE t.held <> coalesce(s.held, 0) OR t.sold <> coalesce(s.sold, 0)",
    ),
    (
        "tickets of reservations or types that are not there, or of another event",
        "SELECT count(*) FROM reservation_items i LEFT JOIN reservations r ON r.id = i.reservation_id \
         LEFT JOIN ticket_types t ON t.id = i.ticket_type_id \
         WHERE r.id IS NULL OR t.id IS NULL OR t.event_id <> r.event_id",
    ),
    (
        "reservations whose total is not the sum of what they consist of",
        "SELECT count(*) FROM reservations r WHERE r.total_amount <> \
         coalesce((SELECT sum(i.subtotal) FROM reservation_items i WHERE i.reservation_id = r.id), 0) \
         + coalesce((SELECT sum(k.price) FROM reservation_seats k WHERE k.reservation_id = r.id), 0)",
    ),
    (
        "reservations of nothing",
        "SELECT count(*) FROM reservations r \
         WHERE NOT EXISTS (SELECT FROM reservation_items i WHERE i.reservation_id = r.id) \
         AND NOT EXISTS (SELECT FROM reservation_seats k WHERE k.reservation_id = r.id)",
    ),
    (
        "seats that are held or sold by a reservation they are no part of, or of another event",
        "SELECT count(*) FROM seats s JOIN reservations r ON r.id = s.reservation_id \
         LEFT JOIN reservation_seats k ON k.reservation_id = r.id AND k.seat_id = s.id \
         WHERE k.seat_id IS NULL OR r.event_id <> s.event_id",
    ),
    (
        "seats of reservations that are not there, or reservations of seats that are not there",
        "SELECT (SELECT count(*) FROM seats s WHERE s.reservation_id IS NOT NULL \
             AND NOT EXISTS (SELECT FROM reservations r WHERE r.id = s.reservation_id)) \
         + (SELECT count(*) FROM reservation_seats k WHERE NOT EXISTS (SELECT FROM seats s WHERE s.id = k.seat_id) \
             OR NOT EXISTS (SELECT FROM reservations r WHERE r.id = k.reservation_id)) AS count",
    ),
    (
        "seats that are held by a reservation that is not pending",
        "SELECT count(*) FROM seats s JOIN reservations r ON r.id = s.reservation_id \
         WHERE s.status = 'locked' AND r.status <> 'pending'",
    ),
    (
        "seats that are sold by a reservation that is not confirmed",
        "SELECT count(*) FROM seats s JOIN reservations r ON r.id = s.reservation_id \
         WHERE s.status = 'reserved' AND r.status <> 'confirmed'",
    ),
    (
        "seats that are held for another time than their reservation",
        "SELECT count(*) FROM seats s JOIN reservations r ON r.id = s.reservation_id \
         WHERE s.status = 'locked' AND s.held_until <> r.expires_at",
    ),
    (
        "seats that a pending reservation with time left does not hold",
        "SELECT count(*) FROM reservations r JOIN reservation_seats k ON k.reservation_id = r.id \
         JOIN seats s ON s.id = k.seat_id WHERE r.status = 'pending' AND r.expires_at > clock_timestamp() \
         AND (s.status <> 'locked' OR s.reservation_id <> r.id)",
    ),
    (
        "seats that a confirmed reservation does not have",
        "SELECT count(*) FROM reservations r JOIN reservation_seats k ON k.reservation_id = r.id \
         JOIN seats s ON s.id = k.seat_id WHERE r.status = 'confirmed' \
         AND (s.status <> 'reserved' OR s.reservation_id IS DISTINCT FROM r.id)",
    ),
    (
        "seats of two confirmed reservations",
        "SELECT count(*) FROM (SELECT k.seat_id FROM reservation_seats k JOIN reservations r ON r.id = k.reservation_id \
         WHERE r.status = 'confirmed' GROUP BY k.seat_id HAVING count(*) > 1) twice",
    ),
    (
        "people whose count for an event is not that of their reservations",
        "SELECT count(*) FROM (SELECT user_id, event_id, quantity FROM user_event WHERE quantity <> 0) u \
         FULL JOIN (SELECT r.user_id, r.event_id, sum(c.quantity) AS quantity FROM reservations r JOIN ( \
             SELECT reservation_id, quantity FROM reservation_items \
             UNION ALL SELECT reservation_id, 1 FROM reservation_seats) c ON c.reservation_id = r.id \
             WHERE r.status IN ('pending', 'confirmed') GROUP BY r.user_id, r.event_id) s USING (user_id, event_id) \
         WHERE u.quantity IS DISTINCT FROM s.quantity",
    ),
    ("people with more of an event than allowed", "SELECT count(*) FROM user_event WHERE quantity > $1"),
    (
        "confirmed reservations that are not paid for",
        "SELECT count(*) FROM reservations WHERE status = 'confirmed' AND payment_status <> 'completed'",
    ),
    (
        "pending reservations whose payment is over",
        "SELECT count(*) FROM reservations WHERE status = 'pending' AND payment_status IN ('completed', 'refunded')",
    ),
    (
        "refunded reservations that still stand",
        "SELECT count(*) FROM reservations WHERE payment_status = 'refunded' AND status IN ('pending', 'confirmed')",
    ),
    (
        "requests that were answered with a reservation that is not there",
        "SELECT count(*) FROM idempotency_keys k WHERE k.status = 201 AND k.answer #>> '{reservation,id}' IS NOT NULL \
         AND NOT EXISTS (SELECT FROM reservations r WHERE r.id = (k.answer #>> '{reservation,id}')::uuid)",
    ),
];

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Counts everything that should not be there.
///
/// # Errors
/// Returns a problem when the database is away.
pub async fn check(conn: &mut AsyncPgConnection, most_per_event: usize) -> Outcome<Vec<Finding>> {
    let most = i64::try_from(most_per_event).unwrap_or(i64::MAX);
    let mut snapshot = conn.build_transaction().read_only().repeatable_read();
    snapshot
        .run(async |conn| {
            sql_query(format!("SET LOCAL statement_timeout = {PATIENCE_MS}")).execute(conn).await?;
            let mut findings = Vec::with_capacity(CHECKS.len() + payment::checks::CHECKS.len());
            for (name, query) in CHECKS.into_iter().chain(payment::checks::CHECKS) {
                // Every query takes the limit, so that one line binds it.
                let query = format!("WITH checked AS ({query}) SELECT count FROM checked WHERE $1::bigint IS NOT NULL");
                let Counted { count } = sql_query(query).bind::<BigInt, _>(most).get_result(conn).await?;
                findings.push(Finding { name, count });
            }
            findings.push(Finding { name: BROKEN_LOGS, count: log::count_broken(conn).await? });
            Outcome::Ok(findings)
        })
        .await
}

/// Checks, and prints each count.
///
/// # Errors
/// Returns a problem when something is broken or the database is away.
pub async fn run(app: &App) -> Outcome<()> {
    let findings = check(&mut *app.ground.pg.conn().await?, app.config.max_per_user_event).await?;
    let mut out = std::io::stdout().lock();
    for Finding { name, count } in &findings {
        let verdict = if *count == 0 { "ok    " } else { "BROKEN" };
        writeln!(out, "{verdict} {count:>8}  {name}").map_err(Problem::unexpected)?;
    }
    let broken = findings.iter().filter(|finding| finding.count != 0).count();
    if broken == 0 { Ok(()) } else { Err(Problem::unexpected(format!("{broken} of {} checks failed", findings.len()))) }
}
