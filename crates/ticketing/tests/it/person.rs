//! What the auth service asks about a person.

use std::collections::BTreeSet;

use domain::{
    contract::{UserErasure, UserExport},
    ids::{EventId, UserId},
    principal::{Role, Service},
};
use futures_util::future::join_all;
use serde_json::json;
use testkit::TestApp;

use crate::{
    house::{House, ON_SALE, RESERVE, assert_locks_in_order, reserve, wish},
    line::{SOON, check},
    sockets::Hall,
};

/// A sale that begins tomorrow.
const UPCOMING: [&str; 3] = ["1 day", "2 days", "3 days"];
/// A sale that is over.
const ENDED: [&str; 3] = ["-3 days", "-2 days", "-1 day"];

const AVAILABLE: &str = "SELECT count(*) AS number FROM seats WHERE status = 'available'";

fn path(person: UserId) -> String {
    format!("/internal/users/{person}")
}

async fn export(app: &TestApp, person: UserId) -> UserExport {
    let answer = app.as_service(Service::Auth).get(&format!("{}/export", path(person))).await.assert_status(200);
    serde_json::from_value(answer.json).unwrap()
}

async fn erase(app: &TestApp, person: UserId) -> UserErasure {
    let answer = app.as_service(Service::Auth).delete(&path(person)).await.assert_status(200);
    serde_json::from_value(answer.json).unwrap()
}

/// Counts everything that bears a person's name.
async fn left_of(house: &House, person: UserId) -> i64 {
    let count = format!(
        "SELECT (SELECT count(*) FROM reservations WHERE user_id = '{person}') \
         + (SELECT count(*) FROM events WHERE organizer_id = '{person}') \
         + (SELECT count(*) FROM idempotency_keys WHERE user_id = '{person}') AS number"
    );
    house.number(&count).await
}

/// Makes an event of somebody.
async fn event_of(house: &House, organizer: UserId, title: &str, dates: [&str; 3]) -> EventId {
    let event = house.event(title, dates).await;
    house.sql(&format!("UPDATE events SET organizer_id = '{organizer}' WHERE id = '{event}'")).await;
    event
}

/// Lets the pending reservations of somebody be paid for.
async fn pay(house: &House, buyer: UserId) {
    house
        .sql(&format!(
            "UPDATE seats SET status = 'reserved', held_until = NULL WHERE reservation_id IN \
             (SELECT id FROM reservations WHERE user_id = '{buyer}' AND status = 'pending'); \
             UPDATE reservations SET status = 'confirmed', payment_status = 'completed', payment_method = 'card' \
             WHERE user_id = '{buyer}' AND status = 'pending'"
        ))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_auth_service_may_ask_about_a_person() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(1).await;
    let kim = house.app.as_user();
    reserve(&kim, event, &seats).await.assert_status(201);
    let (own, shown) = (path(kim.user_id), format!("{}/export", path(kim.user_id)));
    let others = [Service::Gateway, Service::Session, Service::Ticketing, Service::Emotion, Service::Memo];
    let callers = others.map(|service| house.app.as_service(service)).into_iter();
    for caller in callers.chain([kim.clone(), house.app.as_role(Role::Admin), house.app.anonymous()]) {
        caller.get(&shown).await.assert_problem(404, "not_found");
        caller.delete(&own).await.assert_problem(404, "not_found");
    }
    house.app.without_token().delete(&own).await.assert_problem(401, "unauthenticated");
    assert_eq!(left_of(&house, kim.user_id).await, 1);
    let document = house.app.without_token().get("/openapi.json").await.assert_status(200);
    assert!(!String::from_utf8(document.body).unwrap().contains("/internal/"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_shows_orders_and_events_and_nothing_of_others() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(4).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    let made = reserve(&kim, event, &seats[..2]).await.assert_status(201);
    reserve(&lee, event, &seats[2..]).await.assert_status(201);
    let own = event_of(&house, kim.user_id, "김의 콘서트", UPCOMING).await;
    event_of(&house, lee.user_id, "이의 콘서트", UPCOMING).await;

    let UserExport { service, data } = export(&house.app, kim.user_id).await;
    assert_eq!((service, &data["truncated"]), (Service::Ticketing, &json!(false)));
    let orders = data["reservations"].as_array().unwrap();
    assert_eq!((orders.len(), &orders[0]["id"]), (1, &made.json["reservation"]["id"]));
    assert_eq!((&orders[0]["total_amount"], &orders[0]["status"]), (&json!(100_000), &json!("pending")));
    assert_eq!((&orders[0]["event_title"], &orders[0]["event_id"]), (&json!("달빛 재즈"), &json!(event)));
    let labels: Vec<_> = orders[0]["seats"].as_array().unwrap().iter().map(|seat| &seat["seat_label"]).collect();
    assert_eq!(labels, ["A-1", "A-2"]);
    let events = data["events"].as_array().unwrap();
    assert_eq!((events.len(), &events[0]["id"], &events[0]["title"]), (1, &json!(own), &json!("김의 콘서트")));
    assert!(events[0]["event_date"].as_str().unwrap().ends_with('Z'), "{events:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pending_hold_comes_back_on_sale_at_once() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(2).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    kim.post_with(RESERVE, wish(event, &seats), &[("idempotency-key", "k-1")]).await.assert_status(201);
    reserve(&lee, event, &seats).await.assert_problem(409, "seat_taken");

    let erased = erase(&house.app, kim.user_id).await;
    assert_eq!((erased.service, erased.is_finished), (Service::Ticketing, true));
    assert_eq!(json!(erased.erased), json!({ "reservations": 1, "seats_released": 2, "idempotency_keys": 1 }));
    assert_eq!(house.number(AVAILABLE).await, 2);
    assert_eq!(house.number("SELECT min(version) AS number FROM seats").await, 2);
    let cancelled = "SELECT count(*) AS number FROM reservations WHERE status = 'cancelled' AND total_amount = 100000";
    assert_eq!(house.number(cancelled).await, 1);
    house.assert_sound().await;
    reserve(&lee, event, &seats).await.assert_status(201);
    assert_eq!(left_of(&house, kim.user_id).await, 0);

    let again = erase(&house.app, kim.user_id).await;
    assert_eq!((again.is_finished, again.erased.len()), (true, 0));
    assert_eq!(left_of(&house, lee.user_id).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_paid_for_stays_and_is_nobodys_in_particular() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(4).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    for choice in seats[..2].chunks(1) {
        reserve(&kim, event, choice).await.assert_status(201);
    }
    pay(&house, kim.user_id).await;
    reserve(&lee, event, &seats[2..]).await.assert_status(201);
    let kept = "SELECT hashtext(string_agg((to_jsonb(r) - 'user_id')::text || (SELECT jsonb_agg(k)::text FROM \
                reservation_seats k WHERE k.reservation_id = r.id), '' ORDER BY id))::bigint AS number \
                FROM reservations r";
    let hands = "SELECT hashtext(string_agg(s::text, '' ORDER BY id))::bigint AS number FROM seats s";
    let before = (house.number(kept).await, house.number(hands).await);

    assert!(erase(&house.app, kim.user_id).await.is_finished);
    assert_eq!((house.number(kept).await, house.number(hands).await), before);
    assert_eq!((left_of(&house, kim.user_id).await, left_of(&house, lee.user_id).await), (0, 1));
    // Two orders of two people, as far as anybody can tell, and of no account: accounts have ids of version 7.
    assert_eq!(house.number("SELECT count(DISTINCT user_id) AS number FROM reservations").await, 3);
    let nobodys = "SELECT count(*) AS number FROM reservations WHERE status = 'confirmed' \
                   AND substr(user_id::text, 15, 1) = '4'";
    assert_eq!(house.number(nobodys).await, 2);
    house.assert_sound().await;
    reserve(&lee, event, &seats[..1]).await.assert_problem(409, "seat_taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_had_ended_and_lost_its_seat_takes_nothing_back() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(2).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    reserve(&kim, event, &seats).await.assert_status(201);
    house.let_holds_end().await;
    reserve(&lee, event, &seats[..1]).await.assert_status(201);
    let erased = erase(&house.app, kim.user_id).await;
    assert_eq!(json!(erased.erased), json!({ "reservations": 1, "seats_released": 1 }));
    assert_eq!(house.number("SELECT count(*) AS number FROM reservations WHERE status = 'expired'").await, 1);
    assert_eq!(house.number("SELECT count(*) AS number FROM seats WHERE status = 'locked'").await, 1);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_and_a_purchase_lock_seats_in_the_same_order() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(2).await;
    let kim = house.app.as_user();
    reserve(&kim, event, &[seats[1], seats[0]]).await.assert_status(201);
    let erased = assert_locks_in_order(&house, &seats, erase(&house.app, kim.user_id)).await;
    assert_eq!(erased.erased["seats_released"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_somebody_counts_on_stay_and_the_others_go() {
    let house = House::open().await;
    let (kim, lee) = (house.app.as_role(Role::Organizer), house.app.as_user());
    let on_sale = event_of(&house, kim.user_id, "지금 판매 중", ON_SALE).await;
    let ordered = event_of(&house, kim.user_id, "끝난 판매", ON_SALE).await;
    let seats = house.seats(ordered, 2).await;
    reserve(&lee, ordered, &seats[..1]).await.assert_status(201);
    let over = format!(
        "UPDATE events SET sale_start_date = now() - interval '3 days', sale_end_date = now() - interval '2 days' \
         WHERE id = '{ordered}'"
    );
    house.sql(&over).await;
    let upcoming = event_of(&house, kim.user_id, "아무도 기다리지 않는", UPCOMING).await;
    house.seats(upcoming, 3).await;
    house.ticket_type(upcoming, "일반", 1_000, 10).await;
    event_of(&house, kim.user_id, "아무도 오지 않은", ENDED).await;
    let others = event_of(&house, lee.user_id, "남의 콘서트", UPCOMING).await;

    let erased = erase(&house.app, kim.user_id).await;
    assert_eq!((erased.is_finished, json!(erased.erased)), (true, json!({ "events_kept": 2, "events": 2 })));
    let standing = |events: [EventId; 2], organizer: UserId| {
        format!(
            "SELECT count(*) AS number FROM events WHERE id IN ('{}', '{}') AND organizer_id = '{organizer}' \
             AND cancelled_at IS NULL",
            events[0], events[1]
        )
    };
    let nobody = UserId(uuid::Uuid::nil());
    assert_eq!(house.number(&standing([on_sale, ordered], nobody)).await, 2);
    assert_eq!(house.number(&standing([others, others], lee.user_id)).await, 1);
    assert_eq!(house.number("SELECT count(*) AS number FROM events").await, 3);
    let orphans = format!("SELECT count(*) AS number FROM seats WHERE event_id = '{upcoming}'");
    assert_eq!(house.number(&orphans).await, 0);
    lee.get(&format!("/api/v1/events/{on_sale}")).await.assert_status(200);

    // Nobody is not a person: asked about, it is never shown, and never erased for ever.
    let shown = export(&house.app, nobody).await.data;
    assert_eq!(
        shown,
        json!({ "reservations": [], "events": [], "waiting_list": [], "queue_admissions": [], "truncated": false })
    );
    let nothing = erase(&house.app, nobody).await;
    assert_eq!((nothing.is_finished, nothing.erased.len()), (true, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_seat_is_being_bought_is_kept() {
    let house = House::open().await;
    let (kim, lee) = (house.app.as_role(Role::Organizer), house.app.as_user());
    let event = event_of(&house, kim.user_id, "막 열리는 판매", UPCOMING).await;
    let seats = house.seats(event, 2).await;
    // A buyer is already past the question whether the sale is open, and holds the seat before it is deleted.
    let mut buyer = house.pg.conn().await.unwrap();
    let buying = format!(
        "BEGIN; SELECT FROM seats WHERE id = '{seat}' FOR UPDATE; \
         INSERT INTO reservations (id, reservation_number, event_id, user_id, total_amount, expires_at) \
         VALUES ('{seat}', 'TK000000000000', '{event}', '{lee}', 50000, now() + interval '5 minutes'); \
         UPDATE seats SET status = 'locked', reservation_id = '{seat}', held_until = now() + interval '5 minutes' \
         WHERE id = '{seat}'; \
         INSERT INTO reservation_seats (reservation_id, seat_id, price) VALUES ('{seat}', '{seat}', 50000); \
         INSERT INTO user_event (user_id, event_id, quantity) VALUES ('{lee}', '{event}', 1)",
        seat = seats[0],
        lee = lee.user_id
    );
    diesel_async::SimpleAsyncConnection::batch_execute(&mut *buyer, &buying).await.unwrap();
    let commit = async {
        house.somebody_waits_behind(&mut buyer).await;
        diesel_async::SimpleAsyncConnection::batch_execute(&mut *buyer, "COMMIT").await.unwrap();
    };
    let (first, ()) = tokio::join!(erase(&house.app, kim.user_id), commit);
    assert!(!first.is_finished);
    assert!(erase(&house.app, kim.user_id).await.is_finished);
    assert_eq!(house.number("SELECT count(*) AS number FROM events").await, 1);
    assert_eq!(left_of(&house, kim.user_id).await, 0);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_account_takes_several_calls_and_is_shown_whole() {
    let house = House::open().await;
    let kim = house.app.as_role(Role::Organizer);
    let (event, _) = house.seated_event(1).await;
    let hall = event_of(&house, kim.user_id, "큰 홀", UPCOMING).await;
    house.seats(hall, 4_500).await;
    let many = format!(
        "INSERT INTO reservations (id, reservation_number, event_id, user_id, total_amount, expires_at, status, \
         payment_status) SELECT gen_random_uuid(), 'TK' || lpad(n::text, 12, '0'), '{event}', '{}', 1000, now(), \
         'confirmed', 'completed' FROM generate_series(1, 1210) n",
        kim.user_id
    );
    house.sql(&many).await;
    let data = export(&house.app, kim.user_id).await.data;
    let orders = data["reservations"].as_array().unwrap();
    let ids: BTreeSet<_> = orders.iter().map(|order| order["id"].as_str().unwrap()).collect();
    assert_eq!((orders.len(), ids.len()), (1210, 1210));

    let mut calls = Vec::new();
    loop {
        let erasure = erase(&house.app, kim.user_id).await;
        let of = |what: &str| erasure.erased.get(what).copied().unwrap_or_default();
        calls.push((of("reservations"), of("events")));
        if erasure.is_finished {
            break;
        }
    }
    assert_eq!(calls, [(500, 0), (500, 0), (210, 1)]);
    assert_eq!(left_of(&house, kim.user_id).await, 0);
    assert_eq!(house.number("SELECT count(*) AS number FROM reservations WHERE status = 'confirmed'").await, 1210);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erasures_and_purchases_at_the_same_time_leave_every_seat_in_one_hand() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(20).await;
    let kim = house.app.as_user();
    for _round in 0..5 {
        let buys = join_all((0..10).map(|n| {
            let choice: Vec<_> = (0..3).map(|step| seats[(n * 7 + step * 11) % seats.len()]).collect();
            let kim = kim.clone();
            async move { reserve(&kim, event, &choice).await }
        }));
        let erasures = join_all((0..3).map(|_| erase(&house.app, kim.user_id)));
        let (bought, _) = tokio::join!(buys, erasures);
        assert!(bought.iter().all(|answer| [201, 409].contains(&answer.status)));
        house.assert_sound().await;
    }
    while !erase(&house.app, kim.user_id).await.is_finished {}
    assert_eq!((left_of(&house, kim.user_id).await, house.number(AVAILABLE).await), (0, 20));
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_shows_when_one_was_let_in_and_nobody_else() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(1).await;
    house.sql(&format!("INSERT INTO waiting_rooms (event_id, mode, threshold) VALUES ('{event}', 'on', 5)")).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    for person in [&lee, &kim] {
        check(person, event).await.assert_status(200);
    }
    reserve(&kim, event, &seats).await.assert_status(201);
    let logged = "SELECT count(*) AS number FROM queue_admissions";
    testkit::eventually(SOON, || async { house.number(logged).await == 2 }).await;
    let data = export(&house.app, kim.user_id).await.data;
    let shown = data["queue_admissions"].as_array().unwrap();
    assert_eq!((shown.len(), &shown[0]["event_id"], &shown[0]["index"]), (1, &json!(event), &json!(2)));
    let seq = house.number("SELECT seq AS number FROM queue_admissions WHERE index = 2").await;
    assert_eq!(shown[0]["seq"], json!(seq));
    assert!(shown[0]["admitted_at"].as_str().unwrap().ends_with('Z'), "{shown:?}");
    // The chain of the log stays whole, and bears no name.
    assert!(erase(&house.app, kim.user_id).await.is_finished);
    assert_eq!(house.number(logged).await, 2);
    assert_eq!(export(&house.app, kim.user_id).await.data["queue_admissions"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_forgets_where_one_was_last_connected() {
    let hall = Hall::open().await;
    let (event, person, redis) = (hall.event().await, hall.somebody(), hall.house.stage.redis());
    let key = redis.key(format_args!("ticketing:whereabouts:{}", person.user_id));
    let remembered = || async {
        let mut command = deadpool_redis::redis::cmd("GET");
        redis.run::<Option<String>>(command.arg(&key)).await.unwrap()
    };
    let mut socket = hall.house.app.as_principal(person).socket_io(None).await.unwrap();
    socket.ask("join-event", &json!({ "eventId": event })).await;
    drop(socket);
    // It is kept for whoever comes back, and nothing is written of it any more.
    let is_lost = |kept: Option<String>| kept.is_some_and(|kept| !kept.contains("\"at\""));
    testkit::eventually(SOON, || async { is_lost(remembered().await) }).await;
    assert!(erase(&hall.house.app, person.user_id).await.is_finished);
    assert_eq!(remembered().await, None);
}
