//! Redis loses everything, dies, or cannot be reached.

use std::time::Duration;

use chassis::redis::{Redis, RedisConfig};
use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::fault_proxy::FaultProxy;
use ticketing::config::TicketingConfig;

use crate::{
    house::{House, reserve},
    line::{OwnRedis, SOON, ask, check, check_with, comes_in, in_the_end, leave, organizer, path, status, waited_for},
};

/// Waits until it is written down how many wait.
async fn written_down(house: &House, waiting: i64) {
    testkit::eventually(SOON, || async {
        house.number("SELECT waiting AS number FROM waiting_rooms").await == waiting
    })
    .await;
}

fn ticket(answer: &Value) -> String {
    answer["queueTicket"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_loss_survivors_keep_their_order_and_newcomers_are_behind_them() {
    let mut redis = OwnRedis::start(uuid::Uuid::from_u128(1));
    redis.answers().await;
    let serve = |config: &mut TicketingConfig| {
        redis.serve(config);
        // All have come back within this, also on a machine that does other things meanwhile.
        config.queue.queue_recovery = Duration::from_secs(5);
    };
    let house = House::with(serve).await;
    let replica = house.replica_with(serve);
    let event = waited_for(&house, "auto", 2).await;
    let people: Vec<_> = (0..12).map(|n| if n % 2 == 0 { house.app.as_user() } else { replica.as_user() }).collect();
    let mut tickets = Vec::new();
    for person in &people {
        tickets.push(ticket(&check(person, event).await.assert_status(200).json));
    }
    for round in 0..2 {
        written_down(&house, 10).await;
        if round == 0 {
            redis.lose_everything().await;
        } else {
            redis.kill();
            for person in &people {
                check(person, event).await.assert_problem(503, "unavailable");
            }
            redis.restart();
            redis.answers().await;
        }
        // Newcomers are the first to come, and everybody else in the wrong order.
        let newcomers: Vec<_> = (0..3).map(|_| house.app.as_user()).collect();
        let came = join_all(newcomers.iter().map(|person| in_the_end(async || check(person, event).await))).await;
        for answer in came {
            assert_eq!(answer["queued"], true, "a newcomer came in before the survivors: {answer}");
        }
        for n in (0..people.len()).rev() {
            let back = in_the_end(async || check_with(&people[n], event, &tickets[n]).await).await;
            assert_eq!(back["queued"], true);
            tickets[n] = ticket(&back);
        }
        // Those who were inside are so again; the others wait as before, and newcomers behind all of them.
        for person in &people[..2] {
            comes_in(person, event, 2 * SOON).await;
        }
        for (n, person) in people.iter().enumerate().skip(2) {
            assert_eq!(check(person, event).await.json["position"], n - 1, "round {round}, {n}");
        }
        for person in &newcomers {
            assert!(check(person, event).await.json["position"].as_i64().unwrap() > 10);
            leave(person, event).await.assert_status(200);
        }
    }
    // A ticket is worth nothing while the line stands: who left is a newcomer.
    leave(&people[2], event).await.assert_status(200);
    assert_eq!(check_with(&people[2], event, &tickets[2]).await.json["position"], 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_of_a_room_that_was_emptied_bring_nobody_back() {
    let mut redis = OwnRedis::start(uuid::Uuid::from_u128(2));
    redis.answers().await;
    let house = House::with(|config| {
        redis.serve(config);
        // Nobody is let in before the end of the test.
        config.queue.queue_recovery = Duration::from_mins(1);
    })
    .await;
    let event = waited_for(&house, "auto", 1).await;
    let (kim, lee, park) = (house.app.as_user(), house.app.as_user(), house.app.as_user());
    check(&kim, event).await.assert_status(200);
    let old = ticket(&check(&lee, event).await.assert_status(200).json);
    organizer(&house.app, event).post(&path("admin/clear", event), json!({})).await.assert_status(200);
    check(&kim, event).await.assert_status(200);
    check(&park, event).await.assert_status(200);
    written_down(&house, 1).await;
    redis.kill();
    redis.restart();
    redis.answers().await;
    in_the_end(async || check(&park, event).await).await;
    assert_eq!(in_the_end(async || check_with(&lee, event, &old).await).await["position"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_cannot_be_reached_nobody_comes_in_and_nobody_loses_a_place() {
    let url: url::Url = testkit::settings::single_redis_url().parse().unwrap();
    let upstream = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(6379)).parse().unwrap();
    let proxy = FaultProxy::start(upstream).unwrap();
    let house = House::with(|config| {
        let mut through = url.clone();
        through.set_host(Some("127.0.0.1")).unwrap();
        through.set_port(Some(proxy.addr().port())).unwrap();
        config.base.redis.redis_url = through.to_string().into();
    })
    .await;
    let (event, seats) = house.seated_event(4).await;
    let (open, open_seats) = house.seated_event(1).await;
    house
        .sql(&format!(
            "INSERT INTO waiting_rooms (event_id, mode, threshold) VALUES ('{event}', 'auto', 1), ('{open}', 'off', 1)"
        ))
        .await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    check(&kim, event).await.assert_status(200);
    assert_eq!(check(&lee, event).await.json["position"], 1);

    proxy.reset();
    let refused = check(&house.app.as_user(), event).await.assert_problem(503, "unavailable");
    assert!(!refused.header("retry-after").is_empty());
    testkit::eventually(SOON, || async { lee.get(&path("status", event)).await.status == 503 }).await;
    reserve(&kim, event, &seats[..1]).await.assert_problem(503, "unavailable");
    reserve(&house.app.as_user(), event, &seats[..1]).await.assert_problem(503, "unavailable");
    organizer(&house.app, event).get(&path("admin", event)).await.assert_problem(503, "unavailable");
    // What needs no admission needs no Redis.
    check(&lee, open).await.assert_status(200);
    reserve(&lee, open, &open_seats).await.assert_status(201);

    proxy.heal();
    testkit::eventually(SOON, || async { lee.get(&path("status", event)).await.status == 200 }).await;
    assert_eq!(status(&lee, event).await["position"], 1);
    reserve(&kim, event, &seats[..1]).await.assert_status(201);
    let direct = RedisConfig { redis_url: url.to_string().into(), ..house.stage.base_config().redis };
    assert_eq!(ask::<i64>(&Redis::new(&direct).unwrap(), "ZCARD", event, "active").await, 1);
}
