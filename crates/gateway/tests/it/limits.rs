//! How often somebody may ask.

use actix_web::{HttpResponse, http::StatusCode};
use domain::principal::Service;
use reqwest::Method;

use crate::{
    Caller, Stage,
    caller::Answer,
    scripted::{problem, serve},
    stage::{Setting, redis},
};

async fn strict() -> Stage {
    Setting::default().strict().start().await
}

/// Asks at most `most` times until it is refused; returns how often it was not.
async fn until_refused(ask: impl AsyncFn() -> Answer, most: usize) -> (usize, Answer) {
    let mut passed = 0;
    loop {
        let answer = ask().await;
        if answer.status == 429 {
            return (passed, answer.assert_problem(429, "too_many_requests"));
        }
        passed += 1;
        assert!(passed < most, "{most} requests were not too many");
    }
}

fn from(caller: &Caller, address: &str) -> impl AsyncFn() -> Answer {
    let (caller, address) = (caller.clone(), address.to_owned());
    async move || Answer::of(caller.request(Method::GET, "/api/v1/events").header("x-forwarded-for", &address)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_say_how_often_one_may_ask_and_refusals_when_again() {
    let stage = strict().await;
    let (_, person) = stage.person();
    let answer = person.get("/memo/list").await.assert_status(200);
    assert_eq!(answer.header("ratelimit-policy"), "\"user\";q=100;w=2");
    assert_eq!(answer.header("ratelimit"), "\"user\";r=99;t=1");
    let (passed, refused) = until_refused(async || person.get("/memo/list").await, 1_000).await;
    assert!(passed >= 99, "{passed}");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.header("ratelimit"), "\"user\";r=0;t=2");
    assert!(refused.json["detail"].as_str().unwrap().contains("요청"));
    // Somebody else, at the same address, and nobody in particular have counts of their own.
    stage.person().1.get("/memo/list").await.assert_status(200);
    let anonymous = stage.anonymous().get("/api/v1/events").await.assert_status(200);
    assert_eq!(anonymous.header("ratelimit-policy"), "\"address\";q=60;w=3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_in_particular_is_counted_by_address_whatever_they_claim() {
    let stage = strict().await;
    let anonymous = stage.anonymous();
    let (passed, _) = until_refused(from(&anonymous, "192.0.2.1"), 1_000).await;
    assert!(passed >= 60, "{passed}");
    // One more is earned each 50 ms, so on a busy machine a few may pass; with a count of their own it would be 60.
    for claimed in ["192.0.2.2", "2001:db8::1"] {
        until_refused(from(&anonymous, claimed), 55).await;
    }
    for path in ["/health", "/docs", "/"] {
        until_refused(async || anonymous.get(path).await, 55).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_guesses_tokens_is_counted_by_address_too() {
    let stage = strict().await;
    let guesser = Caller { token: Some("guess".to_owned()), ..stage.anonymous() };
    let (passed, _) = until_refused(async || guesser.get("/memo/list").await, 1_000).await;
    assert!(passed >= 60, "{passed}");
    stage.person().1.get("/memo/list").await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_proxy_each_client_has_its_own_count_and_a_subscriber_of_ipv6_one() {
    let stage = Setting::default().strict().hops(1).start().await;
    let anonymous = stage.anonymous();
    until_refused(from(&anonymous, "6.6.6.6, 2001:db8:0:1::1"), 1_000).await;
    // A busy machine may earn a few meanwhile; a count of its own would be 60.
    until_refused(from(&anonymous, "2001:db8:0:1:ffff::2"), 55).await;
    assert_eq!(from(&anonymous, "2001:db8:0:2::1")().await.status, 200);
    assert_eq!(from(&anonymous, "6.6.6.6")().await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_count_logins_together() {
    let redis = redis();
    let here = Setting::default().strict().redis(redis.clone()).start().await;
    let there = Setting::default().strict().redis(redis).start().await;
    let mut statuses = Vec::new();
    for stage in [&here, &there].into_iter().cycle().take(12) {
        let answer = stage.anonymous().post("/login", "{}").await;
        assert_eq!(answer.header("ratelimit-policy"), "\"login\";q=10;w=60");
        statuses.push(answer.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 10, "{statuses:?}");
    let refused = there.anonymous().post("/api/v1/auth/login", "{}").await.assert_problem(429, "too_many_requests");
    let seconds: u32 = refused.header("retry-after").parse().unwrap();
    assert!((1..=6).contains(&seconds), "{seconds}");
    // Another class has a count of its own.
    here.anonymous().post("/auth/refresh", "{}").await.assert_status(200);
    let registered = here.anonymous().post("/register", "{}").await.assert_status(200);
    assert_eq!(registered.header("ratelimit"), "\"register\";r=4;t=1200");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_counts_people_and_not_addresses() {
    let stage = Setting::default().strict().redis(redis()).start().await;
    let (_, person) = stage.person();
    let (passed, _) = until_refused(async || person.post("/api/v1/seats/reserve", "{}").await, 1_000).await;
    assert!(passed >= 10, "{passed}");
    for path in ["/api/v1/reservations", "/api/queue/check/e1"] {
        // One more is earned each fifth of a second; with a count of its own it would be 10.
        until_refused(async || person.post(path, "{}").await, 9).await;
    }
    person.get("/api/v1/queue/status/e1").await.assert_status(200);
    stage.person().1.post("/api/v1/seats/reserve", "{}").await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_codes_run_out_and_right_ones_do_not() {
    let session = serve(|request, _| {
        let is_right = request.path().contains("RIGHT");
        if is_right { HttpResponse::Ok().finish() } else { problem(StatusCode::NOT_FOUND, "session_not_found") }
    });
    // Generous: even there no hundred wrong ones pass within a minute.
    let stage = Setting::default().with(Service::Session, &[session]).redis(redis()).start().await;
    let anonymous = stage.anonymous();
    for _ in 0..100 {
        anonymous.get("/api/v1/sessions/code/RIGHT1").await.assert_status(200);
        anonymous.post("/api/v1/sessions/code/RIGHT1/join", "{}").await.assert_status(200);
    }
    let (passed, refused) = until_refused(async || anonymous.get("/api/v1/sessions/code/WRONG1").await, 99).await;
    assert!(passed >= 50, "{passed}");
    assert!((1..=2).contains(&refused.header("retry-after").parse::<u32>().unwrap()));
    until_refused(async || anonymous.post("/api/v1/sessions/code/WRONG1/join", "{}").await, 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_guesses_is_no_way_around_the_count() {
    let session = serve(|_, _| problem(StatusCode::NOT_FOUND, "session_not_found"));
    let stage = Setting::default().strict().with(Service::Session, &[session]).redis(redis()).start().await;
    let anonymous = stage.anonymous();
    let guesses = (0..55).map(|_| anonymous.get("/api/v1/sessions/code/WRONG1"));
    let answers = futures_util::future::join_all(guesses).await;
    let told = answers.iter().filter(|answer| answer.status == 404).count();
    assert!((30..=31).contains(&told), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_developers_machine_hundreds_may_register_and_log_in() {
    let stage = Setting::default().redis(redis()).start().await;
    let anonymous = stage.anonymous();
    for _ in 0..300 {
        anonymous.post("/register", "{}").await.assert_status(200);
    }
    // Twelve hundred in a minute, and more are earned while a slow machine asks.
    until_refused(async || anonymous.post("/register", "{}").await, 5_000).await;
    anonymous.post("/login", "{}").await.assert_status(200);
}
