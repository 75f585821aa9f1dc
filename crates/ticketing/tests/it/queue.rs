//! Waiting in line.

use std::time::Duration;

use domain::principal::Role;
use futures_util::future::join_all;
use serde_json::json;
use ticketing::notice::Notice;
use uuid::Uuid;

use crate::{
    house::{House, ON_SALE},
    line::{SECOND, SOON, ask, check, comes_in, leave, notices, organizer, path, run, somebody, status, waited_for},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answers_are_the_documents() {
    let house = House::open().await;
    let event = waited_for(&house, "auto", 1).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    let inside = check(&kim, event).await.assert_status(200).json;
    assert_eq!(
        (&inside["queued"], &inside["currentUsers"], &inside["threshold"]),
        (&json!(false), &json!(1), &json!(1))
    );
    assert_eq!((&inside["status"], &inside["eventInfo"]["title"]), (&json!("active"), &json!("달빛 재즈")));

    let waiting = check(&lee, event).await.assert_status(200).json;
    for (field, value) in
        [("position", 1), ("estimatedWait", 1), ("threshold", 1), ("currentUsers", 1), ("queueSize", 1)]
    {
        assert_eq!(waiting[field], value, "{field}: {waiting}");
    }
    assert_eq!((&waiting["queued"], &waiting["status"]), (&json!(true), &json!("queued")));
    assert!(waiting["queueTicket"].as_str().unwrap().starts_with("mqt_"));

    let seen = lee.get(&format!("/api/queue/status/{event}")).await.assert_status(200).json;
    for field in ["queued", "position", "queueSize", "estimatedWait", "currentUsers", "threshold", "status"] {
        assert_eq!(seen[field], waiting[field], "{field}: {seen}");
    }
    let stranger = status(&house.app.as_user(), event).await;
    assert_eq!((&stranger["status"], &stranger["queued"]), (&json!("not_in_queue"), &json!(false)));
    assert!(stranger.get("queueTicket").is_none());

    let kept = lee.post(&path("heartbeat", event), json!({})).await.assert_status(200).json;
    assert_eq!(kept, json!({"status": "queued", "queued": true}));
    let gone = leave(&lee, event).await.assert_status(200).json;
    assert_eq!(gone, json!({"message": "대기열에서 나왔습니다."}));
    leave(&lee, event).await.assert_status(200);
    assert_eq!(status(&lee, event).await["status"], "not_in_queue");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_person_on_three_devices_has_one_place() {
    let house = House::open().await;
    let replica = house.replica();
    let event = waited_for(&house, "auto", 1).await;
    check(&house.app.as_user(), event).await.assert_status(200);
    let kim = somebody(&house);
    let devices = [house.app.as_principal(kim), replica.as_principal(kim), replica.as_principal(kim)];
    let answers = join_all((0..99).map(|n| check(&devices[n % 3], event))).await;
    for answer in answers {
        let answer = answer.assert_status(200).json;
        assert_eq!((&answer["position"], &answer["queueSize"]), (&json!(1), &json!(1)));
    }
    leave(&devices[1], event).await.assert_status(200);
    testkit::eventually(SECOND, || async { status(&devices[0], event).await["status"] == "not_in_queue" }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leavers_place_is_the_next_ones_within_a_second_and_only_they_are_told() {
    let house = House::open().await;
    let replica = house.replica();
    let event = waited_for(&house, "auto", 1).await;
    let (kim, lee, park) = (house.app.as_user(), replica.as_user(), replica.as_user());
    for person in [&kim, &lee, &park] {
        check(person, event).await.assert_status(200);
    }
    leave(&kim, event).await.assert_status(200);
    comes_in(&lee, event, SECOND).await;
    testkit::eventually(SECOND, || async { status(&park, event).await["position"] == 1 }).await;
    let told = notices(&house.stage.redis()).await;
    let admitted: Vec<_> = told.iter().filter(|notice| matches!(notice, Notice::Admitted { .. })).collect();
    assert_eq!(admitted, [&Notice::Admitted { event_id: event, user_id: lee.user_id }]);
    let redis = house.stage.redis();
    testkit::eventually(SECOND, || async {
        notices(&redis).await.contains(&Notice::Queue {
            event_id: event,
            queue_size: 1,
            current_users: 1,
            threshold: 1,
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_silent_for_too_long_loses_the_place_and_who_is_heard_of_does_not() {
    // Whom a tick finds between Kim's end and Lee's own is called, and has no longer than that to notice it.
    let short = Duration::from_secs(2);
    let house = House::with(|config| (config.queue.queue_ttl, config.queue.queue_claim_ttl) = (short, short)).await;
    let event = waited_for(&house, "auto", 1).await;
    let (kim, lee, park) = (house.app.as_user(), house.app.as_user(), house.app.as_user());
    for person in [&kim, &lee, &park] {
        check(person, event).await.assert_status(200);
    }
    // Kim inside and Lee in line say nothing; Park asks now and then.
    testkit::eventually(SOON, || async { check(&park, event).await.json["status"] == "active" }).await;
    // A replica may tell a place from memory until the next tick has told it better.
    for gone in [&kim, &lee] {
        testkit::eventually(SOON, || async { status(gone, event).await["status"] == "not_in_queue" }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_notice_gives_way_and_may_come_back_once() {
    let house = House::with(|config| config.queue.queue_claim_ttl = Duration::from_secs(2)).await;
    let event = waited_for(&house, "auto", 1).await;
    let (kim, lee, park) = (house.app.as_user(), house.app.as_user(), house.app.as_user());
    for person in [&kim, &lee, &park] {
        check(person, event).await.assert_status(200);
    }
    leave(&kim, event).await.assert_status(200);
    let redis = house.stage.redis();
    let inside = async |person: &testkit::TestClient| {
        let inside: Vec<String> = redis
            .run(
                deadpool_redis::redis::cmd("ZRANGE").arg(redis.key(format!("queue:{{{event}}}:active"))).arg(0).arg(-1),
            )
            .await
            .unwrap();
        inside == [person.user_id.to_string()]
    };
    testkit::eventually(SOON, || inside(&park)).await;
    comes_in(&park, event, SOON).await;
    let (choi, jung) = (house.app.as_user(), house.app.as_user());
    for person in [&choi, &jung] {
        check(person, event).await.assert_status(200);
    }
    // With the old number, before those who came meanwhile.
    let back = check(&lee, event).await.assert_status(200).json;
    assert_eq!(back["position"], 1, "{back}");
    leave(&park, event).await.assert_status(200);
    comes_in(&choi, event, SOON).await;
    // Whose turn passes again is a newcomer.
    let back = check(&lee, event).await.assert_status(200).json;
    assert_eq!(back["position"], 2, "{back}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_steps_back_is_behind_as_many_and_before_whoever_joins_later() {
    let house = House::open().await;
    let event = waited_for(&house, "auto", 1).await;
    let people: Vec<_> = (0..6).map(|_| house.app.as_user()).collect();
    for person in &people {
        check(person, event).await.assert_status(200);
    }
    let back = people[1].post(&path("defer", event), json!({"places": 2})).await.assert_status(200).json;
    assert_eq!(back["position"], 3);
    for (person, position) in [(&people[2], 1), (&people[3], 2), (&people[1], 3), (&people[4], 4)] {
        assert_eq!(check(person, event).await.json["position"], position);
    }
    let last = people[2].post(&path("defer", event), json!({"places": 9_999})).await.assert_status(200).json;
    assert_eq!(last["position"], 5);
    let newcomer = check(&house.app.as_user(), event).await.assert_status(200).json;
    assert_eq!(newcomer["position"], 6);
    let same = people[5].post(&path("defer", event), json!({"places": 1})).await.assert_status(200).json;
    assert_eq!(same["position"], 5);

    people[0].post(&path("defer", event), json!({"places": 1})).await.assert_problem(409, "not_waiting");
    people[1].post(&path("defer", event), json!({"places": 0})).await.assert_problem(422, "invalid");
    people[1].post(&path("defer", event), json!({"places": 1.5})).await.assert_problem(400, "malformed");
    people[1].post(&path("defer", event), json!({})).await.assert_problem(400, "malformed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_there_or_over_cannot_be_waited_for() {
    let house = House::open().await;
    let kim = house.app.as_user();
    let unknown = domain::ids::EventId(Uuid::from_u128(7));
    for step in ["check", "heartbeat", "leave"] {
        kim.post(&path(step, unknown), json!({})).await.assert_problem(404, "event_not_found");
        house.app.anonymous().post(&path(step, unknown), json!({})).await.assert_problem(401, "unauthenticated");
    }
    kim.get(&path("status", unknown)).await.assert_problem(404, "event_not_found");
    kim.get(&path("audit", unknown)).await.assert_problem(404, "event_not_found");
    kim.get("/api/v1/queue/status/seven").await.assert_problem(404, "not_found");

    let over = house.event("지난 공연", ["-2 days", "-1 day", "1 day"]).await;
    check(&kim, over).await.assert_problem(409, "sale_closed");
    kim.get(&path("status", over)).await.assert_problem(409, "sale_closed");
    let cancelled = house.event("취소된 공연", ON_SALE).await;
    house.sql(&format!("UPDATE events SET cancelled_at = now() WHERE id = '{cancelled}'")).await;
    check(&kim, cancelled).await.assert_problem(409, "sale_closed");
    assert_eq!(house.number("SELECT count(*) AS number FROM waiting_rooms").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_cancelled_sends_everybody_away() {
    let house = House::open().await;
    let event = waited_for(&house, "auto", 1).await;
    for _ in 0..3 {
        check(&house.app.as_user(), event).await.assert_status(200);
    }
    house.sql(&format!("UPDATE events SET cancelled_at = now() WHERE id = '{event}'")).await;
    let redis = house.stage.redis();
    testkit::eventually(SOON, || async { notices(&redis).await.contains(&Notice::QueueCleared { event_id: event }) })
        .await;
    assert_eq!(ask::<i64>(&redis, "ZCARD", event, "queue").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_comes_in_before_the_sale_and_the_first_come_first_then() {
    let house = House::open().await;
    let event = house.event("곧 시작", ["6 seconds", "1 day", "2 days"]).await;
    let (kim, lee) = (house.app.as_user(), house.app.as_user());
    let early = check(&kim, event).await.assert_status(200).json;
    assert_eq!((&early["position"], &early["estimate"]["reason"]), (&json!(1), &json!("not_open_yet")));
    assert!(early["estimatedWait"].as_i64().unwrap() >= 1 && early["estimate"]["message"].is_string());
    assert_eq!(check(&lee, event).await.json["position"], 2);
    comes_in(&kim, event, 2 * SOON).await;
    comes_in(&lee, event, SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_lets_nobody_in_and_its_end_does_at_once() {
    let house = House::open().await;
    let event = waited_for(&house, "auto", 10).await;
    let boss = organizer(&house.app, event);
    run(&boss, event, json!({"paused": true})).await.assert_status(200);
    let kim = house.app.as_user();
    let waiting = check(&kim, event).await.assert_status(200).json;
    assert_eq!((&waiting["queued"], &waiting["estimate"]["reason"]), (&json!(true), &json!("paused")));
    assert!(waiting["estimate"].get("high").is_none());
    run(&boss, event, json!({"paused": false})).await.assert_status(200);
    assert_eq!(ask::<i64>(&house.stage.redis(), "ZCARD", event, "active").await, 1);
    comes_in(&kim, event, SECOND).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_come_in_within_a_second_than_the_rate_allows() {
    let house = House::open().await;
    let replica = house.replica();
    let event = waited_for(&house, "on", 100).await;
    house.sql("UPDATE waiting_rooms SET rate_per_second = 10").await;
    let people: Vec<_> = (0..40).map(|n| if n % 2 == 0 { house.app.as_user() } else { replica.as_user() }).collect();
    let started = std::time::Instant::now();
    join_all(people.iter().map(|person| check(person, event))).await;
    let redis = house.stage.redis();
    testkit::eventually(SOON, || async {
        let inside: i64 = ask(&redis, "ZCARD", event, "active").await;
        // Half a second may have been saved up before the first came.
        let earned = 10.0 * (started.elapsed().as_secs_f64() + 0.5) + 1.0;
        #[expect(clippy::cast_precision_loss, reason = "a few people")]
        let inside_so_far = inside as f64;
        assert!(inside_so_far <= earned, "{inside} > {earned}");
        inside >= 25
    })
    .await;
    // Five saved up and ten a second: twenty-five take about two seconds.
    assert!(started.elapsed() > Duration::from_secs(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_will_hardly_get_anything_is_told_so() {
    let house = House::open().await;
    let event = waited_for(&house, "auto", 1).await;
    house.ticket_type(event, "R석", 10_000, 3).await;
    for _ in 0..40 {
        check(&house.app.as_user(), event).await.assert_status(200);
    }
    let last = house.app.as_user();
    check(&last, event).await.assert_status(200);
    testkit::eventually(SOON, || async { status(&last, event).await["chance"]["percent"].is_u64() }).await;
    let seen = last.get_with(&path("status", event), &[("accept-language", "en")]).await.assert_status(200).json;
    assert_eq!(seen["chance"]["percent"], 0, "{seen}");
    assert!(seen["chance"]["message"].as_str().unwrap().contains("about 0 %"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_is_run_by_its_organizer_or_an_admin() {
    let house = House::open().await;
    let event = waited_for(&house, "auto", 1).await;
    let people: Vec<_> = (0..4).map(|_| house.app.as_user()).collect();
    for person in &people {
        check(person, event).await.assert_status(200);
    }
    let boss = organizer(&house.app, event);
    let seen = boss.get(&path("admin", event)).await.assert_status(200).json;
    for (field, value) in [("queueSize", 3), ("currentUsers", 1), ("threshold", 1), ("available", 0)] {
        assert_eq!(seen[field], value, "{field}: {seen}");
    }
    assert_eq!((&seen["eventId"], &seen["mode"], &seen["paused"]), (&json!(event), &json!("auto"), &json!(false)));

    let raised = run(&house.app.as_role(Role::Admin), event, json!({"threshold": 3})).await.assert_status(200).json;
    assert_eq!((&raised["currentUsers"], &raised["queueSize"]), (&json!(3), &json!(1)));
    let change = json!({"mode": "on", "rate_per_second": 5, "opens_at": "2026-01-01T00:00:00Z"});
    let changed = run(&boss, event, change).await.assert_status(200).json;
    assert_eq!((&changed["threshold"], &changed["rate_per_second"]), (&json!(3), &json!(5)));
    assert_eq!(changed["opens_at"], "2026-01-01T00:00:00.000Z");
    let freed = run(&boss, event, json!({"rate_per_second": null, "opens_at": null})).await.assert_status(200).json;
    assert_eq!((&freed["rate_per_second"], &freed["opens_at"]), (&json!(null), &json!(null)));

    for bad in [json!({"threshold": 0}), json!({"threshold": 1_000_001}), json!({"rate_per_second": 0})] {
        run(&boss, event, bad).await.assert_problem(422, "invalid");
    }
    for bad in [json!({"mode": "lottery"}), json!({"treshold": 1}), json!({"threshold": "many"})] {
        run(&boss, event, bad).await.assert_problem(400, "malformed");
    }
    for (caller, status, code) in
        [(house.app.as_user(), 403, "forbidden"), (house.app.as_role(Role::Organizer), 404, "event_not_found")]
    {
        caller.get(&path("admin", event)).await.assert_problem(status, code);
        run(&caller, event, json!({"threshold": 9})).await.assert_problem(status, code);
        caller.post(&path("admin/clear", event), json!({})).await.assert_problem(status, code);
    }

    let cleared = boss.post(&path("admin/clear", event), json!({})).await.assert_status(200).json;
    assert_eq!(cleared, json!({"message": "대기열을 비웠습니다.", "cleared": 4}));
    for person in &people {
        assert_eq!(status(person, event).await["status"], "not_in_queue");
    }
    // Whoever tells Redis first tells everybody, which may be a report of this replica.
    let redis = house.stage.redis();
    testkit::eventually(SOON, || async { notices(&redis).await.contains(&Notice::QueueCleared { event_id: event }) })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_many_were_sent_away_is_told_also_when_a_report_told_the_line_before() {
    let house = House::open().await;
    let event = waited_for(&house, "auto", 1).await;
    for _ in 0..4 {
        check(&house.app.as_user(), event).await.assert_status(200);
    }
    let boss = organizer(&house.app, event);
    for _ in 0..2 {
        let cleared = boss.post(&path("admin/clear", event), json!({})).await.assert_status(200).json;
        assert_eq!(cleared["cleared"], 4);
        // As if Redis had heard of the next line before whoever begins it could tell.
        house.sql(&format!("UPDATE waiting_rooms SET generation = generation - 1 WHERE event_id = '{event}'")).await;
    }
}
