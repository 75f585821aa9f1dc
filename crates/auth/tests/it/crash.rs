//! A process that is killed between an exchange and its answer. Numbers are those of the threat list in
//! docs/security.md.
#![expect(clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::time::Duration;

use chassis::access::AccessTokens;
use diesel_async::SimpleAsyncConnection;
use domain::principal::Service;
use futures_util::FutureExt;
use secrecy::SecretString;
use serde_json::{Value, json};
use testkit::{Stage, database::TestDatabase, eventually, fault_proxy::FaultProxy};

use crate::{
    SECRET,
    behind::{flush_redis, number, somebody_waits},
    child::ChildProcess,
    registration,
};

const COUNTER: &str = "SELECT refresh_counter::bigint AS number FROM logins";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_17_who_was_refreshing_when_the_process_died_is_still_logged_in() {
    dies_in_between(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_17_and_still_is_when_redis_lost_everything_too() {
    dies_in_between(true).await;
}

async fn dies_in_between(redis_is_lost: bool) {
    let stage = Stage::new(Service::Auth, auth::app::MIGRATIONS).await;
    let proxy = FaultProxy::start(TestDatabase::server_addr()).unwrap();
    let first = ChildProcess::serve(&stage, &stage.database().url_through(proxy.addr()), &[]).await;
    let made = answer(first.post("/register", &registration("kim@example.com")), 201).await;
    let shown = json!({ "refresh_token": made["refresh_token"] });

    // The exchange is stopped by a lock until the network has fallen silent behind it, and goes on then.
    let mut lock = stage.pg().conn().await.unwrap();
    lock.batch_execute("BEGIN; SELECT 1 FROM logins FOR UPDATE").await.unwrap();
    let mut asking = Box::pin(first.post("/auth/refresh", &shown).send());
    tokio::select! {
        answer = &mut asking => panic!("answered without its row: {answer:?}"),
        () = somebody_waits(&stage, "UPDATE logins") => {}
    }
    proxy.half_open();
    lock.batch_execute("COMMIT").await.unwrap();
    eventually(Duration::from_secs(5), || async { number(&stage, COUNTER).await == 1 }).await;
    assert!(asking.as_mut().now_or_never().is_none(), "the answer was to be lost");
    first.kill();
    assert!(asking.await.is_err());
    drop(proxy);
    if redis_is_lost {
        flush_redis(&stage).await;
    }

    let second = ChildProcess::serve(&stage, &stage.database().url(), &[]).await;
    let tokens = answer(second.post("/auth/refresh", &shown), 200).await;
    let access = AccessTokens::new(&SecretString::from(SECRET));
    let now = chassis::clock::Clock::system().now();
    let read = access.verify(tokens["access_token"].as_str().unwrap(), now).unwrap();
    assert_eq!(read.principal.user_id.to_string(), made["user_id"].as_str().unwrap());
    assert_eq!(read.refresh_counter, 1);
    // The lineage goes on from there, once.
    let next = json!({ "refresh_token": tokens["refresh_token"] });
    answer(second.post("/auth/refresh", &next), 200).await;
    assert_eq!(number(&stage, COUNTER).await, 2);
}

async fn answer(request: reqwest::RequestBuilder, status: u16) -> Value {
    let response = request.send().await.unwrap();
    let (got, body) = (response.status().as_u16(), response.text().await.unwrap());
    assert_eq!(got, status, "{body}");
    serde_json::from_str(&body).unwrap()
}
