//! Giving back.

use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::{Answer, TestClient};
use ticketing::{
    order::settle::{self, Confirmed},
    seat::expiry::sweep,
};

use crate::house::{House, ON_SALE, ORDER, id, order, reserve};

const REFUNDS: &str = "SELECT count(*) AS number FROM asked";

/// Opens a house that remembers every refund that is asked for; the relay takes them out of the outbox at once.
async fn open() -> House {
    let house = House::open().await;
    house
        .sql(
            "CREATE TABLE asked (id uuid); \
             CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             INSERT INTO asked VALUES (NEW.id); RETURN NULL; END $$; \
             CREATE TRIGGER remember AFTER INSERT ON outbox FOR EACH ROW WHEN (NEW.topic = 'refund') \
             EXECUTE FUNCTION remember()",
        )
        .await;
    house
}

async fn cancel(buyer: &TestClient, made: &Answer) -> Answer {
    buyer.post(&format!("{ORDER}/{}/cancel", made.text("/reservation/id")), Value::Null).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_back_is_on_sale_again_and_once() {
    let house = open().await;
    let (event, seats) = house.seated_event(2).await;
    let kind = house.ticket_type(event, "스탠딩", 1_000, 2).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    let tickets = order(&kim, event, &[(kind, 2)]).await.assert_status(201);
    let seated = reserve(&kim, event, &seats).await.assert_status(201);
    cancel(&lee, &tickets).await.assert_problem(404, "reservation_not_found");
    for made in [&tickets, &seated] {
        let given_back = cancel(&kim, made).await.assert_status(200);
        assert_eq!(given_back.json, json!({"message": "예매가 취소되었습니다."}));
        let again = cancel(&kim, made).await.assert_problem(409, "already_cancelled");
        assert_eq!(again.text("/error"), "이미 취소된 예매입니다.");
    }
    order(&lee, event, &[(kind, 2)]).await.assert_status(201);
    reserve(&lee, event, &seats).await.assert_status(201);
    assert_eq!(house.number(REFUNDS).await, 0);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_cancellations_at_once_are_one() {
    let house = open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 100).await;
    let kim = house.app.as_user();
    order(&house.app.as_user(), event, &[(kind, 5)]).await.assert_status(201);
    let made = order(&kim, event, &[(kind, 5)]).await.assert_status(201);
    settle::confirm(&mut house.pg.conn().await.unwrap(), id(&made.json["reservation"]["id"]), "card").await.unwrap();
    let answers = join_all((0..20).map(|_| cancel(&kim, &made))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert_eq!(house.number(REFUNDS).await, 1);
    assert_eq!(house.number("SELECT (held * 100 + sold)::bigint AS number FROM ticket_types").await, 500);
    let kept =
        "SELECT count(*) AS number FROM reservations WHERE status = 'cancelled' AND payment_status = 'completed'";
    assert_eq!(house.number(kept).await, 1);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_has_ended_cannot_be_cancelled_and_gives_back_once() {
    let house = open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 5).await;
    let kim = house.app.as_user();
    let made = order(&kim, event, &[(kind, 5)]).await.assert_status(201);
    house.let_holds_end().await;
    cancel(&kim, &made).await.assert_problem(409, "reservation_expired");
    assert_eq!(sweep(&house.pg).await.unwrap().reservations, 0);
    cancel(&kim, &made).await.assert_problem(409, "reservation_expired");
    assert_eq!(house.number("SELECT held::bigint AS number FROM ticket_types").await, 0);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_there_does_not_get_the_money_back() {
    let house = open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 5).await;
    let kim = house.app.as_user();
    let made = order(&kim, event, &[(kind, 1)]).await.assert_status(201);
    let paid = settle::confirm(&mut house.pg.conn().await.unwrap(), id(&made.json["reservation"]["id"]), "card").await;
    assert_eq!(paid.unwrap(), Confirmed::Confirmed);
    house.sql("UPDATE events SET event_date = now()").await;
    cancel(&kim, &made).await.assert_problem(409, "too_late_to_cancel");
    // Unless there was nothing to be at.
    house.sql("UPDATE events SET cancelled_at = now()").await;
    cancel(&kim, &made).await.assert_status(200);
    assert_eq!(house.number(REFUNDS).await, 1);
    house.assert_sound().await;
}
