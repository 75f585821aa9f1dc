//! Every path of the contract reaches its service, and nothing else does.

use reqwest::Method;

use crate::{Stage, caller::Answer};

/// Method, path, service, and who may come in: everybody, or people only.
const CONTRACT: &[(&str, &str, &str, bool)] = &[
    ("POST", "/register", "auth", true),
    ("POST", "/login", "auth", true),
    ("POST", "/change-password", "auth", false),
    ("POST", "/auth/refresh", "auth", true),
    ("POST", "/auth/logout", "auth", true),
    ("POST", "/auth/google/callback", "auth", true),
    ("GET", "/auth/google/login", "auth", true),
    ("GET", "/user/me", "auth", false),
    ("PATCH", "/user/me", "auth", false),
    ("DELETE", "/user/me", "auth", false),
    ("GET", "/auth/me", "auth", false),
    ("GET", "/auth/erasures/r1", "auth", true),
    ("GET", "/user/me/export", "auth", false),
    ("GET", "/auth/sessions", "auth", false),
    ("DELETE", "/auth/sessions", "auth", false),
    ("DELETE", "/auth/sessions/s1", "auth", false),
    ("POST", "/auth/verify-email", "auth", true),
    ("POST", "/auth/password-reset", "auth", true),
    ("POST", "/auth/password-reset/confirm", "auth", true),
    ("POST", "/auth/ws-ticket", "auth", false),
    ("GET", "/.well-known/jwks.json", "auth", true),
    ("POST", "/api/v1/auth/register", "auth", true),
    ("POST", "/api/v1/auth/login", "auth", true),
    ("POST", "/api/v1/auth/logout", "auth", true),
    ("POST", "/api/v1/auth/refresh", "auth", true),
    ("GET", "/api/v1/auth/me", "auth", false),
    ("POST", "/api/auth/register", "auth", true),
    ("POST", "/api/auth/login", "auth", true),
    ("POST", "/api/auth/logout", "auth", true),
    ("POST", "/api/auth/refresh", "auth", true),
    ("GET", "/api/auth/me", "auth", false),
    ("POST", "/api/v1/sessions", "session", false),
    ("GET", "/api/v1/sessions", "session", false),
    ("GET", "/api/v1/sessions/s1", "session", false),
    ("PUT", "/api/v1/sessions/s1", "session", false),
    ("DELETE", "/api/v1/sessions/s1", "session", false),
    ("POST", "/api/v1/sessions/s1/activate", "session", false),
    ("POST", "/api/v1/sessions/s1/deactivate", "session", false),
    ("POST", "/api/v1/sessions/s1/end", "session", false),
    ("PUT", "/api/v1/sessions/s1/summary", "session", false),
    ("GET", "/api/v1/sessions/s1/qr.png", "session", false),
    ("GET", "/api/v1/sessions/s1/qr.svg", "session", false),
    ("GET", "/api/v1/sessions/code/AB12CD", "session", true),
    ("POST", "/api/v1/sessions/code/AB12CD/join", "session", true),
    ("GET", "/api/v1/sessions/s1/participants", "session", false),
    ("DELETE", "/api/v1/sessions/s1/participants/p1", "session", true),
    ("POST", "/api/v1/sessions/s1/stream-ticket", "session", true),
    ("POST", "/api/v1/sessions/s1/timer/setup", "session", false),
    ("POST", "/api/v1/sessions/s1/timer/start", "session", false),
    ("POST", "/api/v1/sessions/s1/timer/pause", "session", false),
    ("POST", "/api/v1/sessions/s1/timer/resume", "session", false),
    ("POST", "/api/v1/sessions/s1/timer/reset", "session", false),
    ("GET", "/api/v1/sessions/s1/timer", "session", false),
    ("GET", "/api/v1/sessions/s1/feedback/settings", "session", false),
    ("PUT", "/api/v1/sessions/s1/feedback/settings", "session", false),
    ("POST", "/api/v1/sessions/s1/feedback", "session", false),
    ("GET", "/api/v1/sessions/s1/feedback", "session", false),
    ("GET", "/api/v1/sessions/s1/stream", "session", true),
    ("GET", "/ws/sessions/s1", "session", true),
    ("POST", "/session", "session", false),
    ("GET", "/session/list", "session", false),
    ("GET", "/session/current", "session", false),
    ("GET", "/session/stats", "session", false),
    ("GET", "/session/s1", "session", false),
    ("PUT", "/session/s1", "session", false),
    ("DELETE", "/session/s1", "session", false),
    ("PUT", "/session/s1/status", "session", false),
    ("GET", "/api/v1/events", "ticketing", true),
    ("GET", "/api/v1/events/e1", "ticketing", true),
    ("GET", "/api/v1/tickets/event/e1", "ticketing", true),
    ("GET", "/api/v1/tickets/availability/t1", "ticketing", true),
    ("GET", "/api/v1/seats/layouts", "ticketing", true),
    ("GET", "/api/v1/seats/events/e1", "ticketing", true),
    ("POST", "/api/v1/seats/reserve", "ticketing", false),
    ("POST", "/api/v1/seats/best", "ticketing", false),
    ("GET", "/api/v1/seats/reservation/r1", "ticketing", false),
    ("POST", "/api/v1/reservations", "ticketing", false),
    ("GET", "/api/v1/reservations/my", "ticketing", false),
    ("GET", "/api/v1/reservations/waiting-list", "ticketing", false),
    ("POST", "/api/v1/reservations/waiting-list", "ticketing", false),
    ("DELETE", "/api/v1/reservations/waiting-list/t1", "ticketing", false),
    ("GET", "/api/v1/reservations/r1", "ticketing", false),
    ("POST", "/api/v1/reservations/r1/cancel", "ticketing", false),
    ("GET", "/api/v1/reservations/r1/tickets", "ticketing", false),
    ("POST", "/api/v1/queue/check/e1", "ticketing", false),
    ("GET", "/api/v1/queue/status/e1", "ticketing", false),
    ("POST", "/api/v1/queue/leave/e1", "ticketing", false),
    ("POST", "/api/v1/queue/heartbeat/e1", "ticketing", false),
    ("GET", "/api/v1/queue/admin/e1", "ticketing", false),
    ("PUT", "/api/v1/queue/admin/e1", "ticketing", false),
    ("POST", "/api/v1/queue/admin/clear/e1", "ticketing", false),
    ("GET", "/api/v1/payments/methods", "ticketing", true),
    ("POST", "/api/v1/payments/prepare", "ticketing", false),
    ("POST", "/api/v1/payments/confirm", "ticketing", false),
    ("POST", "/api/v1/payments/process", "ticketing", false),
    ("POST", "/api/v1/payments/webhooks/toss", "ticketing", true),
    ("POST", "/api/v1/admin/events", "ticketing", false),
    ("PUT", "/api/v1/admin/events/e1", "ticketing", false),
    ("DELETE", "/api/v1/admin/events/e1", "ticketing", false),
    ("POST", "/api/v1/admin/events/e1/cancel", "ticketing", false),
    ("POST", "/api/v1/admin/events/e1/tickets", "ticketing", false),
    ("PUT", "/api/v1/admin/tickets/t1", "ticketing", false),
    ("POST", "/api/v1/admin/layouts", "ticketing", false),
    ("GET", "/api/v1/admin/reservations", "ticketing", false),
    ("PATCH", "/api/v1/admin/reservations/r1/status", "ticketing", false),
    ("GET", "/api/v1/admin/dashboard/stats", "ticketing", false),
    ("POST", "/api/v1/admin/checkin", "ticketing", false),
    ("GET", "/socket.io/", "ticketing", true),
    ("POST", "/socket.io/", "ticketing", true),
    ("POST", "/emotion/sessions", "emotion", false),
    ("GET", "/emotion/sessions", "emotion", false),
    ("GET", "/emotion/sessions/s1", "emotion", false),
    ("DELETE", "/emotion/sessions/s1", "emotion", false),
    ("GET", "/emotion/sessions/user/u1", "emotion", false),
    ("POST", "/emotion/sessions/s1/end", "emotion", false),
    ("GET", "/emotion/sessions/s1/flow", "emotion", false),
    ("GET", "/emotion/sessions/s1/summary", "emotion", false),
    ("POST", "/emotion/sessions/s1/summary/memo", "emotion", false),
    ("POST", "/emotion/steps/generate", "emotion", false),
    ("GET", "/emotion/steps/s1", "emotion", false),
    ("POST", "/emotion/steps/s1/stop", "emotion", false),
    ("GET", "/emotion/safety/protocol", "emotion", true),
    ("GET", "/emotion/prompt", "emotion", false),
    ("PUT", "/emotion/prompt", "emotion", false),
    ("DELETE", "/emotion/prompt", "emotion", false),
    ("GET", "/ws/emotion", "emotion", true),
    ("POST", "/memo", "memo", false),
    ("GET", "/memo/list", "memo", false),
    ("GET", "/memo/m1", "memo", false),
    ("PUT", "/memo/m1", "memo", false),
    ("DELETE", "/memo/m1", "memo", false),
    ("POST", "/memo/m1/attachments", "memo", false),
    ("POST", "/memo/m1/attachments/a1/complete", "memo", false),
    ("GET", "/memo/m1/attachments/a1", "memo", false),
    ("GET", "/memo/daily", "memo", false),
    ("GET", "/memo/tags", "memo", false),
    ("POST", "/memo/m1/restore", "memo", false),
    ("GET", "/memo/m1/revisions", "memo", false),
];

fn method(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_path_of_the_contract_reaches_its_service() {
    let stage = Stage::new().await;
    let (_, person) = stage.person();
    for (name, path, service, is_open) in CONTRACT {
        let answer = Answer::of(person.request(method(name), path)).await.assert_status(200);
        assert_eq!((&answer.json["service"], &answer.json["path"]), (&(*service).into(), &(*path).into()), "{name}");
        assert_eq!(answer.json["method"], *name, "{path}");
        let answer = Answer::of(stage.anonymous().request(method(name), path)).await;
        if *is_open {
            answer.assert_status(200);
        } else {
            let answer = answer.assert_problem(401, "unauthenticated");
            assert_eq!(answer.header("www-authenticate"), "Bearer", "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ticketing_also_answers_without_the_version() {
    let stage = Stage::new().await;
    let (_, person) = stage.person();
    for (name, path, ..) in CONTRACT.iter().filter(|row| row.2 == "ticketing") {
        let Some(rest) = path.strip_prefix("/api/v1/") else { continue };
        let answer = Answer::of(person.request(method(name), &format!("/api/{rest}?a=b"))).await.assert_status(200);
        assert_eq!((&answer.json["path"], &answer.json["query"]), (&(*path).into(), &"a=b".into()), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slash_at_the_end_is_accepted_and_not_passed_on() {
    let stage = Stage::new().await;
    let (_, person) = stage.person();
    for path in ["/api/v1/sessions", "/emotion/sessions", "/memo", "/session", "/api/v1/reservations"] {
        let answer = person.post(&format!("{path}/?a=b"), "").await.assert_status(200);
        assert_eq!((&answer.json["path"], &answer.json["query"]), (&path.into(), &"a=b".into()));
    }
    let answer = stage.anonymous().get("/api/events/").await.assert_status(200);
    assert_eq!(answer.json["path"], "/api/v1/events");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_method_is_told_which_ones_there_are() {
    let stage = Stage::new().await;
    let (_, person) = stage.person();
    for name in ["POST", "PATCH", "TRACE", "BREW"] {
        let answer = Answer::of(person.request(method(name), "/session/list")).await;
        let answer = answer.assert_problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), "GET, HEAD, OPTIONS", "{name}");
    }
    let answer = Answer::of(person.request(Method::OPTIONS, "/memo/m1")).await.assert_status(204);
    assert_eq!(answer.header("allow"), "GET, HEAD, PUT, DELETE, OPTIONS");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_is_get_without_its_body() {
    let stage = Stage::new().await;
    let whole = stage.anonymous().get("/api/v1/events").await.assert_status(200);
    let head = Answer::of(stage.anonymous().request(Method::HEAD, "/api/v1/events")).await.assert_status(200);
    assert_eq!((head.text.as_str(), head.header("x-total-count")), ("", "7"));
    let lengths = [&whole, &head].map(|answer| answer.header("content-length").parse::<usize>().unwrap());
    assert!(lengths[0].abs_diff(lengths[1]) < 64 && lengths[1] > 100, "{lengths:?}");
}
