//! How many look on.

use deadpool_redis::redis::cmd;
use domain::ids::{EventId, Id};
use serde_json::json;
use testkit::SocketIo;

use super::{
    Hall,
    hall::{joined, socket},
};

async fn sees(socket: &mut SocketIo, count: usize) {
    socket.hear_where("room-info", |info| info["userCount"] == json!(count)).await;
}

async fn key(hall: &Hall, event: EventId, part: &str) -> String {
    hall.house.stage.redis().key(format_args!("ticketing:room:{{{event}}}:{part}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_are_counted_over_all_replicas_and_each_once() {
    let hall = Hall::open().await;
    let (event, person) = (hall.event().await, hall.somebody());
    let join = |socket: SocketIo| joined(socket, "join-event", event);
    let mut first = join(hall.here().await).await;
    sees(&mut first, 1).await;
    let mut second = join(hall.there().await).await;
    sees(&mut first, 2).await;
    sees(&mut second, 2).await;
    // One person with three sockets at two replicas.
    let phone = join(socket(&hall.house.app.as_principal(person)).await).await;
    let laptop = join(socket(&hall.other.as_principal(person)).await).await;
    let mut tab = join(socket(&hall.other.as_principal(person)).await).await;
    sees(&mut first, 3).await;
    sees(&mut second, 3).await;
    drop(phone);
    drop(laptop);
    let mut third = join(hall.here().await).await;
    for socket in [&mut first, &mut second, &mut third] {
        sees(socket, 4).await;
    }
    tab.ask("leave-event", &json!(event)).await;
    sees(&mut first, 3).await;
    sees(&mut second, 3).await;
    drop(third);
    drop(first);
    sees(&mut second, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_people_of_a_replica_that_died_are_counted_no_more() {
    let hall = Hall::open().await;
    let event = hall.event().await;
    let mut first = joined(hall.here().await, "join-event", event).await;
    sees(&mut first, 1).await;
    // What a replica leaves behind that was killed a while ago, with somebody who is also here.
    let redis = hall.house.stage.redis();
    let (people, at, replicas) =
        (key(&hall, event, "people").await, key(&hall, event, "at:dead").await, key(&hall, event, "replicas").await);
    for _ in 0..3 {
        let who = hall.house.stage.clock.uuid();
        redis.run::<()>(cmd("SADD").arg(&at).arg(who.as_bytes().as_slice())).await.unwrap();
        redis.run::<()>(cmd("HINCRBY").arg(&people).arg(who.as_bytes().as_slice()).arg(1)).await.unwrap();
    }
    redis.run::<()>(cmd("HSET").arg(&replicas).arg("dead").arg(1_700_000_000)).await.unwrap();
    let mut second = joined(hall.there().await, "join-event", event).await;
    sees(&mut second, 2).await;
    sees(&mut first, 2).await;
    let left: i64 = redis.run(cmd("EXISTS").arg(&at)).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_redis_forgot_is_counted_again() {
    let hall = Hall::open().await;
    let event = hall.event().await;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(joined(hall.here().await, "join-event", event).await);
    }
    sees(&mut sockets[0], 3).await;
    let redis = hall.house.stage.redis();
    let found: Vec<String> = redis.run(cmd("KEYS").arg(redis.key("ticketing:room:*"))).await.unwrap();
    assert!(found.len() >= 3, "{found:?}");
    redis.run::<()>(cmd("DEL").arg(&found)).await.unwrap();
    sockets.push(joined(hall.here().await, "join-event", event).await);
    sees(&mut sockets[0], 4).await;
    let people: Vec<Vec<u8>> = redis.run(cmd("HKEYS").arg(key(&hall, event, "people").await)).await.unwrap();
    assert_eq!(people.len(), 4);
    assert!(people.iter().all(|who| who.len() == hall.somebody().user_id.uuid().as_bytes().len()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_is_told_by_the_second_and_not_by_the_person() {
    let hall = Hall::open().await;
    let event = hall.event().await;
    let mut watcher = joined(hall.there().await, "join-event", event).await;
    let mut sockets = Vec::new();
    for _ in 0..60 {
        sockets.push(joined(hall.here().await, "join-event", event).await);
    }
    let mut told = 0;
    while watcher.hear("room-info").await["userCount"] != 61 {
        told += 1;
    }
    assert!(told <= 20, "{told} times");
}
