//! Pages that use what a browser sends along.

use reqwest::Method;

use crate::{
    Stage,
    caller::Answer,
    stage::{OWN, PAGE},
};

/// Origins that look like one on the list.
const STRANGERS: [&str; 9] = [
    "null",
    "https://evil.example.com",
    "https://app.example.com.evil",
    "https://app.example.com:444",
    "http://app.example.com",
    "https://app.example.com/",
    "https://APP.example.com",
    "https://xapp.example.com",
    "https://app.example.com https://evil.example.com",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_36_no_stranger_may_read_anything() {
    let stage = Stage::new().await;
    let (_, person) = stage.person();
    let cookie = format!("maru_at={}", person.token.clone().unwrap());
    for origin in STRANGERS {
        for path in ["/memo/list", "/user/me", "/health", "/login", "/nowhere"] {
            let get = stage.anonymous().request(Method::GET, path).header("origin", origin).header("cookie", &cookie);
            let preflight = stage.anonymous().request(Method::OPTIONS, path).header("origin", origin);
            let preflight = preflight.header("access-control-request-method", "POST");
            for request in [get, preflight] {
                let answer = Answer::of(request).await;
                let told = answer.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
                assert_eq!(told, None, "{origin} {path}: {:?}", answer.headers);
                assert_eq!(answer.header("vary"), "Origin");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_37_a_cookie_does_nothing_for_a_strange_page() {
    let stage = Stage::new().await;
    let (_, person) = stage.person();
    let cookie = format!("maru_at={}", person.token.clone().unwrap());
    let bodies = [
        ("application/x-www-form-urlencoded", "current_password=a&new_password=b"),
        ("text/plain", "{\"title\":\"a\",\"x\":\"=\"}"),
        ("multipart/form-data; boundary=b", "--b--"),
        ("application/json", "{}"),
    ];
    let changing = [
        (Method::POST, "/api/v1/sessions"),
        (Method::POST, "/change-password"),
        (Method::POST, "/auth/logout"),
        (Method::DELETE, "/user/me"),
        (Method::PATCH, "/user/me"),
        (Method::PUT, "/emotion/prompt"),
        (Method::POST, "/api/v1/payments/confirm"),
    ];
    let send = |(method, path): (Method, &'static str), (media, body): (&'static str, &'static str)| {
        stage.anonymous().request(method, path).header("cookie", &cookie).header("content-type", media).body(body)
    };
    for route in changing {
        for body in bodies {
            for origin in STRANGERS {
                let request = send(route.clone(), body).header("origin", origin);
                Answer::of(request).await.assert_problem(403, "origin_not_allowed");
            }
            Answer::of(send(route.clone(), body)).await.assert_problem(403, "origin_not_allowed");
            let two = send(route.clone(), body).header("origin", PAGE).header("origin", PAGE);
            Answer::of(two).await.assert_problem(403, "origin_not_allowed");
        }
        for origin in [PAGE, OWN] {
            Answer::of(send(route.clone(), bodies[3]).header("origin", origin)).await.assert_status(200);
        }
    }
    // The refresh cookie is the auth service's to judge, and it is told what the gate thinks of the page.
    for origin in STRANGERS {
        let refresh = stage.anonymous().request(Method::POST, "/auth/refresh").header("cookie", "maru_rt=r1");
        let answer = Answer::of(refresh.header("origin", origin)).await.assert_status(200);
        assert_eq!(answer.received("x-maru-origin"), ["strange"], "{origin}");
    }
}
