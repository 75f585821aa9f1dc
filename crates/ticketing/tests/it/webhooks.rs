//! What the provider tells: a hint at where to look, and never more.

use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::toss::{Endpoint, Fault};

use crate::payments::{CONFIRM, Shop, WEBHOOK};

const RECEIVED: &str = "SELECT count(*) AS number FROM payment_webhooks";

async fn tell(shop: &Shop, event: Value, id: &str) {
    let header = [("tosspayments-webhook-transmission-id", id)];
    shop.house.app.anonymous().post_with(WEBHOOK, event, &header).await.assert_status(200);
}

async fn count(shop: &Shop, condition: &str) -> i64 {
    let query = format!(
        "SELECT count(*) AS number FROM payments p JOIN reservations r ON r.id = p.reservation_id WHERE {condition}"
    );
    shop.house.number(&query).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_event_changes_nothing() {
    let shop = Shop::reconciled(1).await;
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    for (n, status) in ["DONE", "CANCELED", "EXPIRED"].into_iter().enumerate() {
        let mut event = shop.toss.event(&consent.payment_key);
        event["data"]["status"] = json!(status);
        tell(&shop, event, &format!("forged-{n}")).await;
        shop.settle().await;
        assert_eq!(count(&shop, "p.status = 'prepared' AND r.status = 'pending'").await, 1, "{status}");
    }
    buyer.post(CONFIRM, consent.body()).await.assert_status(200);
    let mut event = shop.toss.event(&consent.payment_key);
    event["data"]["status"] = json!("CANCELED");
    tell(&shop, event, "forged-late").await;
    shop.settle().await;
    shop.assert_money().await;
    assert_eq!(count(&shop, "p.status = 'captured' AND r.status = 'confirmed'").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_brings_to_light_what_its_answer_did_not() {
    let shop = Shop::reconciled(1).await;
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    shop.toss.next(Endpoint::Confirm, Fault::DoneButError(500, "COMMON_ERROR"));
    shop.toss.next(Endpoint::LookUp, Fault::Error(500, "COMMON_ERROR"));
    buyer.post(CONFIRM, consent.body()).await.assert_problem(503, "payment_pending");
    // Again and again, at once and later.
    let event = shop.toss.event(&consent.payment_key);
    join_all((0..10).map(|n| tell(&shop, event.clone(), if n % 2 == 0 { "event-1" } else { "event-2" }))).await;
    shop.settle().await;
    tell(&shop, event, "event-1").await;
    shop.settle().await;
    buyer.post(CONFIRM, consent.body()).await.assert_status(200);
    shop.assert_money().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_comes_after_its_payment_was_given_up_is_not_lost() {
    let shop = Shop::reconciled(1).await;
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    // A verdict that was none: the money came.
    shop.toss.next(Endpoint::Confirm, Fault::DoneButError(403, "REJECT_CARD_PAYMENT"));
    buyer.post(CONFIRM, consent.body()).await.assert_problem(409, "payment_declined");
    tell(&shop, shop.toss.event(&consent.payment_key), "event-1").await;
    shop.settle().await;
    assert_eq!(count(&shop, "p.status = 'captured' AND r.status = 'confirmed'").await, 1);
    shop.assert_money().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_comes_twice_stays_once() {
    let shop = Shop::reconciled(1).await;
    let buyer = shop.house.app.as_user();
    let first = shop.consent(&buyer, &shop.seats).await;
    shop.toss.next(Endpoint::Confirm, Fault::DoneButError(403, "REJECT_CARD_PAYMENT"));
    buyer.post(CONFIRM, first.body()).await.assert_problem(409, "payment_declined");
    let second = shop.consent_to(&buyer, first.reservation, first.amount).await;
    buyer.post(CONFIRM, second.body()).await.assert_status(200);
    tell(&shop, shop.toss.event(&first.payment_key), "event-1").await;
    shop.settle().await;
    assert_eq!(shop.toss.booked(&first.payment_key).status, "CANCELED");
    assert_eq!(shop.toss.booked(&second.payment_key).status, "DONE");
    assert_eq!(count(&shop, "p.status = 'captured' AND r.status = 'confirmed'").await, 1);
    shop.assert_money().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_was_given_back_at_the_providers_desk_ends_the_reservation() {
    let shop = Shop::reconciled(1).await;
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    buyer.post(CONFIRM, consent.body()).await.assert_status(200);
    shop.toss.cancel_at_desk(&consent.payment_key);
    tell(&shop, shop.toss.event(&consent.payment_key), "event-1").await;
    shop.settle().await;
    let ended = "p.status = 'refunded' AND r.status = 'cancelled' AND r.payment_status = 'refunded'";
    assert_eq!(count(&shop, ended).await, 1);
    assert_eq!(shop.toss.calls(Endpoint::Cancel), 0);
    assert_eq!(shop.house.number("SELECT count(*) AS number FROM seats WHERE status = 'available'").await, 1);
    shop.assert_money().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_can_fill_the_inbox_or_break_it() {
    let shop = Shop::open(1).await;
    let buyer = shop.house.app.as_user();
    let consent = shop.consent(&buyer, &shop.seats).await;
    let anyone = shop.house.app.anonymous();
    for event in [json!({}), json!({ "eventType": "PAYOUT.CHANGED", "data": { "id": 1 } }), json!({ "orderId": "x" })] {
        anyone.post(WEBHOOK, event).await.assert_status(200);
    }
    for malformed in [json!([1]), json!("text"), json!({ "data": 5 }), json!({ "orderId": 5 })] {
        anyone.post(WEBHOOK, malformed).await.assert_problem(400, "malformed");
    }
    let unknown = json!({ "data": { "orderId": "nobody\u{0}", "status": "DONE" } });
    anyone.post(WEBHOOK, unknown).await.assert_status(200);
    assert_eq!(shop.house.number(RECEIVED).await, 0);
    for n in 0..20 {
        tell(&shop, shop.toss.event(&consent.payment_key), &format!("event-{n}")).await;
    }
    assert!(shop.house.number(RECEIVED).await <= 20);
    // Without a name it is known by what it says; the form in which deposits are told is read, too.
    anyone
        .post("/api/payments/webhooks/toss", json!({ "orderId": consent.order_id, "status": "DONE" }))
        .await
        .assert_status(200);
}
