//! What happens when a part is away.

use std::time::Duration;

use domain::principal::Service;
use secrecy::SecretString;
use serde_json::json;
use testkit::{Stage, database::TestDatabase, eventually, fault_proxy::FaultProxy};

use crate::{PICTURE, a_memo, begin, config, path_of, picture, put, start};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_storage_memos_are_written_and_files_wait() {
    let stage = Stage::new(Service::Memo, memo::app::MIGRATIONS).await;
    let mut config = config(&stage);
    // URLs for people lead to the storage; the service itself asks at a port where nothing listens.
    config.s3.s3_public_endpoint = Some(config.s3.s3_endpoint.clone());
    config.s3.s3_endpoint = "http://127.0.0.1:1".parse().unwrap();
    let app = stage.serve(memo::build(config, stage.clock.clone()).unwrap());
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    let upload = begin(&kim, &memo, picture()).await;
    assert!(put(&upload, PICTURE).await.is_success());
    let complete = format!("{}/complete", path_of(&memo, &upload));
    let answer = kim.post(&complete, json!({})).await.assert_problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    kim.get(&memo).await.assert_status(200);
    let health = app.without_token().get("/health").await.assert_status(200);
    assert_eq!((health.text("/status"), health.text("/parts/object_storage/status")), ("degraded", "degraded"));
    app.without_token().get("/readyz").await.assert_status(200);

    let healed = stage.serve(memo::build(crate::config(&stage), stage.clock.clone()).unwrap());
    let kim = healed.as_principal(domain::principal::Principal {
        user_id: kim.user_id,
        login_id: kim.login_id,
        role: domain::principal::Role::User,
    });
    kim.post(&complete, json!({})).await.assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_everything_there_it_says_so() {
    let (_stage, app) = start().await;
    let health = app.without_token().get("/health").await.assert_status(200);
    assert_eq!((health.text("/status"), health.text("/parts/object_storage/status")), ("ok", "ok"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_it_says_503_and_heals_by_itself() {
    let stage = Stage::new(Service::Memo, memo::app::MIGRATIONS).await;
    let proxy = FaultProxy::start(TestDatabase::server_addr()).unwrap();
    let mut config = config(&stage);
    config.base.pg.database_url = stage.database().url_through(proxy.addr());
    let app = stage.serve(memo::build(config, stage.clock.clone()).unwrap());
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    proxy.reset();
    let answer = kim.get(&memo).await.assert_problem(503, "unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    proxy.heal();
    eventually(Duration::from_secs(10), || async { kim.get(&memo).await.status == 200 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_memos_work_as_ever() {
    let stage = Stage::new(Service::Memo, memo::app::MIGRATIONS).await;
    let mut config = config(&stage);
    config.base.redis.redis_url = SecretString::from("redis://127.0.0.1:1");
    let app = stage.serve(memo::build(config, stage.clock.clone()).unwrap());
    let kim = app.as_user();
    let memo = a_memo(&kim).await;
    kim.get(&memo).await.assert_status(200);
}
