//! More passwords than can be hashed. Numbers are those of the threat list in docs/security.md.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use domain::principal::Service;
use futures_util::future::join_all;
use serde_json::json;
use testkit::Stage;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::child::ChildProcess;

/// Hashes of 19 MiB at once; the rest of the process is small.
const HASHES_AT_ONCE: &str = "2";
/// Most memory the process may ever have had, KiB.
const RESIDENT_MAX_KIB: u64 = 150 * 1_024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_35_a_flood_of_passwords_costs_no_more_than_its_turns() {
    let stage = Stage::new(Service::Auth, auth::app::MIGRATIONS).await;
    let settings = [("PASSWORD_HASHES_AT_ONCE", HASHES_AT_ONCE)];
    let child = ChildProcess::serve(&stage, &stage.database().url(), &settings).await;
    let before = high_water_kib(&child);

    let token = child.token();
    let hang_up = join_all((0..500).map(|n| post_and_hang_up(&child, &token, n)));
    let (_, during_aborts) = tokio::join!(hang_up, ask_for_keys(&child, Duration::from_millis(1_500)));
    let patient = join_all((0..200).map(|n| login(&child, 500 + n)));
    let (patient, during_waits) = tokio::join!(patient, ask_for_keys(&child, Duration::from_millis(1_500)));

    let mut statuses = BTreeMap::new();
    for (status, retry_after) in patient {
        *statuses.entry(status).or_insert(0) += 1;
        assert!(status == 401 || status == 503, "{status}");
        assert_eq!(retry_after.as_deref(), (status == 503).then_some("1"), "{status}");
    }
    let after = high_water_kib(&child);
    eprintln!("resident at most {before} KiB before and {after} KiB after; the patient got {statuses:?}");
    eprintln!("other route: {} | {}", spread(during_aborts), spread(during_waits));
    assert!(statuses.get(&401).is_some_and(|n| *n > 0) && statuses.get(&503).is_some_and(|n| *n > 0), "{statuses:?}");
    assert!(after < RESIDENT_MAX_KIB, "{after} KiB");
    // And then it is over.
    testkit::eventually(Duration::from_secs(10), || async { login(&child, 0).await.0 == 401 }).await;
}

fn body(n: usize) -> serde_json::Value {
    json!({ "email": format!("nobody{n}@example.com"), "password": "p".repeat(1_024) })
}

async fn post_and_hang_up(child: &ChildProcess, token: &str, n: usize) {
    let body = body(n).to_string();
    let request = format!(
        "POST /login HTTP/1.1\r\nhost: auth\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(("127.0.0.1", child.port())).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
}

async fn login(child: &ChildProcess, n: usize) -> (u16, Option<String>) {
    let answer = child.post("/login", &body(n)).send().await.unwrap();
    let retry_after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), retry_after)
}

/// Asks another route again and again; returns how long each answer took, milliseconds.
async fn ask_for_keys(child: &ChildProcess, long: Duration) -> Vec<u128> {
    let (until, mut millis) = (Instant::now() + long, Vec::new());
    while Instant::now() < until {
        let started = Instant::now();
        assert_eq!(child.get("/.well-known/jwks.json").send().await.unwrap().status(), 200);
        millis.push(started.elapsed().as_millis());
    }
    millis
}

fn spread(mut millis: Vec<u128>) -> String {
    millis.sort_unstable();
    let at = |percent: usize| millis.get((millis.len() - 1) * percent / 100).unwrap();
    format!("n {}, p50 {} ms, p99 {} ms, most {} ms", millis.len(), at(50), at(99), at(100))
}

/// Reads the most memory a process has had resident.
fn high_water_kib(child: &ChildProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
