//! The checks of a live database: every one of them is damaged, and says so.

use std::collections::BTreeSet;

use ticketing::verify::{self, Finding};

use crate::{
    house::{House, ON_SALE, id, order, reserve},
    payments::{PROCESS, process_wish},
};

/// Takes away what keeps damage out, and keeps a copy of every row.
const OPEN: &str = "
    DO $$ DECLARE c record; t text; BEGIN
        FOR c IN SELECT conrelid::regclass AS at, conname FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 AND contype IN ('c', 'f', 'u')
            ORDER BY contype = 'f' DESC
        LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I', c.at, c.conname); END LOOP;
        CREATE SCHEMA kept;
        FOREACH t IN ARRAY ARRAY['ticket_types', 'reservations', 'reservation_items', 'reservation_seats', 'seats',
            'user_event', 'idempotency_keys', 'payments', 'tickets']
        LOOP EXECUTE format('CREATE TABLE kept.%I AS TABLE public.%I', t, t); END LOOP;
    END $$;
    DROP INDEX payments_live;
    ALTER TABLE reservation_items ALTER subtotal DROP EXPRESSION";

/// Puts every row back; of waiting rooms, which go on meanwhile, only takes away what was put there.
const REPAIR: &str = "
    DO $$ DECLARE t name; BEGIN
        FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'kept' LOOP
            EXECUTE format('DELETE FROM public.%I', t);
            EXECUTE format('INSERT INTO public.%I SELECT * FROM kept.%I', t, t);
        END LOOP;
    END $$;
    DELETE FROM waiting_rooms WHERE event_id IN (SELECT id FROM events WHERE title = '파도')";

/// What is done to the database, and which check finds it.
const DAMAGES: [(&str, &str); 39] = [
    (
        "ticket types of which more is held and sold than there is",
        "UPDATE ticket_types SET total_quantity = held + sold - 1",
    ),
    ("ticket types of which more is held and sold than there is", "UPDATE ticket_types SET held = -1"),
    (
        "ticket types whose held and sold numbers are not those of their reservations",
        "UPDATE ticket_types SET held = held + 1",
    ),
    (
        "ticket types whose held and sold numbers are not those of their reservations",
        "UPDATE ticket_types SET sold = sold - 1",
    ),
    (
        "ticket types whose held and sold numbers are not those of their reservations",
        "UPDATE reservation_items SET quantity = quantity + 1",
    ),
    (
        "tickets of reservations or types that are not there, or of another event",
        "UPDATE reservation_items SET reservation_id = ticket_type_id WHERE quantity = 2",
    ),
    (
        "tickets of reservations or types that are not there, or of another event",
        "UPDATE reservation_items SET ticket_type_id = reservation_id WHERE quantity = 2",
    ),
    (
        "tickets of reservations or types that are not there, or of another event",
        "UPDATE ticket_types SET event_id = id",
    ),
    (
        "reservations whose total is not the sum of what they consist of",
        "UPDATE reservations SET total_amount = total_amount + 1",
    ),
    ("reservations of nothing", "DELETE FROM reservation_items; DELETE FROM reservation_seats"),
    (
        "seats that are held or sold by a reservation they are no part of, or of another event",
        "DELETE FROM reservation_seats",
    ),
    (
        "seats that are held or sold by a reservation they are no part of, or of another event",
        "UPDATE seats SET event_id = id WHERE reservation_id IS NOT NULL",
    ),
    (
        "seats that are held by a reservation that is not pending",
        "UPDATE reservations SET status = 'cancelled' WHERE status = 'pending'",
    ),
    (
        "seats that are sold by a reservation that is not confirmed",
        "UPDATE reservations SET status = 'cancelled' WHERE status = 'confirmed'",
    ),
    (
        "seats that are held for another time than their reservation",
        "UPDATE seats SET held_until = held_until + interval '1 second'",
    ),
    (
        "seats that a pending reservation with time left does not hold",
        "UPDATE seats SET status = 'available', reservation_id = NULL, held_until = NULL WHERE status = 'locked'",
    ),
    (
        "seats that a confirmed reservation does not have",
        "UPDATE seats SET status = 'available', reservation_id = NULL WHERE status = 'reserved'",
    ),
    (
        "seats of two confirmed reservations",
        "INSERT INTO reservation_seats (reservation_id, seat_id, price) \
         SELECT (SELECT id FROM reservations WHERE total_amount = 3000), k.seat_id, k.price FROM reservation_seats k \
         JOIN reservations r ON r.id = k.reservation_id WHERE r.status = 'confirmed'",
    ),
    (
        "people whose count for an event is not that of their reservations",
        "UPDATE user_event SET quantity = quantity + 1",
    ),
    (
        "seats of reservations that are not there, or reservations of seats that are not there",
        "DELETE FROM reservations WHERE status = 'pending'; DELETE FROM reservation_seats",
    ),
    (
        "seats of reservations that are not there, or reservations of seats that are not there",
        "DELETE FROM seats WHERE status = 'locked'",
    ),
    (
        "seats of reservations that are not there, or reservations of seats that are not there",
        "UPDATE seats SET reservation_id = NULL, status = 'available'; UPDATE reservation_seats SET reservation_id = seat_id",
    ),
    ("people whose count for an event is not that of their reservations", "DELETE FROM user_event"),
    ("people with more of an event than allowed", "UPDATE user_event SET quantity = 11"),
    (
        "confirmed reservations that are not paid for",
        "UPDATE reservations SET payment_status = 'pending' WHERE status = 'confirmed'",
    ),
    (
        "pending reservations whose payment is over",
        "UPDATE reservations SET payment_status = 'completed' WHERE status = 'pending'",
    ),
    (
        "refunded reservations that still stand",
        "UPDATE reservations SET payment_status = 'refunded' WHERE status = 'confirmed'",
    ),
    (
        "requests that were answered with a reservation that is not there",
        "DELETE FROM reservations WHERE status = 'pending'",
    ),
    (
        "captured payments of reservations that are not confirmed, and whose refund nobody has asked for",
        "UPDATE reservations SET status = 'cancelled' WHERE status = 'confirmed'",
    ),
    ("payments of another sum than their reservation", "UPDATE payments SET amount = amount + 1"),
    (
        "reservations with two payments that are under way or captured",
        "INSERT INTO payments (id, reservation_id, provider, order_id, method, amount) \
         SELECT gen_random_uuid(), reservation_id, provider, 'twice', method, amount FROM payments",
    ),
    (
        "payments that nobody has looked into for an hour",
        "UPDATE payments SET next_try_at = clock_timestamp() - interval '61 minutes'",
    ),
    (
        "payments whose result has not been found out for a day, or whose refund for a week",
        "UPDATE payments SET status = 'authorising', updated_at = clock_timestamp() - interval '25 hours'",
    ),
    (
        "payments whose result has not been found out for a day, or whose refund for a week",
        "UPDATE payments SET status = 'refund_pending', updated_at = clock_timestamp() - interval '8 days'",
    ),
    (
        "refunded payments of reservations that are over and do not say so",
        "UPDATE payments SET status = 'refunded'; \
         UPDATE reservations SET status = 'cancelled' WHERE status = 'confirmed'",
    ),
    (
        "reservations that were paid for and have not a ticket for each seat and each of what was bought by quantity",
        "DELETE FROM tickets WHERE ordinal = 1",
    ),
    (
        "tickets of reservations that were never confirmed",
        "UPDATE reservations SET status = 'expired' WHERE status = 'confirmed'",
    ),
    (
        "seats that two people have good tickets for",
        "UPDATE tickets SET seat_id = (SELECT seat_id FROM tickets WHERE seat_id IS NOT NULL LIMIT 1) \
         WHERE seat_id IS NOT NULL",
    ),
    (
        "waiting rooms whose admission log has a flaw, or ends elsewhere than they say",
        "INSERT INTO waiting_rooms (event_id, log_index) SELECT id, 1 FROM events WHERE title = '파도'",
    ),
];

async fn findings(house: &House) -> Vec<Finding> {
    verify::check(&mut house.pg.conn().await.unwrap(), 10).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_damage_is_found_by_the_check_that_is_for_it() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(6).await;
    let kind = house.ticket_type(event, "스탠딩", 1_000, 20).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    order(&kim, event, &[(kind, 2)]).await.assert_status(201);
    reserve(&kim, event, &seats[..2]).await.assert_status(201);
    let paid = [reserve(&lee, event, &seats[2..4]).await, order(&lee, event, &[(kind, 3)]).await];
    for made in paid {
        let reservation = id(&made.assert_status(201).json["reservation"]["id"]);
        lee.post(PROCESS, process_wish(reservation, "kakao_pay")).await.assert_status(200);
    }
    house.event("파도", ON_SALE).await;
    house.sql(OPEN).await;
    house.assert_sound().await;
    for (check, damage) in DAMAGES {
        house.sql(damage).await;
        let found = findings(&house).await.into_iter().find(|finding| finding.name == check);
        assert!(found.is_some_and(|finding| finding.count > 0), "{damage}\nis not found by: {check}\n{found:?}");
        house.sql(REPAIR).await;
        house.assert_sound().await;
    }
    // A check that nothing here sets off may be one that nothing ever does.
    let checks: BTreeSet<_> = findings(&house).await.into_iter().map(|finding| finding.name).collect();
    assert_eq!(DAMAGES.map(|(check, _)| check).into_iter().collect::<BTreeSet<_>>(), checks);
}
