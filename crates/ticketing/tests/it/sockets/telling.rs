//! What becomes known reaches whoever it concerns, on whichever replica, and nobody else.

use domain::seat_hold::SeatStatus;
use serde_json::json;
use testkit::SocketIo;
use ticketing::notice::{Notice, SeatNotice};

use super::{
    Hall,
    hall::{joined, settle, socket},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seat_that_changes_hands_is_told_on_every_replica() {
    let hall = Hall::open().await;
    let (event, seat_id) = (hall.event().await, hall.house.stage.clock.id());
    let mut here = joined(hall.here().await, "join-seat-selection", event).await;
    let mut there = joined(hall.there().await, "join-seat-selection", event).await;
    let mut elsewhere = joined(hall.there().await, "join-event", event).await;
    let seat =
        |status, version| Notice::Seats { event_id: event, seats: vec![SeatNotice { seat_id, status, version }] };
    hall.tell(&[seat(SeatStatus::Locked, 1), seat(SeatStatus::Reserved, 2), seat(SeatStatus::Available, 3)]).await;
    for socket in [&mut here, &mut there] {
        for event in ["seat-locked", "seat-selected"] {
            let locked = socket.hear(event).await;
            assert_eq!((&locked["seatId"], &locked["status"]), (&json!(seat_id), &json!("locked")));
            assert_eq!(locked["version"], 1);
            assert!(locked["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{locked}");
            assert_eq!(locked.as_object().map(serde_json::Map::len), Some(4), "nobody is told who: {locked}");
            assert_eq!(socket.hear(event).await["status"], "reserved");
        }
        let released = socket.hear("seat-released").await;
        assert_eq!((&released["status"], &released["version"]), (&json!("available"), &json!(3)));
    }
    settle(&mut elsewhere).await;
    assert_eq!(elsewhere.heard("seat-locked") + elsewhere.heard("seat-released"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_with_a_commit_is_told_after_it() {
    let hall = Hall::open().await;
    let (event, seat) = (hall.event().await, hall.house.stage.clock.uuid());
    let mut there = joined(hall.there().await, "join-seat-selection", event).await;
    let payload = json!({
        "kind": "seats", "event_id": event, "seats": [{ "seat_id": seat, "status": "locked", "version": 9 }]
    });
    hall.house
        .sql(&format!("INSERT INTO outbox (id, topic, payload) VALUES (gen_random_uuid(), 'notice', '{payload}')"))
        .await;
    assert_eq!(there.hear("seat-locked").await["version"], 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_changes_of_stock_the_last_is_told_and_few_before_it() {
    let hall = Hall::open().await;
    let (event, ticket_type_id) = (hall.event().await, hall.house.stage.clock.id());
    let mut there = joined(hall.there().await, "join-event", event).await;
    let change = |version| Notice::Tickets {
        event_id: event,
        ticket_type_id,
        available_quantity: 100 - version,
        total_quantity: 100,
        version,
    };
    hall.tell(&(1..=100).map(change).collect::<Vec<_>>()).await;
    let mut told = 1;
    let mut last = there.hear("ticket-updated").await;
    while last["version"] != 100 {
        last = there.hear("ticket-updated").await;
        told += 1;
    }
    assert!(told <= 10, "{told} times");
    assert_eq!((&last["availableQuantity"], &last["totalQuantity"]), (&json!(0), &json!(100)));
    assert_eq!(last["ticketTypeId"], json!(ticket_type_id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_whoever_was_let_in_hears_of_it_wherever_they_are() {
    let hall = Hall::open().await;
    let (event, person) = (hall.event().await, hall.somebody());
    let queue = |socket: SocketIo| joined(socket, "join-queue", event);
    let mut phone = queue(socket(&hall.house.app.as_principal(person)).await).await;
    let mut laptop = queue(socket(&hall.other.as_principal(person)).await).await;
    let mut neighbours = [queue(hall.here().await).await, queue(hall.there().await).await];
    let size = Notice::Queue { event_id: event, queue_size: 7, current_users: 1_000, threshold: 1_000 };
    hall.tell(&[Notice::Admitted { event_id: event, user_id: person.user_id }, size]).await;
    for socket in [&mut phone, &mut laptop] {
        let allowed = socket.hear("queue-entry-allowed").await;
        assert_eq!((&allowed["eventId"], &allowed["userId"]), (&json!(event), &json!(person.user_id)));
        assert!(allowed["message"].as_str().is_some_and(|message| message.contains("입장")), "{allowed}");
    }
    for socket in &mut neighbours {
        let updated = socket.hear("queue-updated").await;
        assert_eq!((&updated["queueSize"], &updated["currentUsers"]), (&json!(7), &json!(1_000)));
        assert_eq!((&updated["threshold"], &updated["eventId"]), (&json!(1_000), &json!(event)));
        assert_eq!(socket.heard("queue-entry-allowed"), 0);
    }
    hall.tell(&[Notice::QueueCleared { event_id: event }]).await;
    for socket in &mut neighbours {
        assert_eq!(socket.hear("queue-cleared").await["eventId"], json!(event));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_marks_the_others_see_and_not_who_it_was() {
    let hall = Hall::open().await;
    let (event, seat) = (hall.event().await, hall.house.stage.clock.uuid());
    let choose = |socket: SocketIo| joined(socket, "join-seat-selection", event);
    let mut here = choose(hall.here().await).await;
    let mut others = [choose(hall.here().await).await, choose(hall.there().await).await];
    here.ask("seat-selection-changed", &json!({ "eventId": event, "seats": [seat] })).await;
    for socket in &mut others {
        assert_eq!(socket.hear("seat-update").await, json!({ "seats": [seat] }));
    }
    // The stream has been round by now, and brought nobody's own words back.
    let [mut neighbour, mut there] = others;
    there.ask("seat-selection-changed", &json!({ "eventId": event, "seats": [] })).await;
    assert_eq!(here.hear("seat-update").await, json!({ "seats": [] }));
    assert_eq!(neighbour.hear("seat-update").await, json!({ "seats": [] }));
    settle(&mut here).await;
    assert_eq!((here.heard("seat-update"), neighbour.heard("seat-update"), there.heard("seat-update")), (0, 0, 0));
}
