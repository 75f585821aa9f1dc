//! Who may do what: nobody, a person, an organizer of something else, the organizer, an admin.

use domain::{ids::EventId, principal::Role};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::{Answer, TestClient};
use uuid::Uuid;

use crate::{
    admin::{concert, hall},
    house::{House, reserve},
};

async fn call(caller: &TestClient, (method, path, body): &(Method, String, Value)) -> Answer {
    let request = caller.request(method.clone(), path);
    caller.send(if body.is_null() { request } else { request.json(body) }).await
}

/// What only those who run an event may do with it, and the code of those for whom it is not there.
fn deeds(event: EventId, ticket_type: Uuid, reservation: &str) -> Vec<((Method, String, Value), &'static str)> {
    let vip = json!({"name": "VIP", "price": 1, "totalQuantity": 1});
    let at = format!("/api/v1/admin/events/{event}");
    vec![
        ((Method::PUT, at.clone(), json!({"title": "내 밤"})), "event_not_found"),
        ((Method::POST, format!("{at}/tickets"), vip), "event_not_found"),
        ((Method::PUT, format!("/api/v1/admin/tickets/{ticket_type}"), json!({"price": 2})), "ticket_type_not_found"),
        (
            (Method::PATCH, format!("/api/v1/admin/reservations/{reservation}/status"), json!({"status": "confirmed"})),
            "reservation_not_found",
        ),
        ((Method::DELETE, at.clone(), Value::Null), "event_not_found"),
        ((Method::POST, format!("{at}/cancel"), Value::Null), "event_not_found"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_somebody_elses_is_not_there() {
    let house = House::open().await;
    let kim = house.app.as_role(Role::Organizer);
    let (event, seats) = house.seated_event(1).await;
    house.sql(&format!("UPDATE events SET organizer_id = '{}' WHERE id = '{event}'", kim.user_id)).await;
    let ticket_type = house.ticket_type(event, "R석", 1_000, 10).await;
    let held = reserve(&house.app.as_user(), event, &seats).await.assert_status(201);
    let deeds = deeds(event, ticket_type, held.text("/reservation/id"));
    let state = "SELECT count(*) + sum(price)::bigint + (SELECT count(*) FROM events WHERE title = '달빛 재즈' AND cancelled_at \
                 IS NULL) + (SELECT count(*) FROM reservations WHERE status = 'pending') AS number FROM ticket_types";
    let before = house.number(state).await;
    for (deed, code) in &deeds {
        call(&house.app.without_token(), deed).await.assert_problem(401, "unauthenticated");
        call(&house.app.anonymous(), deed).await.assert_problem(401, "unauthenticated");
        call(&house.app.as_user(), deed).await.assert_problem(403, "forbidden");
        call(&house.app.as_role(Role::Organizer), deed).await.assert_problem(404, code);
    }
    assert_eq!(house.number(state).await, before);
    for caller in [kim, house.app.as_role(Role::Admin)] {
        for (deed, _) in &deeds {
            let answer = call(&caller, deed).await;
            // Who may is only held up by what was done before.
            assert!([200, 201, 409].contains(&answer.status), "{deed:?} {}", answer.json);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn making_and_looking_is_for_organizers() {
    let house = House::open().await;
    let look = |path: &str| (Method::GET, format!("/api/v1/admin{path}"), Value::Null);
    for deed in [
        (Method::POST, "/api/v1/admin/events".to_owned(), concert()),
        (Method::POST, "/api/v1/admin/layouts".to_owned(), hall()),
        look("/reservations"),
        look("/dashboard/stats"),
    ] {
        call(&house.app.without_token(), &deed).await.assert_problem(401, "unauthenticated");
        call(&house.app.anonymous(), &deed).await.assert_problem(401, "unauthenticated");
        call(&house.app.as_user(), &deed).await.assert_problem(403, "forbidden");
        for role in [Role::Organizer, Role::Admin] {
            assert!([200, 201].contains(&call(&house.app.as_role(role), &deed).await.status), "{deed:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organizer_sees_the_reservations_of_their_own_events_only() {
    let house = House::open().await;
    let (kim, lee) = (house.app.as_role(Role::Organizer), house.app.as_role(Role::Organizer));
    for organizer in [&kim, &lee] {
        let (event, seats) = house.seated_event(1).await;
        house.sql(&format!("UPDATE events SET organizer_id = '{}' WHERE id = '{event}'", organizer.user_id)).await;
        reserve(&house.app.as_user(), event, &seats).await.assert_status(201);
    }
    let path = "/api/v1/admin/reservations";
    let of = |answer: Answer| answer.assert_status(200).json["reservations"].clone();
    let (kims, lees) = (of(kim.get(path).await), of(lee.get(path).await));
    assert_eq!((kims.as_array().unwrap().len(), lees.as_array().unwrap().len()), (1, 1));
    assert_ne!(kims[0]["id"], lees[0]["id"]);
    let foreign = format!("{path}?eventId={}", lees[0]["event_id"].as_str().unwrap());
    assert_eq!(of(kim.get(&foreign).await), json!([]));
    assert_eq!(of(house.app.as_role(Role::Admin).get(path).await).as_array().unwrap().len(), 2);
}
