//! Whoever comes back finds things as they were.

use serde_json::json;

use super::{
    Hall,
    hall::{joined, settle, socket},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_picked_up_at_either_replica() {
    let hall = Hall::open().await;
    let (event, seat, person) = (hall.event().await, hall.house.stage.clock.uuid(), hall.somebody());
    let mut first = joined(socket(&hall.house.app.as_principal(person)).await, "join-event", event).await;
    first = joined(first, "join-seat-selection", event).await;
    first.ask("seat-selection-changed", &json!({ "eventId": event, "seats": [seat] })).await;
    drop(first);
    for app in [&hall.other, &hall.house.app] {
        // Until the loss was noticed and written down, it may look as if they were still there.
        let mut again = None;
        for _ in 0..50 {
            let mut socket = socket(&app.as_principal(person)).await;
            settle(&mut socket).await;
            settle(&mut socket).await;
            if socket.heard("session-restored") > 0 {
                again = Some(socket);
                break;
            }
            drop(socket);
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let mut again = again.expect("the session is restored");
        let restored = again.hear("session-restored").await;
        assert_eq!(
            restored,
            json!({ "eventId": event, "queueEventId": null, "seatEventId": event, "selectedSeats": [seat] })
        );
        // In the rooms again, without having asked.
        let mut neighbour = joined(hall.here().await, "join-seat-selection", event).await;
        neighbour.ask("seat-selection-changed", &json!({ "eventId": event, "seats": [] })).await;
        again.hear("seat-update").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_left_on_purpose_begins_anew_and_so_does_a_second_tab() {
    let hall = Hall::open().await;
    let (event, person) = (hall.event().await, hall.somebody());
    let first = joined(socket(&hall.house.app.as_principal(person)).await, "join-event", event).await;
    let mut second = socket(&hall.house.app.as_principal(person)).await;
    let mut elsewhere = socket(&hall.other.as_principal(person)).await;
    settle(&mut second).await;
    settle(&mut elsewhere).await;
    assert_eq!((second.heard("session-restored"), elsewhere.heard("session-restored")), (0, 0));
    second.leave().await;
    elsewhere.leave().await;
    first.leave().await;
    let mut watcher = joined(hall.here().await, "join-event", event).await;
    watcher.hear_where("room-info", |info| info["userCount"] == 1).await;
    let mut again = socket(&hall.house.app.as_principal(person)).await;
    settle(&mut again).await;
    settle(&mut again).await;
    assert_eq!(again.heard("session-restored"), 0);
}
