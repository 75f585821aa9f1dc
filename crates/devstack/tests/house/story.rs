//! One true story through every room.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;

use crate::{
    person::{PASSWORD, PICTURE, Person},
    stack::{SEVERAL_OF_EACH, Stack, text},
};

/// What nobody but its writer may ever read in a log.
const SAID: &str = "canary-said 요즘 기분이 별로야";
const WRITTEN: &str = "canary-written 오늘 마루에서 본 하늘";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_touches_every_room_through_the_gateway() {
    let stack = Stack::up(SEVERAL_OF_EACH);
    let [gateway, other] = stack.gateways()[..] else { panic!("two gateways") };
    the_house_names_its_doors(&stack);
    the_house_describes_itself(gateway).await;
    the_house_describes_itself(other).await;

    let kim = Person::register(gateway, "kim@example.com").await;
    let elsewhere = kim.at(other);
    elsewhere.get("/user/me").await.ok(200);
    time_a_talk(&kim, &elsewhere).await;
    hold_a_seat(&kim, &Person::register(other, "lee@example.com").await).await;
    talk_a_hard_day_through(&kim).await;
    keep_a_memo(&elsewhere).await;
    leave(&kim, &elsewhere).await;
    demo_people_are_there(&stack).await;
    tokens_for_load_drivers_are_good(&stack).await;

    let logs = stack.logs();
    assert!(logs.contains("serving"), "the logs are being read");
    let tokens = [kim.token.as_deref().unwrap(), PASSWORD, "canary-said", "canary-written", "요즘 기분이", "본 하늘"];
    for secret in tokens {
        assert!(!logs.contains(secret), "a log holds {secret:?}");
    }
    assert!(!logs.contains("eyJ"), "a log holds the beginning of a token");
}

fn the_house_names_its_doors(stack: &Stack) {
    let shown = text(&stack.dev(&["status"]));
    for (url, name) in stack.gateways().into_iter().zip(["gateway", "gateway.2"]) {
        assert!(shown.contains(url), "{shown}");
        assert_eq!(stack.status["ready"][name], true, "{}", stack.status);
    }
    assert_eq!(stack.gateways()[0], stack.gateway());
}

async fn the_house_describes_itself(gateway: &str) {
    let stranger = Person::stranger(gateway);
    let health = stranger.get("/health").await.ok(200);
    assert_eq!(health.json["status"], "ok", "{}", health.json);
    for service in ["auth", "session", "ticketing", "emotion", "memo"] {
        assert_eq!(health.json["services"][service]["status"], "ok", "{}", health.json);
    }
    let api = stranger.get("/openapi.json").await.ok(200);
    for path in ["/register", "/api/v1/sessions", "/api/v1/seats/reserve", "/emotion/sessions", "/memo"] {
        assert!(!api.json["paths"][path].is_null(), "{path} is not described");
    }
    let page = stranger.get("/").await.ok(200);
    assert!(String::from_utf8_lossy(&page.body).contains("/docs"));
    stranger.get("/docs/").await.ok(200);
    stranger.get("/user/me").await.problem(401, "unauthenticated");
    stranger.get("/nowhere").await.problem(404, "not_found");
    stranger.get("/internal/revocations").await.problem(404, "not_found");
}

async fn time_a_talk(kim: &Person, elsewhere: &Person) {
    let session = kim.post("/api/v1/sessions", json!({ "title": "마루 발표", "type": "presentation" })).await.ok(201);
    let id = session.text("/id");
    assert_eq!(session.text("/session_code").len(), 6);
    assert_eq!(kim.get(&format!("/api/v1/sessions/{id}")).await.ok(200).json["title"], "마루 발표");
    kim.post(&format!("/api/v1/sessions/{id}/timer/setup"), json!({ "duration_minutes": 10 })).await.ok(200);
    let timer = kim.post(&format!("/api/v1/sessions/{id}/timer/start"), json!({})).await.ok(200);
    assert_eq!((timer.json["status"].as_str(), timer.json["duration_seconds"].as_i64()), (Some("running"), Some(600)));
    // Whichever replica is asked, and at whichever gateway, it is the same clock that runs.
    let mut last = -1;
    for door in [kim, elsewhere].repeat(3) {
        let timer = door.get(&format!("/api/v1/sessions/{id}/timer")).await.ok(200);
        let elapsed = timer.json["elapsed_ms"].as_i64().unwrap();
        assert!(elapsed >= last, "{}", timer.json);
        last = elapsed;
    }
}

async fn hold_a_seat(kim: &Person, lee: &Person) {
    let events = Person::get(kim, "/api/v1/events?status=on_sale").await.ok(200);
    let seated = async |event: &Value| {
        let id = event["id"].as_str().unwrap().to_owned();
        let seats = kim.get(&format!("/api/v1/seats/events/{id}")).await;
        (seats.status == 200).then(|| (id, seats.json["seats"][0]["id"].clone()))
    };
    let mut found = None;
    for event in events.json["events"].as_array().unwrap() {
        found = seated(event).await;
        if found.is_some() {
            break;
        }
    }
    let (event, seat) = found.expect("a demo event with seats is on sale");
    let wish = json!({ "eventId": event, "seatIds": [seat] });
    let held = kim.post("/api/v1/seats/reserve", wish.clone()).await.ok(201);
    assert_eq!(held.text("/message"), "좌석이 선택되었습니다.");
    lee.post("/api/v1/seats/reserve", wish).await.problem(409, "seat_taken");
    // Tiketi's clients know the path without its version.
    let id = held.text("/reservation/id");
    kim.get(&format!("/api/seats/reservation/{id}")).await.ok(200);
    lee.get(&format!("/api/seats/reservation/{id}")).await.problem(404, "reservation_not_found");
}

async fn talk_a_hard_day_through(kim: &Person) {
    let mut socket = kim.socket(&format!("/ws/emotion?user_id={}", kim.id)).await;
    let opened = socket.next_json().await;
    let conversation = opened["session_id"].as_str().unwrap().to_owned();
    socket.send_json(&json!({ "user_input": SAID })).await;
    let (mut reply, mut pieces) = (String::new(), 0);
    let done = loop {
        let frame = socket.next_json().await;
        if let Some(token) = frame["token"].as_str() {
            reply.push_str(token);
            pieces += 1;
        } else {
            break frame;
        }
    };
    assert_eq!(done["done"], true, "{done}");
    assert!(pieces > 3, "a reply comes in pieces, this one came in {pieces}");
    let steps = kim.get(&format!("/emotion/steps/{conversation}")).await.ok(200);
    assert_eq!(steps.json[0]["gpt_response"], reply.as_str());
    assert_eq!(steps.json[0]["step_id"], done["step_id"]);
}

async fn keep_a_memo(kim: &Person) {
    let memo = kim.post("/memo", json!({ "content": WRITTEN, "tags": ["하늘"] })).await.ok(201);
    let id = memo.text("/id");
    let wish = json!({ "filename": "하늘.png", "content_type": "image/png", "size": PICTURE.len() });
    let slot = kim.post(&format!("/memo/{id}/attachments"), wish).await.ok(201);
    let attachment = slot.text("/attachment_id");
    kim.post(&format!("/memo/{id}/attachments/{attachment}/complete"), json!({})).await.problem(409, "not_uploaded");
    kim.upload(&slot, PICTURE).await;
    kim.post(&format!("/memo/{id}/attachments/{attachment}/complete"), json!({})).await.ok(200);

    let memo = kim.get(&format!("/memo/{id}")).await.ok(200);
    assert_eq!(memo.text("/content"), WRITTEN);
    assert_eq!(kim.download(&memo.text("/attachments/0/url")).await, PICTURE);
}

/// Leaves at one gateway, and is gone at the other as well.
async fn leave(kim: &Person, elsewhere: &Person) {
    let path = format!("/ws/emotion?user_id={}", kim.id);
    let (socket, socket_elsewhere) = (kim.socket(&path).await, elsewhere.socket(&path).await);
    kim.post("/auth/logout", json!({})).await.ok(200);
    let left = tokio::time::Instant::now();
    for path in ["/user/me", "/api/v1/sessions", "/memo/list?tz=Asia/Seoul&start_date=2026-01-01&end_date=2026-12-31"] {
        for door in [kim, elsewhere] {
            eventually(Duration::from_secs(10), || async { door.get(path).await.status == 401 }).await;
        }
    }
    socket.closed().await;
    socket_elsewhere.closed().await;
    assert!(left.elapsed() < Duration::from_secs(30), "an open socket of the login outlived it");
}

async fn demo_people_are_there(stack: &Stack) {
    for (login, gateway) in
        stack.status["demo_logins"].as_array().unwrap().iter().zip(stack.gateways().into_iter().cycle())
    {
        let (email, password) = (login["email"].as_str().unwrap(), login["password"].as_str().unwrap());
        let person = Person::login(gateway, email, password).await;
        assert_eq!(person.get("/user/me").await.ok(200).json["role"], login["role"]);
    }
}

async fn tokens_for_load_drivers_are_good(stack: &Stack) {
    let printed = stack.dev(&["tokens", "--count", "3"]);
    assert!(printed.status.success(), "{}", text(&printed));
    let lines = String::from_utf8(printed.stdout).unwrap();
    assert_eq!(lines.lines().count(), 3);
    for line in lines.lines() {
        let (id, token) = line.split_once('\t').unwrap();
        let mut person = Person::stranger(stack.gateway());
        person.token = Some(token.to_owned());
        assert_eq!(person.get("/user/me").await.ok(200).json["user_id"], id);
    }
}
