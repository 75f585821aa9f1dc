//! How much of an event one person may have.

use domain::principal::{Principal, Role};
use futures_util::future::join_all;
use serde_json::Value;

use crate::house::{House, ON_SALE, ORDER, insistently, order, reserve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_and_seats_count_together() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(8).await;
    let kind = house.ticket_type(event, "스탠딩", 1_000, 50).await;
    let kim = house.app.as_user();
    order(&kim, event, &[(kind, 7)]).await.assert_status(201);
    reserve(&kim, event, &seats[..4]).await.assert_problem(409, "limit_reached");
    let seated = reserve(&kim, event, &seats[..3]).await.assert_status(201);
    order(&kim, event, &[(kind, 1)]).await.assert_problem(409, "limit_reached");
    reserve(&kim, event, &seats[3..4]).await.assert_problem(409, "limit_reached");
    // Of another event, or for somebody else, it does not count.
    let (other, others) = house.seated_event(1).await;
    reserve(&kim, other, &others).await.assert_status(201);
    order(&house.app.as_user(), event, &[(kind, 10)]).await.assert_status(201);
    house.assert_sound().await;

    let path = format!("{ORDER}/{}/cancel", seated.text("/reservation/id"));
    kim.post(&path, Value::Null).await.assert_status(200);
    order(&kim, event, &[(kind, 3)]).await.assert_status(201);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_person_on_many_devices_gets_no_more_than_the_limit() {
    let house = House::open().await;
    let replica = house.replica();
    let (event, seats) = house.seated_event(20).await;
    let kind = house.ticket_type(event, "스탠딩", 1_000, 500).await;
    let kim = house.app.as_user();
    let (user_id, login_id) = (kim.user_id, kim.login_id);
    let twin = replica.as_principal(Principal { user_id, login_id, role: Role::User });
    let orders = join_all((0..40).map(|n| {
        let buyer = if n % 2 == 0 { &kim } else { &twin };
        async move { insistently(async || order(buyer, event, &[(kind, 1)]).await).await }
    }));
    let holds = join_all((0..20).map(|n| {
        let (buyer, seats) = (if n % 2 == 0 { &kim } else { &twin }, &seats[n..=n]);
        async move { insistently(async || reserve(buyer, event, seats).await).await }
    }));
    let (ordered, held) = tokio::join!(orders, holds);
    let mut won = 0;
    for answer in ordered.into_iter().chain(held) {
        if answer.status == 201 {
            won += 1;
        } else {
            answer.assert_problem(409, "limit_reached");
        }
    }
    assert_eq!(won, 10);
    assert_eq!(house.number("SELECT quantity::bigint AS number FROM user_event").await, 10);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ones_own_overdue_holds_do_not_count_with_every_sweeper_dead() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(4).await;
    let kind = house.ticket_type(event, "스탠딩", 1_000, 50).await;
    let kim = house.app.as_user();
    order(&kim, event, &[(kind, 10)]).await.assert_status(201);
    order(&kim, event, &[(kind, 1)]).await.assert_problem(409, "limit_reached");
    house.let_holds_end().await;
    order(&kim, event, &[(kind, 10)]).await.assert_status(201);
    house.let_holds_end().await;
    reserve(&kim, event, &seats).await.assert_status(201);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_over_the_limit_does_not_hold_up_the_others_of_a_batch() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 500).await;
    let full: Vec<_> = (0..10).map(|_| house.app.as_user()).collect();
    for buyer in &full {
        order(buyer, event, &[(kind, 10)]).await.assert_status(201);
    }
    let fresh: Vec<_> = (0..50).map(|_| house.app.as_user()).collect();
    let buying = fresh.iter().chain(&full);
    let buying = buying.map(async |buyer| insistently(async || order(buyer, event, &[(kind, 1)]).await).await);
    let answers = join_all(buying).await;
    for (n, answer) in answers.into_iter().enumerate() {
        if n < 50 {
            answer.assert_status(201);
        } else {
            answer.assert_problem(409, "limit_reached");
        }
    }
    house.assert_sound().await;
}
