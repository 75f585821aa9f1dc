//! Tickets: what lets a browser open a socket, once.

use deadpool_redis::redis::cmd;
use domain::principal::{Principal, Service};
use futures_util::future::join_all;
use secrecy::SecretString;
use serde_json::json;
use testkit::{Answer, TestApp, TestClient};

use crate::{behind::redis_keys, principal, register, start, start_with};

async fn ticket(client: &TestClient) -> String {
    let given = client.post("/auth/ws-ticket", json!({})).await.assert_status(200);
    assert_eq!(given.json.get("expires_in"), Some(&json!(30)));
    given.text("/ticket").to_owned()
}

async fn redeem(app: &TestApp, ticket: &str) -> Answer {
    app.as_peer().post("/internal/ws-tickets/redeem", json!({ "ticket": ticket })).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_good_once_and_says_whose_it_was() {
    let (stage, app) = start().await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    let ticket = ticket(&kim).await;
    let holder = redeem(&app, &ticket).await.assert_status(200);
    let holder: Principal = serde_json::from_value(holder.json).unwrap();
    assert_eq!(holder, principal(&stage, &made));
    redeem(&app, &ticket).await.assert_problem(401, "invalid_ticket");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_ends_after_half_a_minute_and_is_not_kept_as_it_is() {
    let (stage, app) = start().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let ticket = ticket(&kim).await;
    let keys: Vec<_> = redis_keys(&stage).await.into_iter().filter(|key| key.contains("ws-ticket")).collect();
    assert_eq!(keys.len(), 1);
    assert!(!keys[0].contains(&ticket));
    let left: i64 = stage.redis().run(cmd("TTL").arg(&keys[0])).await.unwrap();
    assert!((20..=30).contains(&left), "{left} s");
    // As when the time has come.
    stage.redis().run::<()>(cmd("PEXPIRE").arg(&keys[0]).arg(0)).await.unwrap();
    redeem(&app, &ticket).await.assert_problem(401, "invalid_ticket");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_two_tickets_are_the_same_and_each_is_long_enough() {
    let (stage, app) = start().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let mut tickets = join_all((0..20).map(|_| ticket(&kim))).await;
    assert!(tickets.iter().all(|ticket| ticket.len() == 32), "{tickets:?}");
    tickets.sort();
    tickets.dedup();
    assert_eq!(tickets.len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_up_is_no_ticket() {
    let (stage, app) = start().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let real = ticket(&kim).await;
    let other_case: String =
        real.chars().map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect();
    for made_up in ["", "*", "마루\u{0}", &real[1..], &format!("{real} "), &other_case, &"x".repeat(60_000)] {
        redeem(&app, made_up).await.assert_problem(401, "invalid_ticket");
    }
    for body in [json!({}), json!({ "ticket": 7 }), json!("x")] {
        app.as_peer().post("/internal/ws-tickets/redeem", body).await.assert_problem(400, "malformed");
    }
    redeem(&app, &real).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_gateway_takes_tickets_in_and_only_people_get_them() {
    let (stage, app) = start().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let ticket = ticket(&kim).await;
    let body = json!({ "ticket": ticket });
    for client in [app.as_service(Service::Memo), app.as_user(), kim, app.anonymous()] {
        client.post("/internal/ws-tickets/redeem", body.clone()).await.assert_problem(404, "not_found");
    }
    app.without_token().post("/internal/ws-tickets/redeem", body).await.assert_problem(401, "unauthenticated");
    for client in [app.anonymous(), app.without_token()] {
        client.post("/auth/ws-ticket", json!({})).await.assert_problem(401, "unauthenticated");
    }
    redeem(&app, &ticket).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_show_one_ticket_one_gets_in() {
    let (stage, app) = start().await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    for _ in 0..5 {
        let ticket = ticket(&kim).await;
        let mut statuses: Vec<_> =
            join_all((0..8).map(|_| redeem(&app, &ticket))).await.into_iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401, 401, 401, 401, 401, 401, 401]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_there_are_no_tickets_and_nobody_waits_for_one() {
    // A port of loopback where nothing listens.
    let nowhere = SecretString::from("redis://127.0.0.1:1");
    let (stage, app) = start_with(|config| config.base.redis.redis_url = nowhere).await;
    let (kim, _) = register(&stage, &app, "kim@example.com").await;
    let refused = kim.post("/auth/ws-ticket", json!({})).await.assert_problem(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "1");
    let refused = redeem(&app, "anything").await.assert_problem(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "1");
}
