//! What clients say, right and wrong.

use serde_json::{Value, json};

use super::{
    Hall,
    hall::{joined, settle},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_joined_by_an_object_or_a_bare_id_and_left_again() {
    let hall = Hall::open().await;
    let event = hall.event().await;
    let mut socket = hall.here().await;
    let answer = socket.ask("join-event", &json!(event)).await;
    assert_eq!(answer, json!({ "ok": true, "eventId": event, "userCount": 1 }));
    for how in ["join-event", "join-queue", "join-seat-selection", "leave-queue", "leave-event"] {
        let answer = socket.ask(how, &json!({ "eventId": event, "extra": true })).await;
        assert_eq!((&answer["ok"], &answer["eventId"]), (&json!(true), &json!(event)), "{how}");
    }
    let info = socket.hear("room-info").await;
    assert_eq!(info, json!({ "eventId": event, "userCount": 1 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_an_error_event_and_nothing_worse() {
    let hall = Hall::open().await;
    let event = hall.event().await;
    let mut socket = hall.here().await;
    let wrong: [(&str, &str, &str); 14] = [
        ("join-event", "42[\"join-event\"]", "bad_payload"),
        ("join-event", "42[\"join-event\",null]", "bad_payload"),
        ("join-event", "42[\"join-event\",{}]", "bad_payload"),
        ("join-event", "42[\"join-event\",{\"eventId\":1}]", "bad_payload"),
        ("join-event", "42[\"join-event\",\"'; DROP TABLE events\"]", "bad_payload"),
        ("join-queue", "42[\"join-queue\",[[]]]", "bad_payload"),
        ("leave-event", "42[\"leave-event\",true]", "bad_payload"),
        ("join-event", "42[\"join-event\",\"00000000-0000-7000-8000-000000000000\"]", "event_not_found"),
        ("seat-selection-changed", "42[\"seat-selection-changed\",{\"seats\":[]}]", "bad_payload"),
        ("nonsense", "42[\"nonsense\",{}]", "unknown_event"),
        ("room-info", "42[\"room-info\",{}]", "unknown_event"),
        ("", "42[\"\",{}]", "unknown_event"),
        ("__proto__", "42[\"__proto__\",{}]", "unknown_event"),
        ("connect_error", "42[\"connect_error\",{}]", "unknown_event"),
    ];
    for (name, packet, code) in wrong {
        socket.say_raw(packet).await;
        let error = socket.hear("error").await;
        assert_eq!((&error["code"], &error["event"]), (&json!(code), &json!(name)), "{packet}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{packet}");
    }
    let answer = socket.ask("join-event", &json!(7)).await;
    assert_eq!((&answer["ok"], &answer["error"]["code"]), (&json!(false), &json!("bad_payload")));
    let here = joined(socket, "join-seat-selection", event).await;
    drop(here);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seats_are_marked_only_where_they_are_chosen_and_not_too_many() {
    let hall = Hall::open().await;
    let event = hall.event().await;
    let mut socket = hall.here().await;
    let code = |answer: Value| answer["error"]["code"].as_str().unwrap_or_default().to_owned();
    let none = json!({ "eventId": event, "seats": [] });
    assert_eq!(code(socket.ask("seat-selection-changed", &none).await), "not_in_room");
    let mut socket = joined(socket, "join-seat-selection", event).await;
    assert_eq!(code(socket.ask("seat-selection-changed", &none).await), "");
    let many = json!({ "eventId": event, "seats": vec![event; 51] });
    assert_eq!(code(socket.ask("seat-selection-changed", &many).await), "too_many_seats");
    let odd = json!({ "eventId": event, "seats": ["A-1"] });
    assert_eq!(code(socket.ask("seat-selection-changed", &odd).await), "bad_payload");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_socket_is_in_so_many_rooms_and_no_more() {
    let hall = Hall::open().await;
    let mut socket = hall.here().await;
    for n in 0..17 {
        let answer = socket.ask("join-event", &json!(hall.event().await)).await;
        assert_eq!(answer["ok"], n < 16, "{n}: {answer}");
        if n == 16 {
            assert_eq!(answer["error"]["code"], "too_many_rooms");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_floods_is_not_heard_and_then_shown_out() {
    let hall = Hall::open().await;
    let event = hall.event().await;
    let mut neighbour = joined(hall.here().await, "join-event", event).await;
    let mut socket = hall.here().await;
    for _ in 0..200 {
        socket.emit("leave-event", &json!(event)).await;
    }
    assert_eq!(socket.hear("error").await["code"], "too_many_requests");
    for _ in 0..400 {
        socket.emit("leave-event", &json!(event)).await;
    }
    socket.closed().await;
    settle(&mut neighbour).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_large_or_no_packet_at_all_ends_the_connection() {
    let hall = Hall::open().await;
    let large = format!("42[\"join-event\",\"{}\"]", "x".repeat(40 * 1024));
    for packet in [large.as_str(), "9", "42[7]", "42{", "451-[\"join-event\",{\"_placeholder\":true,\"num\":0}]"] {
        let mut socket = hall.here().await;
        socket.say_raw(packet).await;
        socket.closed().await;
    }
    settle(&mut hall.here().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_taken_in_the_order_they_come() {
    let hall = Hall::open().await;
    let event = hall.event().await;
    let mut socket = joined(hall.here().await, "join-seat-selection", event).await;
    let mut neighbour = joined(hall.here().await, "join-seat-selection", event).await;
    for round in 0..8 {
        let seat = hall.house.stage.clock.uuid();
        // To leave and to come back, in one breath: the last word counts.
        socket.emit("leave-seat-selection", &json!(event)).await;
        socket.emit("join-seat-selection", &json!(event)).await;
        neighbour.ask("seat-selection-changed", &json!({ "eventId": event, "seats": [seat] })).await;
        settle(&mut socket).await;
        let answer = socket.ask("seat-selection-changed", &json!({ "eventId": event, "seats": [] })).await;
        assert_eq!(answer["ok"], true, "{round}");
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
}
