//! Money goes back, once, whatever the provider answers.

use std::time::Duration;

use futures_util::future::join_all;
use testkit::toss::{Endpoint, Fault};

use crate::{
    house::reserve,
    payments::{CONFIRM, Shop},
};

/// Longer than the shop waits for the provider.
const TOO_LONG: Duration = Duration::from_secs(20);
/// Ends every reservation that was paid for.
const CANCEL: &str = "SELECT release_reservation(id, 'cancelled') FROM reservations WHERE status = 'confirmed'";

async fn refunded(shop: &Shop) -> i64 {
    let both = "SELECT count(*) AS number FROM payments p JOIN reservations r ON r.id = p.reservation_id \
                WHERE p.status = 'refunded' AND r.status = 'cancelled' AND r.payment_status = 'refunded'";
    shop.house.number(both).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_reservation_gets_its_money_back_whatever_goes_wrong_on_the_way() {
    for fault in [
        None,
        Some(Fault::Error(500, "FAILED_REFUND_PROCESS")),
        Some(Fault::Error(400, "PROVIDER_ERROR")),
        Some(Fault::Error(403, "FORBIDDEN_CONSECUTIVE_REQUEST")),
        Some(Fault::Error(400, "REFUND_REJECTED")),
        Some(Fault::DoneButError(500, "FAILED_INTERNAL_SYSTEM_PROCESSING")),
        Some(Fault::DoneButError(400, "ALREADY_CANCELED_PAYMENT")),
        Some(Fault::Late(TOO_LONG)),
        Some(Fault::Cut),
        Some(Fault::Page),
    ] {
        let shop = Shop::reconciled(1).await;
        let buyer = shop.house.app.as_user();
        let consent = shop.consent(&buyer, &shop.seats).await;
        buyer.post(CONFIRM, consent.body()).await.assert_status(200);
        if let Some(fault) = fault {
            shop.toss.next(Endpoint::Cancel, fault);
        }
        shop.house.sql(CANCEL).await;
        shop.settle().await;
        let booked = shop.toss.booked(&consent.payment_key);
        assert_eq!((booked.taken, booked.returned), (50_000, 50_000), "{fault:?}");
        assert_eq!(refunded(&shop).await, 1, "{fault:?}");
        shop.assert_money().await;
        // The seat is somebody else's now, tickets and all.
        let next = shop.house.app.as_user();
        let consent = shop.consent(&next, &shop.seats).await;
        next.post(CONFIRM, consent.body()).await.assert_status(200);
        shop.assert_money().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_comes_ten_times_at_two_replicas_gives_back_once() {
    let shop = Shop::reconciled(4).await;
    let _replica = shop.replica();
    let buyers: Vec<_> = (0..4).map(|_| shop.house.app.as_user()).collect();
    let paid = join_all(buyers.iter().zip(shop.seats.chunks(1)).map(async |(buyer, seat)| {
        let consent = shop.consent(buyer, seat).await;
        buyer.post(CONFIRM, consent.body()).await.assert_status(200);
    }));
    paid.await;
    let ten = "INSERT INTO outbox (id, topic, payload) SELECT gen_random_uuid(), 'refund', \
               jsonb_build_object('reservation_id', id) FROM reservations, generate_series(1, 10)";
    shop.house.sql(&format!("{CANCEL}; {ten}")).await;
    shop.settle().await;
    assert_eq!((refunded(&shop).await, shop.toss.calls(Endpoint::Cancel)), (4, 4));
    shop.assert_money().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_never_paid_for_or_still_stands_gives_nothing_back() {
    let shop = Shop::reconciled(2).await;
    let (buyer, other) = (shop.house.app.as_user(), shop.house.app.as_user());
    let consent = shop.consent(&buyer, &shop.seats[..1]).await;
    buyer.post(CONFIRM, consent.body()).await.assert_status(200);
    reserve(&other, shop.event, &shop.seats[1..]).await.assert_status(201);
    // A message for each, true or not.
    shop.house
        .sql(
            "SELECT release_reservation(id, 'cancelled') FROM reservations WHERE status = 'pending'; \
             INSERT INTO outbox (id, topic, payload) SELECT gen_random_uuid(), 'refund', \
             jsonb_build_object('reservation_id', id) FROM reservations; \
             INSERT INTO outbox (id, topic, payload) VALUES (gen_random_uuid(), 'refund', \
             jsonb_build_object('reservation_id', gen_random_uuid()))",
        )
        .await;
    shop.settle().await;
    assert_eq!(shop.toss.calls(Endpoint::Cancel), 0);
    let unpaid =
        "SELECT count(*) AS number FROM reservations WHERE status = 'cancelled' AND payment_status = 'pending'";
    assert_eq!(shop.house.number(unpaid).await, 1);
    shop.assert_money().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_is_refused_is_not_forgotten() {
    let shop = Shop::reconciled(1).await;
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    buyer.post(CONFIRM, consent.body()).await.assert_status(200);
    shop.toss.always(Endpoint::Cancel, Fault::Error(403, "EXCEED_MAX_REFUND_DUE"));
    shop.house.sql(CANCEL).await;
    testkit::eventually(Duration::from_secs(10), || async {
        shop.let_leases_end().await;
        shop.toss.calls(Endpoint::Cancel) > 2
    })
    .await;
    let owed = "SELECT count(*) AS number FROM payments WHERE status = 'refund_pending' AND next_try_at IS NOT NULL \
                AND failure = 'EXCEED_MAX_REFUND_DUE'";
    testkit::eventually(Duration::from_secs(5), || async { shop.house.number(owed).await == 1 }).await;
    // Somebody gives it back at the provider's own desk.
    shop.toss.cancel_at_desk(&consent.payment_key);
    shop.settle().await;
    assert_eq!(refunded(&shop).await, 1);
    shop.assert_money().await;
}
