//! What happens when a part is away.

use std::time::Duration;

use domain::principal::Service;
use secrecy::SecretString;
use serde_json::json;
use testkit::{Stage, database::TestDatabase, eventually, fault_proxy::FaultProxy};

use crate::{SESSIONS, config, make, talk};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_it_says_503_and_a_running_timer_has_lost_nothing_afterwards() {
    let stage = Stage::new(Service::Session, session::app::MIGRATIONS).await;
    let proxy = FaultProxy::start(TestDatabase::server_addr()).unwrap();
    let mut config = config(&stage);
    config.base.pg.database_url = stage.database().url_through(proxy.addr());
    let app = stage.serve(session::build(config, stage.clock.clone()).unwrap());
    let kim = app.as_user();
    let path = make(&kim).await;
    kim.post(&format!("{path}/timer/setup"), json!({})).await.assert_status(200);
    let started = kim.post(&format!("{path}/timer/start"), json!({})).await.assert_status(200);

    proxy.reset();
    for answer in [kim.post(SESSIONS, talk("마루 발표")).await, kim.get(&format!("{path}/timer")).await] {
        let answer = answer.assert_problem(503, "unavailable");
        assert_eq!(answer.header("retry-after"), "1");
    }
    proxy.heal();
    eventually(Duration::from_secs(10), || async { kim.get(&format!("{path}/timer")).await.status == 200 }).await;
    let timer = kim.get(&format!("{path}/timer")).await;
    assert_eq!((timer.text("/status"), &timer.json["start_time"]), ("running", &started.json["start_time"]));
    assert_eq!(kim.get(SESSIONS).await.header("x-total-count"), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_sessions_and_timers_work() {
    let stage = Stage::new(Service::Session, session::app::MIGRATIONS).await;
    let mut config = config(&stage);
    // A port of loopback where nothing listens.
    config.base.redis.redis_url = SecretString::from("redis://127.0.0.1:1");
    let app = stage.serve(session::build(config, stage.clock.clone()).unwrap());
    let kim = app.as_user();
    let path = make(&kim).await;
    for control in ["setup", "start", "pause", "resume", "reset"] {
        kim.post(&format!("{path}/timer/{control}"), json!({})).await.assert_status(200);
    }
}
