//! A line that Redis lost is begun anew once, whoever finds it gone; and a copy that it brings back is not believed.

use std::time::Duration;

use chassis::redis::Redis;
use deadpool_redis::redis::{self, Script};
use domain::ids::EventId;
use futures_util::future::join_all;
use serde_json::Value;
use testkit::TestClient;

use crate::{
    house::House,
    line::{SOON, ask, check, check_with, comes_in, leave, waited_for},
};

const NAMES: [&str; 10] =
    ["meta", "queue", "seen", "active", "buckets", "changes", "numbers", "missed", "restored", "opening"];

fn keys(redis: &Redis, event: EventId) -> Vec<String> {
    NAMES.iter().map(|name| redis.key(format!("queue:{{{event}}}:{name}"))).collect()
}

async fn lose(redis: &Redis, event: EventId) {
    redis.run::<()>(redis::cmd("DEL").arg(keys(redis, event))).await.unwrap();
}

/// What Redis holds of a line, as it could write it to a disk.
async fn copy(redis: &Redis, event: EventId) -> Vec<(String, Option<Vec<u8>>)> {
    let mut copied = Vec::new();
    for key in keys(redis, event) {
        let dump = redis.run(redis::cmd("DUMP").arg(&key)).await.unwrap();
        copied.push((key, dump));
    }
    copied
}

/// Has Redis come back with what it held then.
async fn bring_back(redis: &Redis, copied: &[(String, Option<Vec<u8>>)]) {
    let mut pipe = redis::pipe();
    pipe.atomic();
    for (key, dump) in copied {
        pipe.del(key).ignore();
        if let Some(dump) = dump {
            pipe.cmd("RESTORE").arg(key).arg(0).arg(dump.as_slice()).ignore();
        }
    }
    pipe.query_async::<()>(&mut redis.conn().await.unwrap()).await.unwrap();
}

fn ticket(answer: &Value) -> String {
    answer["queueTicket"].as_str().unwrap().to_owned()
}

async fn number(house: &House, column: &str) -> i64 {
    house.number(&format!("SELECT {column}::bigint AS number FROM waiting_rooms")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_find_a_line_gone_together_begin_it_once() {
    let house = House::open().await;
    let replicas = [&house.app, &house.replica(), &house.replica()];
    let event = waited_for(&house, "auto", 1).await;
    let redis = house.stage.redis();
    for round in 1..=5 {
        let people: Vec<_> = (0..42).map(|n| replicas[n % 3].as_user()).collect();
        let answers = join_all(people.iter().map(|person| check(person, event))).await;
        for answer in answers {
            answer.assert_status(200);
        }
        let known = ask::<std::collections::HashMap<String, String>>(&redis, "HGETALL", event, "meta").await;
        assert_eq!(number(&house, "incarnation").await, round, "begun more than once");
        assert_eq!(known["incarnation"], round.to_string());
        // Who leads reports it about once a second, and finds that it is the one.
        testkit::eventually(SOON, || async { number(&house, "waiting").await == 41 }).await;
        testkit::eventually(SOON, || async { ask::<i64>(&redis, "ZCARD", event, "queue").await == 41 }).await;
        // Long enough that nobody has to be waited for in the next round.
        house.sql("UPDATE waiting_rooms SET waiting = 0").await;
        lose(&redis, event).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_of_a_line_is_not_believed() {
    let house = House::open().await;
    let replica = house.replica();
    let event = waited_for(&house, "auto", 1).await;
    let redis = house.stage.redis();
    let people: Vec<_> = (0..6).map(|n| if n % 2 == 0 { house.app.as_user() } else { replica.as_user() }).collect();
    let mut tickets = Vec::new();
    let join = async |person: &TestClient| ticket(&check(person, event).await.assert_status(200).json);
    for person in &people[..3] {
        tickets.push(join(person).await);
    }
    let copied = copy(&redis, event).await;
    for person in &people[3..] {
        tickets.push(join(person).await);
    }
    leave(&people[0], event).await.assert_status(200);
    comes_in(&people[1], event, SOON).await;
    testkit::eventually(SOON, || async {
        number(&house, "waiting").await == 4 && number(&house, "log_index").await == 2
    })
    .await;
    bring_back(&redis, &copied).await;
    testkit::eventually(SOON, || async {
        // Somebody asks, as somebody always does.
        check(&house.app.as_user(), event).await;
        number(&house, "incarnation").await == 2
    })
    .await;
    for n in [5, 3, 4, 2] {
        check_with(&people[n], event, &tickets[n]).await.assert_status(200);
    }
    for (n, person) in people.iter().enumerate().skip(2) {
        testkit::eventually(SOON, || async {
            let seen = check(person, event).await.assert_status(200).json;
            // The first of them comes in when the others had the time to come back.
            seen["status"] == "active" || seen["position"].as_u64().unwrap() < n as u64
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_inside_is_so_again_before_any_newcomer() {
    let house = House::with(|config| config.queue.queue_recovery = Duration::from_secs(5)).await;
    let event = waited_for(&house, "auto", 2).await;
    let redis = house.stage.redis();
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    let mut tickets = Vec::new();
    for person in [&kim, &lee] {
        let inside = check(person, event).await.assert_status(200).json;
        assert_eq!(inside["status"], "active");
        tickets.push(ticket(&inside));
    }
    testkit::eventually(SOON, || async { number(&house, "inside").await == 2 }).await;
    lose(&redis, event).await;
    let newcomer = house.app.as_user();
    assert_eq!(check(&newcomer, event).await.assert_status(200).json["status"], "queued");
    for (person, ticket) in [&kim, &lee].into_iter().zip(&tickets) {
        check_with(person, event, ticket).await.assert_status(200);
    }
    for person in [&kim, &lee] {
        comes_in(person, event, SOON).await;
    }
    assert_eq!(check(&newcomer, event).await.json["position"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_nobody_looks_at_keeps_no_place_inside() {
    let house = House::open().await;
    let event = waited_for(&house, "auto", 1).await;
    let redis = house.stage.redis();
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    for person in [&kim, &lee] {
        check(person, event).await.assert_status(200);
    }
    let script = Script::new(include_str!("../../src/queue/queue.lua"));
    let touch = async |person: &TestClient| {
        let mut call = script.prepare_invoke();
        for key in keys(&redis, event) {
            call.key(key);
        }
        call.arg("touch").arg(600_000).arg(60_000).arg(person.user_id.to_string());
        let (state, _, heard): (String, Vec<i64>, Vec<String>) =
            call.invoke_async(&mut redis.conn().await.unwrap()).await.unwrap();
        assert_eq!((state.as_str(), heard), ("open", vec!["a".to_owned()]));
    };
    let until = async |person: &TestClient| -> f64 {
        let mut command = redis::cmd("ZSCORE");
        let key = redis.key(format!("queue:{{{event}}}:active"));
        redis.run(command.arg(key).arg(person.user_id.to_string())).await.unwrap()
    };
    leave(&kim, event).await.assert_status(200);
    let first = until(&lee).await;
    touch(&lee).await;
    assert!(until(&lee).await <= first, "who was let in and has not asked since was kept");
    check(&lee, event).await.assert_status(200);
    let asked = until(&lee).await;
    touch(&lee).await;
    assert!(until(&lee).await > asked + 200_000.0);
}
