//! What the session service asks before it lets somebody in.

use domain::{
    ids::EventId,
    principal::{Role, Service},
};
use serde_json::json;
use uuid::Uuid;

use crate::house::{House, reserve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_has_paid_for_a_place_has_a_ticket() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(2).await;
    let (other, _) = house.seated_event(1).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    let session = house.app.as_service(Service::Session);
    let has = |event: EventId, person: Uuid| {
        let session = session.clone();
        async move {
            let answer = session.get(&format!("/internal/events/{event}/ticket-holders/{person}")).await;
            answer.assert_status(200).json == json!({"has_ticket": true})
        }
    };
    assert!(!has(event, kim.user_id.0).await);
    let made = reserve(&kim, event, &seats[..1]).await.assert_status(201);
    assert!(!has(event, kim.user_id.0).await, "not paid for");
    let reservation = made.text("/reservation/id").to_owned();
    house.sql(&format!("SELECT confirm_reservation('{reservation}', 'card', false, 0)")).await;
    assert!(has(event, kim.user_id.0).await);
    assert!(!has(event, lee.user_id.0).await);
    assert!(!has(other, kim.user_id.0).await);
    assert!(!has(EventId(Uuid::from_u128(7)), kim.user_id.0).await);
    house.sql(&format!("SELECT release_reservation('{reservation}', 'cancelled')")).await;
    assert!(!has(event, kim.user_id.0).await, "given back");

    // An order without a place opens no door.
    house
        .sql(&format!(
            "INSERT INTO reservations (id, reservation_number, event_id, user_id, total_amount, expires_at, status, \
             payment_status) VALUES ('{lee}', 'TK000000000009', '{event}', '{lee}', 0, now(), 'confirmed', 'completed')",
            lee = lee.user_id
        ))
        .await;
    assert!(!has(event, lee.user_id.0).await);
    let ticket_type = house.ticket_type(event, "R석", 0, 1).await;
    house
        .sql(&format!(
            "INSERT INTO reservation_items (reservation_id, ticket_type_id, quantity, unit_price) \
             VALUES ('{}', '{ticket_type}', 1, 0)",
            lee.user_id
        ))
        .await;
    assert!(has(event, lee.user_id.0).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_but_the_session_service_may_ask_who_has_a_ticket() {
    let house = House::open().await;
    let (event, _) = house.seated_event(1).await;
    let path = format!("/internal/events/{event}/ticket-holders/{event}");
    let others = [Service::Gateway, Service::Auth, Service::Ticketing, Service::Emotion, Service::Memo];
    let callers = others.map(|service| house.app.as_service(service)).into_iter();
    for caller in callers.chain([house.app.as_user(), house.app.as_role(Role::Admin), house.app.anonymous()]) {
        caller.get(&path).await.assert_problem(404, "not_found");
    }
    house.app.without_token().get(&path).await.assert_problem(401, "unauthenticated");
    let session = house.app.as_service(Service::Session);
    session.get(&format!("/internal/events/{event}/ticket-holders/me")).await.assert_problem(404, "not_found");
}
