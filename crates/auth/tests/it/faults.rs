//! What happens when a part is away.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;
use testkit::{database::TestDatabase, eventually, fault_proxy::FaultProxy};

use crate::{PASSWORD, config, registration, start};
use domain::principal::Service;
use testkit::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_it_says_503_in_time_and_heals_by_itself() {
    let stage = Stage::new(Service::Auth, auth::app::MIGRATIONS).await;
    let proxy = FaultProxy::start(TestDatabase::server_addr()).unwrap();
    let mut config = config(&stage);
    config.base.pg.database_url = stage.database().url_through(proxy.addr());
    let app = stage.serve(auth::build(config, stage.clock.clone()).unwrap());
    app.anonymous().post("/register", registration("kim@example.com")).await.assert_status(201);

    proxy.reset();
    let started = tokio::time::Instant::now();
    let login = json!({ "email": "kim@example.com", "password": PASSWORD });
    let answer = app.anonymous().post("/login", login.clone()).await.assert_problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(app.without_token().get("/livez").await.status, 200);
    assert_eq!(app.without_token().get("/readyz").await.status, 503);

    proxy.heal();
    eventually(Duration::from_secs(10), || async { app.anonymous().post("/login", login.clone()).await.status == 200 })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_swallows_everything_does_not_hang_a_request() {
    let stage = Stage::new(Service::Auth, auth::app::MIGRATIONS).await;
    let proxy = FaultProxy::start(TestDatabase::server_addr()).unwrap();
    let mut config = config(&stage);
    config.base.pg.database_url = stage.database().url_through(proxy.addr());
    config.base.http.request_timeout_ms = 1_000;
    let app = stage.serve(auth::build(config, stage.clock.clone()).unwrap());
    let patient = crate::behind::replica(&stage);
    patient.anonymous().post("/register", registration("kim@example.com")).await.assert_status(201);
    let login = json!({ "email": "kim@example.com", "password": PASSWORD });
    eventually(Duration::from_secs(20), || async { app.anonymous().post("/login", login.clone()).await.status == 200 })
        .await;
    proxy.half_open();
    let answer = app.anonymous().post("/login", login).await;
    assert!(matches!(answer.status, 503 | 504), "{}", answer.status);
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_everybody_can_log_in_and_out() {
    let stage = Stage::new(Service::Auth, auth::app::MIGRATIONS).await;
    let mut config = config(&stage);
    // A port of loopback where nothing listens.
    config.base.redis.redis_url = SecretString::from("redis://127.0.0.1:1");
    let app = stage.serve(auth::build(config, stage.clock.clone()).unwrap());
    let made = app.anonymous().post("/register", registration("kim@example.com")).await.assert_status(201);
    let kim = app.as_principal(crate::principal(&stage, &made));
    kim.post("/auth/logout", json!({})).await.assert_status(200);
    kim.get("/user/me").await.assert_problem(401, "invalid_token");
    let ready = app.without_token().get("/readyz").await.assert_status(200);
    assert_eq!(ready.text("/parts/redis/status"), "degraded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_service_still_answers_and_asks_to_be_left() {
    let (_stage, app) = start().await;
    app.lifecycle().begin_drain();
    let answer = app.anonymous().post("/register", registration("kim@example.com")).await.assert_status(201);
    assert_eq!((answer.header("connection"), answer.header("x-maru-draining")), ("close", "1"));
    assert_eq!(app.without_token().get("/readyz").await.status, 503);
    assert_eq!(app.without_token().get("/livez").await.status, 200);
}
