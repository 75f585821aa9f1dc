//! Many at once.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use serde_json::json;

use super::{
    Hall,
    hall::{joined, socket},
};

/// How many are on their way in at the same time.
const AT_ONCE: usize = 64;

/// Comes in and joins, as a page does that has just opened; returns whether it was heard.
async fn storm(hall: &Hall, clients: usize) -> Duration {
    let event = hall.event().await;
    let mut watcher = joined(hall.here().await, "join-event", event).await;
    let begun = Instant::now();
    let client = |n: usize| {
        let app = if n.is_multiple_of(2) { &hall.house.app } else { &hall.other };
        let client = app.as_user();
        async move {
            let mut socket = socket(&client).await;
            let answer = socket.ask("join-event", &json!({ "eventId": event })).await;
            assert_eq!(answer["ok"], true);
            socket
        }
    };
    let sockets: Vec<_> = stream::iter((0..clients).map(client)).buffer_unordered(AT_ONCE).collect().await;
    let took = begun.elapsed();
    watcher.hear_where("room-info", |info| info["userCount"] == json!(clients + 1)).await;
    drop(sockets);
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_who_come_at_once_none_is_left_standing() {
    let hall = Hall::open().await;
    storm(&hall, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes the whole machine; run it by itself, built with optimisations"]
async fn of_two_thousand_none_is_left_standing_in_twenty_runs() {
    for run in 0..20 {
        let took = storm(&Hall::open().await, 2_000).await;
        println!("run {run}: 2,000 joined in {took:?}");
    }
}
