//! Writing memos and finding them again.

use chassis::clock::Clock;
use chrono::{DateTime, TimeDelta};
use domain::{
    demo,
    ids::UserId,
    principal::{Principal, Role, Service},
};
use memo::development::{self, Command};
use serde_json::{Value, json};
use testkit::Stage;

use crate::{config, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_memo_is_read_back_as_it_was_written() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let body = json!({
        "content": "  첫 줄\n둘째 줄 🍂", "tags": [" 가을 ", "산책", "가을"], "category": "하루",
        "metadata": { "mood": { "score": 4.5 } },
    });
    let made = kim.post("/memo/", body).await.assert_status(201);
    assert_eq!(made.text("/content"), "  첫 줄\n둘째 줄 🍂");
    assert_eq!(made.json["tags"], json!(["가을", "산책"]));
    assert_eq!(made.json["metadata"], json!({ "mood": { "score": 4.5 } }));
    assert_eq!((made.text("/category"), made.text("/user_id")), ("하루", kim.user_id.to_string().as_str()));
    assert_eq!((&made.json["is_archived"], &made.json["version"]), (&json!(false), &json!(1)));
    assert_eq!(made.json["attachments"], json!([]));
    assert_eq!(made.text("/created_at"), domain::time::rfc3339(stage.clock.now()));

    let read = kim.get(&format!("/memo/{}", made.text("/id"))).await.assert_status(200);
    assert_eq!(read.json, made.json);
    assert_eq!(read.header("cache-control"), "no-store");
    let longest = "가".repeat(100_000);
    kim.post("/memo", json!({ "content": longest })).await.assert_status(201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_twice_makes_one_memo() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    let (body, key) = (json!({ "content": "한 번만", "tags": ["a"] }), [("idempotency-key", "k1")]);
    let first = kim.post_with("/memo", body.clone(), &key).await.assert_status(201);
    stage.clock.advance(std::time::Duration::from_mins(1));
    let second = kim.post_with("/memo", body.clone(), &key).await.assert_status(201);
    assert_eq!(first.json, second.json);
    kim.post_with("/memo", json!({ "content": "다른 글" }), &key).await.assert_problem(422, "idempotency_key_reused");
    // A key belongs to one person.
    let other = app.as_user().post_with("/memo", body.clone(), &key).await.assert_status(201);
    assert_ne!(first.text("/id"), other.text("/id"));

    let key = [("idempotency-key", "k2")];
    let at_once = tokio::join!(
        kim.post_with("/memo", body.clone(), &key),
        kim.post_with("/memo", body.clone(), &key),
        kim.post_with("/memo", body.clone(), &key),
    );
    for answer in [at_once.0, at_once.1, at_once.2] {
        assert!(answer.status == 201 || answer.text("/code") == "idempotency_in_progress", "{}", answer.json);
    }
    let today = stage.clock.now().date_naive();
    let yesterday = today - TimeDelta::days(1);
    let list = kim.get(&format!("/memo/list?tz=UTC&start_date={yesterday}&end_date={today}")).await;
    assert_eq!(list.json.as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_invalid_field_is_named_at_once_in_the_language_asked_for() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    let bad = json!({ "content": " ", "tags": ["ok", "", "x".repeat(51)], "category": "\n", "metadata": [1] });
    let korean = kim.post("/memo", bad.clone()).await.assert_problem(422, "invalid");
    let pointers: Vec<_> =
        korean.json["errors"].as_array().unwrap().iter().map(|e| e["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/content", "/tags/1", "/tags/2", "/category", "/metadata"]);
    assert_eq!(korean.text("/errors/0/detail"), "메모는 1-100,000자여야 합니다.");
    assert_eq!(korean.text("/errors/0/code"), "length");
    let english = kim.post_with("/memo", bad, &[("accept-language", "en-US,en")]).await;
    assert_eq!(english.text("/errors/0/detail"), "A memo has 1-100,000 characters.");
    assert_eq!(english.header("content-language"), "en");

    let too_long = json!({ "content": "가".repeat(100_001) });
    assert_eq!(kim.post("/memo", too_long).await.assert_problem(422, "invalid").text("/errors/0/pointer"), "/content");
    kim.post("/memo", json!({ "content": "a\u{0}b" })).await.assert_problem(422, "invalid");
    let tags: Vec<_> = (0..51).map(|tag| tag.to_string()).collect();
    let too_many = kim.post("/memo", json!({ "content": "a", "tags": tags })).await.assert_problem(422, "invalid");
    assert_eq!(too_many.text("/errors/0/pointer"), "/tags");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_refused_as_such() {
    let (_stage, app) = start().await;
    let kim = app.as_user();
    kim.post("/memo", json!({ "content": 1 })).await.assert_problem(400, "malformed");
    kim.post("/memo", json!({ "tags": [] })).await.assert_problem(400, "malformed");
    kim.post("/memo", json!({ "content": "a", "user_id": kim.user_id })).await.assert_problem(400, "malformed");
    kim.post("/memo", json!({ "content": "a".repeat(2 << 20) })).await.assert_problem(413, "too_large");
    let form = kim
        .request(reqwest::Method::POST, "/memo")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("content=hello");
    kim.send(form).await.assert_problem(415, "unsupported_media_type");
    kim.delete("/memo").await.assert_problem(405, "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_is_listed_as_it_was_lived_also_when_the_clocks_change() {
    let mut stage = Stage::new(Service::Memo, memo::app::MIGRATIONS).await;
    // New York puts its clocks forward on 2026-03-08, from 02:00 to 03:00: its midnights are 05:00Z and then 04:00Z.
    let instants = [
        ("2026-03-08T04:59:59.999Z", "the day before"),
        ("2026-03-08T05:00:00Z", "first instant"),
        ("2026-03-08T16:00:00Z", "noon"),
        ("2026-03-09T03:59:59.999Z", "last instant"),
        ("2026-03-09T04:00:00Z", "the day after"),
    ];
    let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
    stage.clock = Clock::manual(at(instants[0].0));
    let app = stage.serve(memo::build(config(&stage), stage.clock.clone()).unwrap());
    let kim = app.as_user();
    for (instant, content) in instants {
        stage.clock.advance((at(instant) - stage.clock.now()).to_std().unwrap());
        kim.post("/memo", json!({ "content": content })).await.assert_status(201);
    }
    let list = async |tz: &str, start: &str, end: &str| {
        let path = format!("/memo/list?tz={tz}&start_date={start}&end_date={end}");
        let answer = kim.get(&path).await.assert_status(200);
        let contents = answer.json.as_array().unwrap().iter().map(|memo| memo["content"].as_str().unwrap().to_owned());
        contents.collect::<Vec<_>>()
    };
    let new_york = list("America/New_York", "2026-03-08", "2026-03-08").await;
    assert_eq!(new_york, ["last instant", "noon", "first instant"]);
    let days = list("America/New_York", "2026-03-07", "2026-03-09").await;
    assert_eq!(days, ["the day after", "last instant", "noon", "first instant", "the day before"]);
    let seoul = list("Asia/Seoul", "2026-03-08", "2026-03-08").await;
    assert_eq!(seoul, ["first instant", "the day before"]);
    assert_eq!(list("Asia/Seoul", "2026-03-11", "2026-03-11").await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_says_how_many_there_are_and_what_it_cannot_read() {
    let (stage, app) = start().await;
    let kim = app.as_user();
    for content in ["하나", "둘", "셋"] {
        kim.post("/memo", json!({ "content": content })).await.assert_status(201);
        stage.clock.advance(std::time::Duration::from_millis(1));
    }
    let today = stage.clock.now().date_naive();
    let days = format!("tz=UTC&start_date={today}&end_date={today}");
    let answer = kim.get(&format!("/memo/list?{days}&limit=2")).await.assert_status(200);
    assert_eq!(answer.header("x-total-count"), "3");
    let contents: Vec<_> = answer.json.as_array().unwrap().iter().map(|memo| memo["content"].clone()).collect();
    assert_eq!(contents, ["셋", "둘"]);

    let pointers = async |query: &str| {
        let answer = kim.get(&format!("/memo/list?{query}")).await.assert_problem(422, "invalid");
        let errors = answer.json["errors"].as_array().unwrap().iter();
        errors.map(|error| error["pointer"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(pointers("").await, ["?tz", "?start_date", "?end_date"]);
    assert_eq!(pointers("tz=Seoul&start_date=2026-02-30&end_date=2026-03-01").await, ["?tz", "?start_date"]);
    assert_eq!(pointers("tz=UTC&start_date=2026-03-02&end_date=2026-03-01").await, ["?end_date"]);
    assert_eq!(pointers("tz=UTC&start_date=2024-03-02&end_date=2026-03-01").await, ["?end_date"]);
    assert_eq!(pointers(&format!("{days}&limit=0")).await, ["?limit"]);
    assert_eq!(pointers(&format!("{days}&limit=501")).await, ["?limit"]);
    kim.get(&format!("/memo/list?{days}&limit=x")).await.assert_problem(400, "malformed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_memos_are_written_once() {
    let (stage, app) = start().await;
    for _ in 0..2 {
        let process = memo::app::App::new(config(&stage), stage.clock.clone()).unwrap();
        development::run(process, Command::Seed).await.unwrap();
    }
    let demo = Principal { user_id: UserId(demo::USER.id), login_id: stage.clock.id(), role: Role::User };
    let (today, yesterday) = (stage.clock.now().date_naive(), stage.clock.now().date_naive() - TimeDelta::days(1));
    let path = format!("/memo/list?tz=UTC&start_date={yesterday}&end_date={today}");
    let list = app.as_principal(demo).get(&path).await.assert_status(200);
    assert_eq!(list.json.as_array().unwrap().len(), 2);
    assert!(list.json.as_array().unwrap().iter().all(|memo| memo["tags"] != Value::Array(Vec::new())));

    let mut production = config(&stage);
    production.base.common.environment = chassis::config::Environment::Production;
    let process = memo::app::App::new(production, stage.clock.clone()).unwrap();
    assert!(development::run(process, Command::Seed).await.is_err());
}
