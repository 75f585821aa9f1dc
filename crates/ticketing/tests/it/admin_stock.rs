//! Stock that an organizer changes: who looks on hears of it, and who waits comes first.

use domain::{
    ids::{EventId, TicketTypeId},
    principal::Role,
};
use serde_json::{Value, json};
use ticketing::notice::Notice;
use uuid::Uuid;

use crate::{
    house::{House, ON_SALE, id, order},
    line::SOON,
};

/// Waits until everybody was told how much there is of a ticket type; returns all that was told of its stock.
async fn told(house: &House, kind: TicketTypeId, count: usize) -> Vec<[i64; 3]> {
    let stock = || async {
        let stock = house.heard().await.into_iter().filter_map(|notice| match notice {
            Notice::Tickets { ticket_type_id, available_quantity, total_quantity, version, .. }
                if ticket_type_id == kind =>
            {
                Some([available_quantity, total_quantity, version])
            }
            _ => None,
        });
        let mut stock: Vec<_> = stock.collect();
        stock.sort_by_key(|[_, _, version]| *version);
        stock
    };
    testkit::eventually(SOON, || async { stock().await.len() >= count }).await;
    stock().await
}

async fn change(house: &House, kind: Uuid, changes: Value) {
    let admin = house.app.as_role(Role::Admin);
    admin.put(&format!("/api/v1/admin/tickets/{kind}"), changes).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_looks_on_hears_of_new_stock() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let admin = house.app.as_role(Role::Admin);
    let path = format!("/api/v1/admin/events/{event}/tickets");
    let made = admin.post(&path, json!({"name": "R석", "price": 1_000, "totalQuantity": 5})).await.assert_status(201);
    let kind: TicketTypeId = id(&made.json["ticketType"]["id"]);
    assert_eq!(told(&house, kind, 1).await, [[5, 5, 0]]);
    order(&house.app.as_user(), event, &[(kind.0, 2)]).await.assert_status(201);
    assert_eq!(told(&house, kind, 2).await, [[5, 5, 0], [3, 5, 1]]);
    change(&house, kind.0, json!({"totalQuantity": 9})).await;
    change(&house, kind.0, json!({"totalQuantity": 2})).await;
    // A price is no stock.
    change(&house, kind.0, json!({"price": 2})).await;
    change(&house, kind.0, json!({"totalQuantity": 3})).await;
    assert_eq!(told(&house, kind, 5).await, [[5, 5, 0], [3, 5, 1], [7, 9, 2], [0, 2, 3], [1, 3, 5]]);
}

/// Puts somebody who may have no more at the end of the line.
async fn sated(house: &House, event: EventId, kind: Uuid, people: usize) {
    house
        .sql(&format!(
            "WITH people AS (SELECT gen_random_uuid() AS id FROM generate_series(1, {people})), \
             counted AS (INSERT INTO user_event (user_id, event_id, quantity) SELECT id, '{event}', 10 FROM people) \
             INSERT INTO waiting_list (event_id, ticket_type_id, user_id, quantity, hold_seconds, most_per_event) \
             SELECT '{event}', '{kind}', id, 1, 300, 10 FROM people"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_added_is_theirs_who_wait_before_anybody_else_sees_it() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 2).await;
    order(&house.app.as_user(), event, &[(kind, 2)]).await.assert_status(201);
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    for person in [&kim, &lee] {
        let wish = json!({"eventId": event, "ticketTypeId": kind, "quantity": 2});
        person.post("/api/v1/reservations/waiting-list", wish).await.assert_status(201);
    }
    let offered = || async {
        let of = |person: &testkit::TestClient| {
            format!("SELECT count(*) AS number FROM reservations WHERE user_id = '{}'", person.user_id)
        };
        (house.number(&of(&kim)).await, house.number(&of(&lee)).await)
    };
    change(&house, kind, json!({"totalQuantity": 5})).await;
    assert_eq!(offered().await, (1, 0));
    // What nobody in line can use is anybody's.
    let other = house.app.as_user();
    order(&other, event, &[(kind, 2)]).await.assert_problem(409, "sold_out");
    order(&other, event, &[(kind, 1)]).await.assert_status(201);
    change(&house, kind, json!({"totalQuantity": 7})).await;
    assert_eq!(offered().await, (1, 1));
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_many_wait_who_may_have_no_more_the_next_has_their_turn() {
    let house = House::open().await;
    let event = house.event("달빛 재즈", ON_SALE).await;
    let kind = house.ticket_type(event, "R석", 1_000, 2).await;
    let holder = house.app.as_user();
    let held = order(&holder, event, &[(kind, 2)]).await.assert_status(201);
    sated(&house, event, kind, 150).await;
    let kim = house.app.as_user();
    let wish = json!({"eventId": event, "ticketTypeId": kind, "quantity": 2});
    kim.post("/api/v1/reservations/waiting-list", wish).await.assert_status(201);
    let path = format!("/api/v1/reservations/{}/cancel", held.text("/reservation/id"));
    holder.post(&path, Value::Null).await.assert_status(200);
    let own = format!("SELECT count(*) AS number FROM reservations WHERE user_id = '{}'", kim.user_id);
    assert_eq!(house.number(&own).await, 1);
    // They keep their places.
    assert_eq!(house.number("SELECT count(*) AS number FROM waiting_list").await, 150);
}
