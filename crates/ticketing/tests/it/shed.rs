//! Redis keeps a crowd from the database, and decides nothing.

use std::time::{Duration, Instant};

use deadpool_redis::redis;
use futures_util::future::join_all;
use ticketing::seat::shed::Shed;

use crate::house::{House, reserve};

/// Within this no answer of Redis came too late to count, which is a tenth of a second.
const UNDISTURBED: Duration = Duration::from_millis(90);

/// Plays the first test's scene, and returns whether there was a note after each of its acts; nothing when it took so long
/// that Redis may have been given up on, or a note have gone by itself.
async fn scene(house: &House) -> Option<[bool; 4]> {
    let begun = Instant::now();
    let (event, seats) = house.seated_event(1).await;
    let redis = house.stage.redis();
    let (shed, clock) = (Shed::default(), &house.stage.clock);
    let key = redis.key(format!("seat:{{{event}}}:{}", seats[0]));
    let is_noted = async || redis.run::<bool>(redis::cmd("EXISTS").arg(&key)).await.unwrap();
    let _first = shed.note(&redis, event, &seats, clock.uuid(), 0).await;
    let after_the_first = is_noted().await;
    let slow = shed.note(&redis, event, &seats, clock.uuid(), 0).await;
    let after_the_slow_one = is_noted().await;
    redis.run::<()>(redis::cmd("DEL").arg(&key)).await.unwrap();
    let next = shed.note(&redis, event, &seats, clock.uuid(), 0).await;
    slow.take_back(&redis).await;
    let while_there_is_the_next = is_noted().await;
    next.take_back(&redis).await;
    let notes = [after_the_first, after_the_slow_one, while_there_is_the_next, is_noted().await];
    (begun.elapsed() < UNDISTURBED).then_some(notes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_slow_does_not_take_back_the_note_of_the_next() {
    let house = House::open().await;
    for _ in 0..50 {
        if let Some(notes) = scene(&house).await {
            return assert_eq!(notes, [false, true, true, false]);
        }
    }
    panic!("the machine was never quiet for so long");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_note_that_stays_refuses_nobody() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(1).await;
    let redis = house.stage.redis();
    let (shed, clock) = (Shed::default(), &house.stage.clock);
    let _first = shed.note(&redis, event, &seats, clock.uuid(), 0).await;
    let _dead = shed.note(&redis, event, &seats, clock.uuid(), 0).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    let (kims, lees) = tokio::join!(reserve(&kim, event, &seats), reserve(&lee, event, &seats));
    let mut statuses = [kims.status, lees.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    house.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_seat_is_sold_twice_while_redis_is_away() {
    let house = House::with(|config| config.base.redis.redis_url = "redis://127.0.0.1:1".into()).await;
    let (event, seats) = house.seated_event(4).await;
    // Where somebody may have to wait their turn, nobody gets anything while their order cannot be read.
    house.sql(&format!("INSERT INTO waiting_rooms (event_id, mode) VALUES ('{event}', 'off')")).await;
    let buyers: Vec<_> = (0..20).map(|_| house.app.as_user()).collect();
    let answers = tokio::time::timeout(
        Duration::from_secs(10),
        join_all(
            buyers
                .iter()
                .zip(seats.iter().cycle())
                .map(|(buyer, seat)| reserve(buyer, event, std::slice::from_ref(seat))),
        ),
    );
    let answers = answers.await.unwrap();
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 4);
    house.assert_sound().await;
}
