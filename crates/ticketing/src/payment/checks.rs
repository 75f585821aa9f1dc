//! What must not be there of payments and tickets, for whoever checks a live database.

/// What must not be there, each with the query that counts it.
pub(crate) const CHECKS: [(&str, &str); 9] = [
    (
        "captured payments of reservations that are not confirmed, and whose refund nobody has asked for",
        "SELECT count(*) FROM payments p JOIN reservations r ON r.id = p.reservation_id \
         WHERE p.status = 'captured' AND r.status <> 'confirmed' AND NOT EXISTS (SELECT FROM outbox o \
         WHERE o.topic = 'refund' AND o.payload ->> 'reservation_id' = r.id::text)",
    ),
    (
        "payments of another sum than their reservation",
        "SELECT count(*) FROM payments p JOIN reservations r ON r.id = p.reservation_id WHERE p.amount <> r.total_amount",
    ),
    (
        "reservations with two payments that are under way or captured",
        "SELECT count(*) FROM (SELECT reservation_id FROM payments \
         WHERE status IN ('prepared', 'authorising', 'captured') GROUP BY reservation_id HAVING count(*) > 1) twice",
    ),
    (
        "payments that nobody has looked into for an hour",
        "SELECT count(*) FROM payments WHERE next_try_at < clock_timestamp() - interval '1 hour'",
    ),
    (
        "payments whose result has not been found out for a day, or whose refund for a week",
        "SELECT count(*) FROM payments WHERE (status = 'authorising' AND updated_at < clock_timestamp() - interval '1 day') \
         OR (status = 'refund_pending' AND updated_at < clock_timestamp() - interval '7 days')",
    ),
    (
        "refunded payments of reservations that are over and do not say so",
        "SELECT count(*) FROM payments p JOIN reservations r ON r.id = p.reservation_id \
         WHERE p.status = 'refunded' AND r.status IN ('cancelled', 'expired') AND r.payment_status <> 'refunded' \
         AND NOT EXISTS (SELECT FROM payments q WHERE q.reservation_id = r.id \
         AND q.status IN ('authorising', 'captured', 'refund_pending'))",
    ),
    (
        "reservations that were paid for and have not a ticket for each seat and each of what was bought by quantity",
        "SELECT count(*) FROM reservations r JOIN payments p ON p.reservation_id = r.id AND p.status = 'captured' \
         WHERE r.status = 'confirmed' AND (SELECT count(*) FROM tickets t WHERE t.reservation_id = r.id) <> \
         (SELECT count(*) FROM reservation_seats k WHERE k.reservation_id = r.id) \
         + coalesce((SELECT sum(i.quantity) FROM reservation_items i WHERE i.reservation_id = r.id), 0)",
    ),
    (
        "tickets of reservations that were never confirmed",
        "SELECT count(*) FROM tickets t JOIN reservations r ON r.id = t.reservation_id \
         WHERE r.status IN ('pending', 'expired')",
    ),
    (
        "seats that two people have good tickets for",
        "SELECT count(*) FROM (SELECT t.seat_id FROM tickets t JOIN reservations r ON r.id = t.reservation_id \
         WHERE r.status = 'confirmed' AND t.seat_id IS NOT NULL GROUP BY t.seat_id HAVING count(*) > 1) twice",
    ),
];
