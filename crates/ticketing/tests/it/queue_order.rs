//! Strict order and a hard limit, with many people and two replicas.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, AtomicI64, Ordering},
    time::Duration,
};

use domain::ids::EventId;
use futures_util::{StreamExt, stream};
use serde_json::json;
use ticketing::queue::log::{self, Entry, Flaw};

use crate::{
    house::House,
    line::{SOON, ask, check, in_the_end, leave, organizer, path, run, somebody, waited_for},
};

const PEOPLE: usize = 20_000;
const WAVE: usize = 2_000;

async fn read_log(house: &House, event: EventId) -> Vec<Entry> {
    log::list(&mut house.pg.conn().await.unwrap(), event, 0, 1_000_000).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_come_in_in_the_order_in_which_they_joined_and_never_too_many() {
    let house = House::open().await;
    let replica = house.replica();
    let event = waited_for(&house, "auto", 100).await;
    let (over, is_done) = (AtomicI64::new(0), AtomicBool::new(false));
    let redis = house.stage.redis();
    let sampler = async {
        while !is_done.load(Ordering::Relaxed) {
            over.fetch_max(ask(&redis, "ZCARD", event, "active").await, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    };
    let clients = [house.app.as_user(), replica.as_user()];
    let people: Vec<_> = (0..PEOPLE).map(|_| somebody(&house)).collect();
    let joining = async {
        // Whoever is in a later wave joined after everybody of the waves before; within one it is anybody's race.
        for wave in people.chunks(WAVE) {
            stream::iter(wave.iter().enumerate())
                .for_each_concurrent(48, |(n, person)| {
                    let client = clients[n % 2].as_principal(*person);
                    async move {
                        in_the_end(async || check(&client, event).await).await;
                        if n % 97 == 0 {
                            in_the_end(async || leave(&client, event).await).await;
                        }
                    }
                })
                .await;
        }
        is_done.store(true, Ordering::Relaxed);
    };
    tokio::join!(sampler, joining);
    assert!(over.load(Ordering::Relaxed) <= 100, "{over:?} inside");
    let waiting: i64 = ask(&redis, "ZCARD", event, "queue").await;
    run(&organizer(&house.app, event), event, json!({"threshold": 1_000_000})).await.assert_status(200);
    let emptied = || async { ask::<i64>(&redis, "ZCARD", event, "queue").await == 0 };
    testkit::eventually(Duration::from_mins(1), emptied).await;

    let written = || async {
        house.number("SELECT log_index AS number FROM waiting_rooms").await >= waiting
            && house.number("SELECT log_change AS number FROM waiting_rooms").await
                == ask::<HashMap<String, String>>(&redis, "HGETALL", event, "meta").await["changes"]
                    .parse::<i64>()
                    .unwrap()
    };
    testkit::eventually(Duration::from_secs(30), written).await;
    let entries = read_log(&house, event).await;
    assert_eq!(log::verify(event, &entries), Ok(()));
    let waves: HashMap<_, _> =
        people.iter().enumerate().map(|(n, p)| (log::user_hash(event, p.user_id).to_vec(), n / WAVE)).collect();
    let order: Vec<_> = entries.iter().map(|entry| waves[&entry.user_hash]).collect();
    assert!(order.is_sorted(), "somebody was overtaken");
    // Whoever left while they waited never came in; everybody else did, once.
    assert!(entries.len() > PEOPLE - PEOPLE / 97 - 11 && entries.len() <= PEOPLE, "{}", entries.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_who_went_away_do_not_hold_up_who_is_there() {
    let house = House::open().await;
    let event = waited_for(&house, "auto", 1).await;
    let (boss, kim) = (house.app.as_user(), house.app.as_user());
    check(&boss, event).await.assert_status(200);
    let client = house.app.as_user();
    let ghosts: Vec<_> = (0..10_000).map(|_| client.as_principal(somebody(&house))).collect();
    stream::iter(&ghosts)
        .for_each_concurrent(48, |ghost| async { _ = in_the_end(async || check(ghost, event).await).await })
        .await;
    check(&kim, event).await.assert_status(200);
    let redis = house.stage.redis();
    let key = |name: &str| redis.key(format!("queue:{{{event}}}:{name}"));
    for some in ghosts.chunks(500) {
        let mut silent = deadpool_redis::redis::cmd("ZADD");
        silent.arg(key("seen"));
        for ghost in some {
            silent.arg(1).arg(ghost.user_id.to_string());
        }
        redis.run::<()>(&silent).await.unwrap();
    }
    leave(&boss, event).await.assert_status(200);
    let started = std::time::Instant::now();
    testkit::eventually(SOON, || async { ask::<i64>(&redis, "ZCARD", event, "queue").await == 0 }).await;
    let inside: Vec<String> =
        redis.run(deadpool_redis::redis::cmd("ZRANGE").arg(key("active")).arg(0).arg(-1)).await.unwrap();
    assert_eq!(inside, [kim.user_id.to_string()]);
    assert_eq!(ask::<i64>(&redis, "HLEN", event, "buckets").await, 0);
    eprintln!("10,000 dead heads took {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_told_from_memory_and_right_to_less_than_a_range() {
    let house = House::open().await;
    let event = waited_for(&house, "auto", 1).await;
    let client = house.app.as_user();
    let people: Vec<_> = (0..1_501).map(|_| client.as_principal(somebody(&house))).collect();
    for person in &people {
        in_the_end(async || check(person, event).await).await;
    }
    for n in [1, 2, 300, 512, 600, 1_000, 1_500] {
        testkit::eventually(SOON, || async {
            let seen = people[n].get(&path("status", event)).await.assert_status(200).json;
            let position = usize::try_from(seen["position"].as_i64().unwrap()).unwrap();
            let error = position.abs_diff(n);
            seen["queueSize"] == 1_500 && if n <= 512 { error == 0 } else { error < 256 }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_shows_who_came_in_and_tampering_is_found() {
    let house = House::open().await;
    let event = waited_for(&house, "auto", 3).await;
    let people: Vec<_> = (0..5).map(|_| house.app.as_user()).collect();
    for person in &people {
        check(person, event).await.assert_status(200);
    }
    leave(&people[0], event).await.assert_status(200);
    testkit::eventually(SOON, || async { read_log(&house, event).await.len() == 4 }).await;
    let page = people[1].get(&format!("{}?limit=3", path("audit", event))).await.assert_status(200).json;
    assert_eq!((&page["total"], &page["next"], page["entries"].as_array().unwrap().len()), (&json!(4), &json!(3), 3));
    assert_eq!(page["entries"][1]["userHash"], page["yourHash"]);
    assert_eq!(page["entries"][0]["prevHash"], "00".repeat(32));
    assert_eq!(page["entries"][1]["prevHash"], page["entries"][0]["hash"]);
    let rest = people[1].get(&format!("{}?after=3", path("audit", event))).await.assert_status(200).json;
    assert_eq!((rest["entries"].as_array().unwrap().len(), rest.get("next")), (1, None));
    people[1].get(&format!("{}?limit=1001", path("audit", event))).await.assert_problem(422, "invalid");
    people[1].get(&format!("{}?after=-1", path("audit", event))).await.assert_problem(422, "invalid");

    assert_eq!(log::verify(event, &read_log(&house, event).await), Ok(()));
    for statement in [
        "UPDATE queue_admissions SET seq = 1 WHERE index = 2",
        "DELETE FROM queue_admissions WHERE index = 2",
        "INSERT INTO queue_admissions SELECT event_id, 9, generation, incarnation, change, seq, user_hash, admitted_at, \
         restored, prev_hash, hash FROM queue_admissions WHERE index = 2",
    ] {
        assert!(house.refuses(statement).await, "{statement}");
    }
    // Somebody with all rights in the database: the chain says so.
    house.sql("ALTER TABLE queue_admissions DISABLE TRIGGER only_grow; UPDATE queue_admissions SET seq = 1 WHERE index = 2").await;
    assert_eq!(log::verify(event, &read_log(&house, event).await), Err(Flaw::Broken(2)));
    // With its event the log goes.
    house
        .sql(&format!("ALTER TABLE queue_admissions ENABLE TRIGGER only_grow; DELETE FROM events WHERE id = '{event}'"))
        .await;
    assert!(read_log(&house, event).await.is_empty());
}
