//! Refresh tokens in honest hands: exchanged once, repeated safely, good for as long as a login lasts. Numbers are those
//! of the threat list in docs/security.md.

use std::{collections::BTreeSet, time::Duration};

use chassis::{access::AccessTokens, config::Environment};
use futures_util::future::join_all;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::json;

use crate::{
    PASSWORD, SECRET,
    behind::{access, bare_post, cookie, number, refresh, refreshed, replica, seen, sql},
    config, principal, register, start, start_with,
};

const DAY: Duration = Duration::from_hours(24);
const COUNTER: &str = "SELECT refresh_counter::bigint AS number FROM logins";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exchange_gives_a_whole_new_pair() {
    let (stage, app) = start().await;
    let (_, made) = register(&stage, &app, "kim@example.com").await;
    stage.clock.advance(Duration::from_mins(1));
    let first = refresh(&app, made.text("/refresh_token")).await.assert_status(200);
    assert_eq!(first.text("/token"), first.text("/access_token"));
    assert_eq!((first.text("/token_type"), first.json["expires_in"].as_u64()), ("bearer", Some(86_400)));
    assert_ne!(first.text("/refresh_token"), made.text("/refresh_token"));
    assert_ne!(first.text("/access_token"), made.text("/access_token"));

    let (before, after) = (access(&stage, &made), access(&stage, &first));
    assert_eq!((before.principal, before.refresh_counter), (after.principal, 0));
    assert_eq!(after.refresh_counter, 1);
    app.as_principal(principal(&stage, &first)).get("/user/me").await.assert_status(200);
    refreshed(&app, first.text("/refresh_token")).await;
    assert_eq!(number(&stage, COUNTER).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_name_of_the_route_exchanges() {
    let (stage, app) = start().await;
    let (_, made) = register(&stage, &app, "kim@example.com").await;
    let mut token = made.text("/refresh_token").to_owned();
    for path in ["/auth/refresh", "/api/auth/refresh", "/api/v1/auth/refresh"] {
        let body = json!({ "refresh_token": token });
        token = app.anonymous().post(path, body).await.assert_status(200).text("/refresh_token").to_owned();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_16_fifty_requests_with_one_token_get_one_and_the_same_successor() {
    let (stage, app) = start().await;
    let (_, made) = register(&stage, &app, "kim@example.com").await;
    let token = made.text("/refresh_token");
    let answers = join_all((0..50).map(|_| refresh(&app, token))).await;
    let successors: BTreeSet<_> =
        answers.into_iter().map(|answer| answer.assert_status(200).text("/refresh_token").to_owned()).collect();
    assert_eq!(successors.len(), 1);
    assert_eq!(number(&stage, COUNTER).await, 1);
    refreshed(&app, successors.first().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_16_two_processes_keep_one_lineage() {
    let (stage, app) = start().await;
    let twin = replica(&stage);
    let (_, made) = register(&stage, &app, "kim@example.com").await;
    let mut token = made.text("/refresh_token").to_owned();
    for exchanges in 1..=5 {
        let asked = join_all((0..12).map(|n| refresh(if n % 2 == 0 { &app } else { &twin }, &token))).await;
        let successors: BTreeSet<_> =
            asked.into_iter().map(|answer| answer.assert_status(200).text("/refresh_token").to_owned()).collect();
        assert_eq!(successors.len(), 1, "exchange {exchanges}");
        assert_eq!(number(&stage, COUNTER).await, exchanges);
        token = successors.into_iter().next().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_16_an_answer_that_was_lost_is_given_again_much_later() {
    let (stage, app) = start().await;
    let (_, made) = register(&stage, &app, "kim@example.com").await;
    let lost = refreshed(&app, made.text("/refresh_token")).await;
    stage.clock.advance(DAY * 7);
    let again = refresh(&app, made.text("/refresh_token")).await.assert_status(200);
    assert_eq!(again.text("/refresh_token"), lost);
    // The access token is a new one: the lost one has long run out.
    app.as_principal(principal(&stage, &again)).get("/user/me").await.assert_status(200);
    assert_eq!(number(&stage, COUNTER).await, 1);
    refreshed(&app, &lost).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_16_tabs_that_left_together_are_no_thieves() {
    let (stage, app) = start().await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    let first = refreshed(&app, made.text("/refresh_token")).await;
    seen(&stage, &app, kim.login_id, 1).await;
    stage.clock.advance(Duration::from_secs(9));
    assert_eq!(refreshed(&app, made.text("/refresh_token")).await, first);
    // A third tab was quicker still; whoever left with the first token gets what counts now.
    let second = refreshed(&app, &first).await;
    assert_eq!(refreshed(&app, made.text("/refresh_token")).await, second);
    assert_eq!(number(&stage, COUNTER).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_ends_after_thirty_days_without_use() {
    let (stage, app) = start().await;
    let (_, made) = register(&stage, &app, "kim@example.com").await;
    stage.clock.advance(DAY * 29 + Duration::from_secs(86_399));
    let used = refreshed(&app, made.text("/refresh_token")).await;
    stage.clock.advance(DAY * 30);
    refresh(&app, &used).await.assert_problem(401, "invalid_token");
    // Not even the token before, whose successor was never seen.
    refresh(&app, made.text("/refresh_token")).await.assert_problem(401, "invalid_token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_ends_after_ninety_days_however_much_it_is_used() {
    let (stage, app) = start().await;
    let (_, made) = register(&stage, &app, "kim@example.com").await;
    let mut token = made.text("/refresh_token").to_owned();
    for _ in 0..3 {
        stage.clock.advance(DAY * 29);
        token = refreshed(&app, &token).await;
    }
    stage.clock.advance(DAY * 2 + Duration::from_secs(86_399));
    token = refreshed(&app, &token).await;
    stage.clock.advance(Duration::from_secs(1));
    refresh(&app, &token).await.assert_problem(401, "invalid_token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrators_login_is_shorter() {
    let (stage, app) = start().await;
    register(&stage, &app, "kim@example.com").await;
    sql(&stage, "UPDATE users SET role = 'admin'").await;
    let body = json!({ "email": "kim@example.com", "password": PASSWORD });
    let idle = app.anonymous().post("/login", body.clone()).await.assert_status(200);
    let used = app.anonymous().post("/login", body).await.assert_status(200);
    let mut token = used.text("/refresh_token").to_owned();
    for _ in 0..15 {
        stage.clock.advance(Duration::from_hours(11));
        token = refreshed(&app, &token).await;
    }
    refresh(&app, idle.text("/refresh_token")).await.assert_problem(401, "invalid_token");
    stage.clock.advance(Duration::from_hours(3));
    refresh(&app, &token).await.assert_problem(401, "invalid_token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_counts_from_the_next_exchange_on() {
    let (stage, app) = start().await;
    let (_, made) = register(&stage, &app, "kim@example.com").await;
    sql(&stage, "UPDATE users SET role = 'organizer'").await;
    let organizer = refresh(&app, made.text("/refresh_token")).await.assert_status(200);
    assert_eq!(access(&stage, &organizer).principal.role.name(), "organizer");
    sql(&stage, "UPDATE users SET role = 'user'").await;
    // A repeat shows what holds now too.
    let repeated = refresh(&app, made.text("/refresh_token")).await.assert_status(200);
    assert_eq!(access(&stage, &repeated).principal.role.name(), "user");

    sql(&stage, "UPDATE users SET role = 'admin'").await;
    let admin = refresh(&app, repeated.text("/refresh_token")).await.assert_status(200);
    assert_eq!(access(&stage, &admin).principal.role.name(), "admin");
    stage.clock.advance(Duration::from_hours(12));
    refresh(&app, admin.text("/refresh_token")).await.assert_problem(401, "invalid_token");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_secret_logs_nobody_out_while_the_old_one_is_its_predecessor() {
    let (stage, app) = start().await;
    let (_, made) = register(&stage, &app, "kim@example.com").await;
    let fresh = || SecretString::from("fedcba9876543210fedcba9876543210");
    let serve = |previous: Option<SecretString>| {
        let mut config = config(&stage);
        (config.access.jwt_secret, config.access.jwt_secret_previous) = (fresh(), previous);
        stage.serve(auth::build(config, stage.clock.clone()).unwrap())
    };
    let (changed, forgotten) = (serve(Some(SecretString::from(SECRET))), serve(None));
    refresh(&forgotten, made.text("/refresh_token")).await.assert_problem(401, "invalid_token");
    let exchanged = refresh(&changed, made.text("/refresh_token")).await.assert_status(200);
    AccessTokens::new(&fresh()).verify(exchanged.text("/access_token"), stage.clock.now()).unwrap();
    refreshed(&forgotten, exchanged.text("/refresh_token")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_is_exchanged_for_cookies_on_a_page_of_ours_only() {
    let (stage, app) = start().await;
    let (_, made) = register(&stage, &app, "kim@example.com").await;
    let shown = format!("maru_rt={}", cookie(&made, "maru_rt").unwrap());
    let nobody = app.anonymous();
    let ask = || bare_post(&nobody, "/auth/refresh").header("cookie", &shown);
    nobody.send(ask()).await.assert_problem(403, "origin_not_allowed");
    nobody.send(ask().header("x-maru-origin", "strange")).await.assert_problem(403, "origin_not_allowed");
    assert_eq!(number(&stage, COUNTER).await, 0);

    let answer = nobody.send(ask().header("x-maru-origin", "allowed")).await.assert_status(200);
    assert_eq!(cookie(&answer, "maru_at").as_deref(), Some(answer.text("/access_token")));
    assert_eq!(cookie(&answer, "maru_rt").as_deref(), Some(answer.text("/refresh_token")));
    for set in answer.headers.get_all("set-cookie") {
        let set = set.to_str().unwrap();
        assert!(set.contains("HttpOnly") && set.contains("Path=/") && set.contains("SameSite=Lax"), "{set}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_production_cookies_travel_over_https_only() {
    let (stage, app) = start_with(|config| config.base.common.environment = Environment::Production).await;
    let (kim, made) = register(&stage, &app, "kim@example.com").await;
    let left = kim.post("/auth/logout", json!({})).await.assert_status(200);
    for set in made.headers.get_all("set-cookie").iter().chain(left.headers.get_all("set-cookie")) {
        let set = set.to_str().unwrap();
        assert!(["HttpOnly", "Secure", "SameSite=None"].iter().all(|rule| set.contains(rule)), "{set}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_in_the_body_sets_no_cookie_even_beside_one() {
    let (stage, app) = start().await;
    let (_, made) = register(&stage, &app, "kim@example.com").await;
    let answer = refresh(&app, made.text("/refresh_token")).await.assert_status(200);
    assert_eq!(answer.header("set-cookie"), "");
    let body = json!({ "refresh_token": answer.text("/refresh_token") });
    let answer = app.anonymous().post_with("/auth/refresh", body, &[("cookie", "maru_rt=rt1.x.0.y")]).await;
    assert_eq!(answer.assert_status(200).header("set-cookie"), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_token_there_is_nothing_to_exchange() {
    let (stage, app) = start().await;
    let (_, made) = register(&stage, &app, "kim@example.com").await;
    let nobody = app.anonymous();
    nobody.send(bare_post(&nobody, "/auth/refresh")).await.assert_problem(401, "unauthenticated");
    nobody.post("/auth/refresh", json!({})).await.assert_problem(401, "unauthenticated");
    nobody.post("/auth/refresh", json!({ "refresh_token": null })).await.assert_problem(401, "unauthenticated");
    let empty = bare_post(&nobody, "/auth/refresh").header("cookie", "maru_rt=").header("x-maru-origin", "allowed");
    nobody.send(empty).await.assert_problem(401, "unauthenticated");

    // Not a form a page elsewhere could send, and not a guess at what was meant.
    let body = json!({ "refresh_token": made.text("/refresh_token") }).to_string();
    let plain = nobody.request(Method::POST, "/auth/refresh").header("content-type", "text/plain").body(body);
    nobody.send(plain).await.assert_problem(415, "unsupported_media_type");
    nobody.post("/auth/refresh", json!({ "refresh_token": 7 })).await.assert_problem(400, "malformed");
    nobody.post("/auth/refresh", json!({ "token": "rt1" })).await.assert_problem(400, "malformed");
    assert_eq!(number(&stage, COUNTER).await, 0);
}
