//! The checks of a live database.

use ticketing::verify;

use crate::house::{House, order, reserve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_damage_is_found() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(6).await;
    let kind = house.ticket_type(event, "스탠딩", 1_000, 20).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    order(&kim, event, &[(kind, 2)]).await.assert_status(201);
    reserve(&kim, event, &seats[..2]).await.assert_status(201);
    reserve(&lee, event, &seats[2..4]).await.assert_status(201);
    house.assert_sound().await;
    for (damage, repair) in [
        ("UPDATE ticket_types SET held = held + 1", "UPDATE ticket_types SET held = held - 1"),
        ("UPDATE ticket_types SET sold = sold + 1", "UPDATE ticket_types SET sold = sold - 1"),
        ("UPDATE reservation_items SET quantity = 3", "UPDATE reservation_items SET quantity = 2"),
        ("UPDATE user_event SET quantity = quantity + 1", "UPDATE user_event SET quantity = quantity - 1"),
        ("UPDATE user_event SET quantity = quantity + 9", "UPDATE user_event SET quantity = quantity - 9"),
        (
            "UPDATE reservations SET total_amount = total_amount + 1",
            "UPDATE reservations SET total_amount = total_amount - 1",
        ),
        (
            "UPDATE seats SET held_until = held_until + interval '1 second' WHERE status = 'locked'",
            "UPDATE seats SET held_until = held_until - interval '1 second' WHERE status = 'locked'",
        ),
        ("UPDATE reservations SET payment_status = 'completed'", "UPDATE reservations SET payment_status = 'pending'"),
        (
            "UPDATE reservation_items SET reservation_id = ticket_type_id",
            "UPDATE reservation_items SET reservation_id = (SELECT id FROM reservations WHERE total_amount = 2000)",
        ),
        ("UPDATE reservations SET status = 'cancelled'", "UPDATE reservations SET status = 'pending'"),
    ] {
        house.sql(damage).await;
        let findings = verify::check(&mut house.pg.conn().await.unwrap(), 10).await.unwrap();
        assert!(findings.iter().any(|finding| finding.count > 0), "{damage}");
        house.sql(repair).await;
        house.assert_sound().await;
    }
}
