//! Whoever has bought gives their place in the waiting room on, once: nothing that comes later about an old purchase
//! costs its buyer the next place.

use std::time::Duration;

use domain::ids::EventId;
use serde_json::json;

use crate::{
    house::{House, ON_SALE, id, order, reserve},
    line::{SOON, check, comes_in, leave, status},
    payments::{CONFIRM, Consent, PROCESS, Shop, WEBHOOK, process_wish},
};

/// Longer than a place takes to be given on in the background.
const A_WHILE: Duration = Duration::from_millis(500);

async fn guard(house: &House, event: EventId) {
    house.sql(&format!("INSERT INTO waiting_rooms (event_id, mode, threshold) VALUES ('{event}', 'on', 1)")).await;
}

/// Has the provider tell of a payment once more, and waits until that has had its effect.
async fn tell_again(shop: &Shop, consent: &Consent, name: &str) {
    let header = [("tosspayments-webhook-transmission-id", name)];
    let event = shop.toss.event(&consent.payment_key);
    shop.house.app.anonymous().post_with(WEBHOOK, event, &header).await.assert_status(200);
    shop.settle().await;
    tokio::time::sleep(A_WHILE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_about_an_old_payment_throws_nobody_out() {
    let shop = Shop::reconciled(2).await;
    let (house, event) = (&shop.house, shop.event);
    guard(house, event).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    assert_eq!(check(&kim, event).await.json["status"], "active");
    let consent = shop.consent(&kim, &shop.seats[..1]).await;
    kim.post(CONFIRM, consent.body()).await.assert_status(200);
    testkit::eventually(SOON, || async { status(&kim, event).await["status"] == "not_in_queue" }).await;

    // In line once more, behind Lee.
    assert_eq!(check(&lee, event).await.json["status"], "active");
    assert_eq!(check(&kim, event).await.json["position"], 1);
    tell_again(&shop, &consent, "event-1").await;
    assert_eq!(status(&kim, event).await["position"], 1);
    // And inside once more.
    leave(&lee, event).await.assert_status(200);
    comes_in(&kim, event, SOON).await;
    tell_again(&shop, &consent, "event-2").await;
    kim.post(CONFIRM, consent.body()).await.assert_status(200);
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(status(&kim, event).await["status"], "active");
    reserve(&kim, event, &shop.seats[1..]).await.assert_status(201);
    shop.assert_money().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paying_again_for_what_is_paid_for_throws_nobody_out() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    guard(&house, event).await;
    let free = house.ticket_type(event, "초대", 0, 10).await;
    let priced = house.ticket_type(event, "R석", 1_000, 10).await;
    for kind in [free, priced] {
        let kim = house.app.as_user();
        assert_eq!(check(&kim, event).await.json["status"], "active");
        let made = order(&kim, event, &[(kind, 1)]).await.assert_status(201);
        let reservation = id(&made.json["reservation"]["id"]);
        kim.post(PROCESS, process_wish(reservation, "kakao_pay")).await.assert_status(200);
        // The purchase itself gives the place on.
        testkit::eventually(SOON, || async { status(&kim, event).await["status"] == "not_in_queue" }).await;
        assert_eq!(check(&kim, event).await.json["status"], "active");
        let again = kim.post(PROCESS, process_wish(reservation, "bank_transfer")).await.assert_status(200);
        assert_eq!(again.json["success"], json!(true));
        tokio::time::sleep(A_WHILE).await;
        assert_eq!(status(&kim, event).await["status"], "active");
        leave(&kim, event).await.assert_status(200);
        testkit::eventually(SOON, || async { status(&kim, event).await["status"] == "not_in_queue" }).await;
    }
}
