//! Redis keeps a crowd from the database, and decides nothing.

use std::time::Duration;

use deadpool_redis::redis;
use futures_util::future::join_all;
use ticketing::seat::shed::Shed;

use crate::house::{House, reserve};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_slow_does_not_take_back_the_note_of_the_next() {
    let house = House::open().await;
    let (event, seats) = house.seated_event(1).await;
    let redis = house.stage.redis();
    let (shed, clock) = (Shed::default(), &house.stage.clock);
    let key = redis.key(format!("seat:{{{event}}}:{}", seats[0]));
    let _first = shed.note(&redis, event, &seats, clock.uuid(), 0).await;
    assert!(!redis.run::<bool>(redis::cmd("EXISTS").arg(&key)).await.unwrap());
    let slow = shed.note(&redis, event, &seats, clock.uuid(), 0).await;
    assert!(redis.run::<bool>(redis::cmd("EXISTS").arg(&key)).await.unwrap());
    redis.run::<()>(redis::cmd("DEL").arg(&key)).await.unwrap();
    let next = shed.note(&redis, event, &seats, clock.uuid(), 0).await;
    slow.take_back(&redis).await;
    assert!(redis.run::<bool>(redis::cmd("EXISTS").arg(&key)).await.unwrap());
    next.take_back(&redis).await;
    assert!(!redis.run::<bool>(redis::cmd("EXISTS").arg(&key)).await.unwrap());
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
