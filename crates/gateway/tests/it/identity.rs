//! Who is let in, and what services are told about them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use chassis::{clock::Clock, token::Caller as Verified};
use domain::{
    contract::{REVOCATIONS, Revocation},
    principal::{Principal, Role, Service},
};
use reqwest::Method;
use secrecy::SecretString;

use crate::{
    Caller, Stage,
    caller::Answer,
    stage::{OWN, PAGE, Setting, redis, token},
};

fn verified(stage: &Stage, answer: &Answer, service: Service) -> Verified {
    let received = answer.received("authorization");
    assert_eq!(received.len(), 1, "{received:?}");
    let token = received[0].strip_prefix("Bearer ").unwrap();
    stage.verifier.verify(token, service, Clock::system().now()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_get_a_token_of_ours_and_never_the_persons() {
    let stage = Stage::new().await;
    let (principal, person) = stage.person();
    let answer = person.get("/memo/list").await.assert_status(200);
    let expected = Verified { service: Service::Gateway, person: Some(principal), is_own: false };
    assert_eq!(verified(&stage, &answer, Service::Memo), expected);
    assert!(!answer.text.contains(person.token.as_deref().unwrap()));
    let answer = stage.anonymous().get("/api/v1/events").await.assert_status(200);
    assert_eq!(verified(&stage, &answer, Service::Ticketing).person, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_route_does_not_look_at_credentials() {
    let stage = Stage::new().await;
    let stranger = Caller { token: Some("nonsense".to_owned()), ..stage.anonymous() };
    let answer = stranger.post("/login", "{}").await.assert_status(200);
    assert_eq!(verified(&stage, &answer, Service::Auth).person, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_token_is_refused_even_where_none_is_needed() {
    let stage = Stage::new().await;
    let (principal, person) = stage.person();
    let good = person.token.clone().unwrap();
    let internal = person.get("/memo/list").await;
    let internal = internal.received("authorization")[0].strip_prefix("Bearer ").unwrap().to_owned();
    let expired = chassis::access::AccessTokens::new(&SecretString::from("0123456789abcdef0123456789abcdef"))
        .issue(principal, 0, Clock::system().now() - Duration::from_mins(10), Duration::from_mins(5))
        .unwrap();
    for bad in ["x".to_owned(), format!("{good}x"), good[..good.len() - 2].to_owned(), internal, expired] {
        let caller = Caller { token: Some(bad), ..stage.anonymous() };
        for path in ["/api/v1/events", "/memo/list"] {
            let answer = caller.get(path).await.assert_problem(401, "invalid_token");
            assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guests_token_goes_to_the_service_that_gave_it_out() {
    let stage = Stage::new().await;
    let guest = Caller { token: Some("guest-token".to_owned()), ..stage.anonymous() };
    let answer = Answer::of(guest.request(Method::DELETE, "/api/v1/sessions/s1/participants/p1")).await;
    let answer = answer.assert_status(200);
    assert_eq!(answer.received("x-participant-token"), ["guest-token"]);
    assert_eq!(verified(&stage, &answer, Service::Session).person, None);
    guest.get("/api/v1/sessions/s1").await.assert_problem(401, "invalid_token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_needs_a_known_page_to_change_anything() {
    let stage = Stage::new().await;
    let (principal, person) = stage.person();
    let cookie = format!("theme=dark; maru_at={}", person.token.clone().unwrap());
    let send = |method: Method, origin: Option<&'static str>| {
        let mut request = stage.anonymous().request(method, "/session/s1").header("cookie", &cookie);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        Answer::of(request)
    };
    let answer = send(Method::GET, None).await.assert_status(200);
    assert_eq!(verified(&stage, &answer, Service::Session).person, Some(principal));
    assert_eq!(answer.received("cookie"), Vec::<&str>::new());
    send(Method::PUT, Some(PAGE)).await.assert_status(200);
    send(Method::PUT, Some(OWN)).await.assert_status(200);
    for origin in [None, Some("null"), Some("https://app.example.com.evil"), Some("http://app.example.com")] {
        send(Method::PUT, origin).await.assert_problem(403, "origin_not_allowed");
        send(Method::DELETE, origin).await.assert_problem(403, "origin_not_allowed");
    }
    let both = person.request(Method::GET, "/session/s1").header("cookie", &cookie);
    Answer::of(both).await.assert_problem(400, "two_credentials");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_listed_headers_reach_a_service() {
    let stage = Stage::new().await;
    let (_, person) = stage.person();
    let forged = [
        "x-user-id",
        "x-role",
        "x-forwarded-for",
        "x-forwarded-host",
        "forwarded",
        "x-real-ip",
        "x-participant-token",
        "x-deadline-ms",
        "x-client-request-id",
        "x-client-ip",
        "cookie",
        "te",
        "x-http-method-override",
        "proxy-authorization",
        "x-anything",
        "origin",
        "expect-ct",
    ];
    let mut request = person.request(Method::POST, "/api/v1/sessions").body("{}");
    for name in forged {
        request = request.header(name, "forged");
    }
    let kept = [
        ("accept", "application/json"),
        ("accept-language", "en"),
        ("content-type", "application/json"),
        ("idempotency-key", "k1"),
        ("if-match", "\"1\""),
        ("if-none-match", "\"2\""),
        ("range", "bytes=0-1"),
        ("last-event-id", "7"),
    ];
    for (name, value) in kept {
        request = request.header(name, value);
    }
    let answer = Answer::of(request.header("user-agent", "u".repeat(300))).await.assert_status(200);
    assert!(!answer.json["headers"].to_string().contains("forged"), "{}", answer.text);
    for (name, value) in kept {
        assert_eq!(answer.received(name), [value], "{name}");
    }
    assert_eq!(answer.received("user-agent"), ["u".repeat(256)]);
    assert_eq!(answer.received("x-request-id"), [answer.header("x-request-id")]);
    assert_eq!(answer.received("x-client-ip"), ["127.0.0.1"]);
    let deadline: u64 = answer.received("x-deadline-ms")[0].parse().unwrap();
    assert!((1..=10_000).contains(&deadline), "{deadline}");
    let to_auth = stage.anonymous().request(Method::POST, "/login").header("cookie", "a=b").header("origin", PAGE);
    let answer = Answer::of(to_auth).await.assert_status(200);
    assert_eq!((answer.received("cookie"), answer.received("origin")), (vec!["a=b"], vec![PAGE]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_goes_on_with_a_span_of_our_own() {
    let stage = Stage::new().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = stage.anonymous().request(Method::GET, "/api/v1/events");
    let answer = Answer::of(request.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))).await;
    let received: Vec<&str> = answer.received("traceparent")[0].split('-').collect();
    assert_eq!((received[0], received[1], received[2].len(), received[3]), ("00", trace, 16, "01"));
    assert_ne!(received[2], "00f067aa0ba902b7");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_ended_is_refused_within_a_second() {
    let redis = redis();
    let stage = Setting::default().redis(redis.clone()).start().await;
    let (principal, person) = stage.person();
    let (_, other) = stage.person();
    person.get("/memo/list").await.assert_status(200);
    let expires_at = (Clock::system().now() + Duration::from_mins(5)).into();
    let notice = serde_json::to_string(&Revocation { login_id: principal.login_id, expires_at }).unwrap();
    let redis = chassis::redis::Redis::new(&redis).unwrap();
    testkit::eventually(Duration::from_secs(5), || async {
        // Repeated, because the gateway may not have subscribed yet.
        _ = redis.publish(REVOCATIONS, &notice).await;
        person.get("/memo/list").await.status == 401
    })
    .await;
    person.get("/api/v1/events").await.assert_problem(401, "invalid_token");
    other.get("/memo/list").await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_that_ended_before_the_start_are_known_from_it() {
    let clock = Clock::system();
    let principal = Principal { user_id: clock.id(), login_id: clock.id(), role: Role::User };
    let expires_at = (clock.now() + Duration::from_mins(5)).into();
    let revocation = Revocation { login_id: principal.login_id, expires_at };
    let auth = crate::scripted::serve(move |_, _| {
        actix_web::HttpResponse::Ok().json(serde_json::json!({ "revoked": [revocation] }))
    });
    let stage = Setting::default().with(Service::Auth, &[auth]).start().await;
    let person = Caller { token: Some(token(principal, Duration::from_mins(5))), ..stage.anonymous() };
    let ready = format!("http://{}/readyz", stage.admin);
    testkit::eventually(Duration::from_secs(5), || async {
        person.http.get(&ready).send().await.is_ok_and(|answer| answer.status().is_success())
    })
    .await;
    // Ready it is after two seconds in any case.
    testkit::eventually(Duration::from_secs(10), || async { person.get("/memo/list").await.status == 401 }).await;
    person.get("/memo/list").await.assert_problem(401, "invalid_token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_auth_service_is_asked_only_for_what_is_new() {
    let (asked, told) = (Arc::new(Mutex::new(Vec::new())), "2026-11-21T09:30:00.000Z");
    let log = asked.clone();
    let auth = crate::scripted::serve(move |request, _| {
        log.lock().unwrap().push(request.query_string().to_owned());
        actix_web::HttpResponse::Ok().json(serde_json::json!({ "revoked": [], "as_of": told }))
    });
    // A subscription that stands makes the gateway ask again at once.
    let _stage = Setting::default().with(Service::Auth, &[auth]).redis(redis()).start().await;
    testkit::eventually(Duration::from_secs(10), || async { asked.lock().unwrap().len() >= 2 }).await;
    let asked = asked.lock().unwrap();
    assert_eq!((asked[0].as_str(), asked[1].replace("%3A", ":")), ("", format!("since={told}")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_our_own_proxies_say_where_a_client_is() {
    let claims = [
        ("x-forwarded-for", "6.6.6.6, 192.0.2.7"),
        ("forwarded", "for=6.6.6.6"),
        ("x-real-ip", "6.6.6.6"),
        ("cf-connecting-ip", "6.6.6.6"),
        ("x-client-ip", "6.6.6.6"),
    ];
    for (hops, expected) in [(0, "127.0.0.1"), (1, "192.0.2.7"), (3, "127.0.0.1")] {
        let stage = Setting::default().hops(hops).start().await;
        let request = stage.anonymous().request(Method::POST, "/login").body("{}");
        let answer = Answer::of(claims.iter().fold(request, |request, (name, value)| request.header(*name, *value)));
        let answer = answer.await.assert_status(200);
        assert_eq!(answer.received("x-client-ip"), [expected], "{hops}");
        assert_eq!(answer.text.matches("6.6.6.6").count(), 0, "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_auth_service_alone_hears_what_the_gate_thinks_of_a_page_and_sees_cookies() {
    let stage = Stage::new().await;
    let (_, person) = stage.person();
    for (origin, verdict) in
        [(Some(PAGE), vec!["allowed"]), (Some("https://evil.example.com"), vec!["strange"]), (None, vec![])]
    {
        let ask = |method: Method, path: &'static str| {
            let request = person.request(method, path).header("cookie", "maru_rt=r1; theme=dark");
            let request = request.header("x-maru-origin", "allowed").body("{}");
            Answer::of(match origin {
                Some(origin) => request.header("origin", origin),
                None => request,
            })
        };
        let answer = ask(Method::POST, "/auth/refresh").await.assert_status(200);
        assert_eq!(answer.received("x-maru-origin"), verdict);
        assert_eq!(answer.received("cookie"), ["maru_rt=r1; theme=dark"]);
        let answer = ask(Method::POST, "/api/v1/sessions").await.assert_status(200);
        assert!(answer.received("x-maru-origin").is_empty() && answer.received("cookie").is_empty(), "{}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leaves_with_a_stale_cookie_gets_rid_of_it() {
    let stage = Stage::new().await;
    let leave = |path: &'static str, origin: &'static str| {
        let request = stage.anonymous().request(Method::POST, path).header("cookie", "maru_at=stale");
        Answer::of(request.header("origin", origin))
    };
    for path in ["/auth/logout", "/api/v1/auth/logout", "/api/auth/logout"] {
        let answer = leave(path, PAGE).await.assert_status(200);
        assert_eq!(verified(&stage, &answer, Service::Auth).person, None);
        assert_eq!(answer.received("cookie"), ["maru_at=stale"]);
        leave(path, "https://evil.example.com").await.assert_problem(403, "origin_not_allowed");
    }
    leave("/auth/verify-email", PAGE).await.assert_problem(401, "invalid_token");
}
