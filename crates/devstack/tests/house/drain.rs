//! A replica is asked to stop while people use it: nobody's request is lost.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::json;
use testkit::eventually;

use crate::{
    person::Person,
    stack::{RECOVERY, Stack, TWO_OF_EACH},
};

/// People who ask without a pause.
const PEOPLE: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_loses_no_request() {
    let stack = Stack::up(TWO_OF_EACH);
    let kim = Person::register(stack.gateway(), "kim@example.com").await;
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let people: Vec<_> = (0..PEOPLE)
        .map(|_| {
            let (kim, stop, answered) = (kim.clone(), stop.clone(), answered.clone());
            #[expect(clippy::disallowed_methods, reason = "joined below")]
            tokio::spawn(async move {
                let mut lost = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    for (method, path, body) in [
                        (Method::GET, "/api/v1/events", None),
                        (Method::POST, "/memo", Some(json!({ "content": "under load" }))),
                        (Method::GET, "/user/me", None),
                    ] {
                        match kim.try_send(method, path, body).await {
                            Ok(answer) if answer.status < 300 => _ = answered.fetch_add(1, Ordering::Relaxed),
                            Ok(answer) => lost.push(format!("{path}: {} {}", answer.status, answer.json)),
                            Err(error) => lost.push(format!("{path}: {error:?}")),
                        }
                    }
                }
                lost
            })
        })
        .collect();

    eventually(RECOVERY, || async { answered.load(Ordering::Relaxed) > 50 }).await;
    for service in ["ticketing", "memo", "auth"] {
        let [first, ..] = stack.pids(service)[..] else { panic!("two of {service}") };
        Stack::signal(first, "-TERM");
        eventually(RECOVERY, || async {
            let now = stack.pids(service);
            now.len() == 2 && !now.contains(&first)
        })
        .await;
        let so_far = answered.load(Ordering::Relaxed);
        eventually(RECOVERY, || async { answered.load(Ordering::Relaxed) > so_far + 50 }).await;
    }
    stop.store(true, Ordering::Relaxed);
    for person in people {
        let lost = tokio::time::timeout(Duration::from_secs(30), person).await.unwrap().unwrap();
        assert!(lost.is_empty(), "{lost:?}");
    }
}
