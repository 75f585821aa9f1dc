//! A part of the house is killed; the rest goes on, and what was killed comes back.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::eventually;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    person::{PASSWORD, Person},
    stack::{RECOVERY, SEVERAL_OF_EACH, Stack},
};

/// Longest any request may take, whatever is broken.
const DEADLINE: Duration = Duration::from_secs(12);

async fn answers_in_time(person: &Person, path: &str) -> u16 {
    let asked = Instant::now();
    let answer = person.get(path).await;
    assert!(asked.elapsed() < DEADLINE, "{path} took {:?}", asked.elapsed());
    if matches!(answer.status, 503 | 504) {
        assert!(answer.headers.contains_key("retry-after"), "{path}: {}", answer.json);
        assert!(answer.json["code"].is_string(), "{path}: {}", answer.json);
    }
    answer.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_dies_and_comes_back() {
    let stack = Stack::up(SEVERAL_OF_EACH);
    let kim = Person::register(stack.gateway(), "kim@example.com").await;
    let memo = kim.post("/memo", json!({ "content": "kept" })).await.ok(201).text("/id");
    let session = kim.post("/api/v1/sessions", json!({ "title": "kept too" })).await.ok(201).text("/id");

    let [postgres] = stack.pids("postgres")[..] else { panic!("one PostgreSQL") };
    Stack::kill(postgres);
    // How many of these notice depends on how fast it comes back; none may hang, and none may be a 500.
    for path in ["/user/me", "/memo/list?tz=UTC&start_date=2026-01-01&end_date=2026-12-31", "/api/v1/events"] {
        let status = answers_in_time(&kim, path).await;
        assert!(matches!(status, 200 | 503 | 504), "{path}: {status}");
    }
    // No service was restarted for it: each heals by itself.
    let before = stack.pids("memo");
    eventually(RECOVERY, || async { kim.get(&format!("/memo/{memo}")).await.status == 200 }).await;
    eventually(RECOVERY, || stack.is_well()).await;
    kim.get(&format!("/api/v1/sessions/{session}")).await.ok(200);
    kim.get("/user/me").await.ok(200);
    assert_eq!(stack.pids("memo"), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_dies_empty_and_nobody_is_logged_out() {
    let stack = Stack::up(SEVERAL_OF_EACH);
    let kim = Person::register(stack.gateway(), "kim@example.com").await;
    let lee = Person::register(stack.gateway(), "lee@example.com").await;
    lee.post("/auth/logout", json!({})).await.ok(200);
    eventually(Duration::from_secs(10), || async { lee.get("/user/me").await.status == 401 }).await;
    let park = kim.signed_out();
    let login = json!({ "email": "kim@example.com", "password": PASSWORD });
    let mut tokens = park.post("/login", login).await.ok(200);

    for server in stack.redis() {
        Stack::kill(server);
    }
    for path in ["/user/me", "/api/v1/events", "/api/v1/sessions"] {
        assert_eq!(answers_in_time(&kim, path).await, 200, "{path} does not need Redis");
    }
    // It keeps nothing on disk: what comes back is empty.
    eventually(RECOVERY, || stack.is_well()).await;
    kim.get("/user/me").await.ok(200);
    lee.get("/user/me").await.problem(401, "invalid_token");
    // Nor does it take a refresh token along, be it dead, back with nothing, or emptied while it runs.
    for _ in 0..2 {
        let refreshed =
            park.post("/auth/refresh", json!({ "refresh_token": tokens.text("/refresh_token") })).await.ok(200);
        for answer in [&tokens, &refreshed] {
            park.with_token(&answer.text("/access_token")).get("/user/me").await.ok(200);
        }
        tokens = refreshed;
        empty_redis(&stack).await;
    }
    lee.get("/user/me").await.problem(401, "invalid_token");
    // Notices travel again, to every gateway.
    kim.post("/auth/logout", json!({})).await.ok(200);
    for gateway in stack.gateways() {
        let kim = kim.at(gateway);
        eventually(Duration::from_secs(15), || async { kim.get("/api/v1/sessions").await.status == 401 }).await;
    }
}

/// Throws away all that Redis holds, as an operator does by mistake.
pub(crate) async fn empty_redis(stack: &Stack) {
    let url = stack.status["redis_url"].as_str().expect("an address");
    let (_, servers) = url.split_once("://").expect("an address");
    for addr in servers.trim_end_matches("/0").split(',') {
        let mut redis = TcpStream::connect(addr).await.expect("connect");
        redis.write_all(b"FLUSHALL\r\n").await.expect("a command");
        let mut answer = [0; 5];
        redis.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(&answer, b"+OK\r\n");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_dies_and_only_its_own_room_is_closed() {
    let stack = Stack::up("ticketing=2");
    let kim = Person::register(stack.gateway(), "kim@example.com").await;
    let path = "/memo/list?tz=UTC&start_date=2026-01-01&end_date=2026-12-31";
    kim.get(path).await.ok(200);

    // One of two: nobody notices.
    let [first, ..] = stack.pids("ticketing")[..] else { panic!("two of them") };
    Stack::kill(first);
    for _ in 0..20 {
        assert_eq!(answers_in_time(&kim, "/api/v1/events").await, 200);
    }
    // The only one: its room says 503, the others go on.
    let [only] = stack.pids("memo")[..] else { panic!("one of them") };
    Stack::kill(only);
    let status = answers_in_time(&kim, path).await;
    assert!(matches!(status, 200 | 503), "{status}");
    kim.get("/user/me").await.ok(200);
    kim.get("/api/v1/sessions").await.ok(200);
    eventually(RECOVERY, || async { kim.get(path).await.status == 200 }).await;
    eventually(RECOVERY, || async { stack.pids("ticketing").len() == 2 && !stack.pids("ticketing").contains(&first) })
        .await;
    let kim = Person::login(stack.gateway(), "kim@example.com", PASSWORD).await;
    kim.get("/user/me").await.ok(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_maru_dev_leaves_nothing_that_the_next_start_minds() {
    let stack = Stack::up("");
    let kim = Person::register(stack.gateway(), "kim@example.com").await;
    let memo = kim.post("/memo", json!({ "content": "survives" })).await.ok(201).text("/id");
    let [maru_dev] = stack.pids("maru_dev")[..] else { panic!("one maru-dev") };
    Stack::kill(maru_dev);
    stack.must(&["up", "--detach", "--skip-build"]);
    let gateway = stack.read_status()["gateway_url"].as_str().unwrap().to_owned();
    let kim = Person::login(&gateway, "kim@example.com", PASSWORD).await;
    assert_eq!(kim.get(&format!("/memo/{memo}")).await.ok(200).json["content"], "survives");
    assert!(stack.data().join("state.json").exists());
}
