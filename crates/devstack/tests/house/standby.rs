//! The primary is lost for good; its standby goes on in its place, and no service is started anew for it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use chassis::{config::Faults, pg::PgConfig};
use reqwest::{Method, Url};
use serde_json::{Value, json};
use testkit::eventually;
use tokio_postgres::{
    Client,
    config::{Host, TargetSessionAttrs},
};

use crate::{
    attacks::say,
    database,
    life::Life,
    person::Person,
    stack::{RECOVERY, STANDBY, Stack, text},
};

/// In which tables somebody's life leaves rows.
const TABLES: [(&str, &str); 7] = [
    ("auth", "users"),
    ("session", "sessions"),
    ("ticketing", "reservations"),
    ("ticketing", "tickets"),
    ("emotion", "emotion_steps"),
    ("memo", "memos"),
    ("memo", "attachments"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_has_every_commit_and_takes_over_once_it_is_promoted() {
    let stack = Stack::up_as(&[STANDBY], &[]);
    let primary = database::of_service(&stack, "auth").await.unwrap();
    wait_for_the_standby_from_now_on(&primary).await;

    let organizer = stack.demo_person("organizer").await;
    let mut kim = Life::live(stack.gateway(), &organizer, "kim@example.com").await;
    everything_is_on_both(&stack).await;

    let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writer = write_until(stack.gateway(), &stop, &acknowledged).await;
    eventually(RECOVERY, || async { acknowledged.load(Ordering::Relaxed) > 20 }).await;
    lose_the_primary(&stack);
    let lost = Instant::now();
    let promoted: bool = standby(&stack, "postgres").await.query_one("SELECT pg_promote()", &[]).await.unwrap().get(0);
    assert!(promoted);
    let so_far = acknowledged.load(Ordering::Relaxed);
    eventually(RECOVERY, || async { acknowledged.load(Ordering::Relaxed) > so_far }).await;
    let away = lost.elapsed();
    eventually(RECOVERY, || async { acknowledged.load(Ordering::Relaxed) > so_far + 20 }).await;
    stop.store(true, Ordering::Relaxed);
    let (lee, written) = writer.await.unwrap();

    for memo in &written {
        lee.get(&format!("/memo/{memo}")).await.ok(200);
    }
    kim.is_all_there(stack.gateway()).await;
    kim.go_in(&organizer).await;
    kim.go_on(stack.gateway()).await;
    stack.assert_sound();
    let now = stack.read_status();
    for service in ["gateway", "auth", "session", "ticketing", "emotion", "memo"] {
        assert_eq!(now["pids"][service], stack.status["pids"][service], "{service} was started anew");
    }
    say(&format!("all of {} acknowledged writes are there; {away:.1?} from the loss to the next one", written.len()));

    // Whoever starts it again is told where the truth lies, and loses nothing by it.
    stack.must(&["down"]);
    let told = text(&stack.dev(&["up", "--detach", "--parts-only"]));
    assert!(told.contains("was promoted"), "{told}");
}

#[test]
fn an_address_may_name_two_servers() {
    for (address, ports) in [
        ("postgres://u:p@db-a,db-b:5432/d?target_session_attrs=read-write", [5432, 5432]),
        ("postgres://u:p@db-a:6432/d?host=db-b&port=7432&target_session_attrs=read-write", [6432, 7432]),
    ] {
        let mut faults = Faults::default();
        PgConfig { database_url: address.into(), database_pool_size: 1 }.validate(&mut faults);
        assert!(faults.is_empty(), "{address}: {faults:?}");
        // As the services pass it on.
        let passed_on = Url::parse(address).unwrap();
        let read: tokio_postgres::Config = passed_on.as_str().parse().unwrap();
        assert_eq!(read.get_hosts(), ["db-a", "db-b"].map(|name| Host::Tcp(name.to_owned())), "{address}");
        assert_eq!(read.get_ports(), ports, "{address}");
        assert_eq!(read.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
    }
}

/// From now on a commit is answered when both have it.
async fn wait_for_the_standby_from_now_on(primary: &Client) {
    primary.batch_execute("ALTER SYSTEM SET synchronous_standby_names = 'maru_standby'").await.unwrap();
    primary.execute("SELECT pg_reload_conf()", &[]).await.unwrap();
    let asked = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync'";
    eventually(RECOVERY, || async { primary.query_one(asked, &[]).await.unwrap().get::<_, i64>(0) == 1 }).await;
}

/// Every row is on the standby, once it has played what it has received.
async fn everything_is_on_both(stack: &Stack) {
    for (service, table) in TABLES {
        let count = format!("SELECT count(*) FROM {table}");
        let primary = database::of_service(stack, service).await.unwrap();
        let standby = standby(stack, &format!("maru_{service}")).await;
        let is_standby: bool = standby.query_one("SELECT pg_is_in_recovery()", &[]).await.unwrap().get(0);
        assert!(is_standby);
        let there: i64 = primary.query_one(&count, &[]).await.unwrap().get(0);
        assert!(there > 0, "nobody has written into {table}");
        eventually(RECOVERY, || async { standby.query_one(&count, &[]).await.unwrap().get::<_, i64>(0) == there })
            .await;
    }
}

async fn standby(stack: &Stack, name: &str) -> Client {
    let mut url = Url::parse(stack.status["postgres_standby_url"].as_str().expect("a standby")).unwrap();
    url.set_path(name);
    database::connect(url.as_str()).await.unwrap()
}

/// Has somebody write memos one after the other, and remember which were acknowledged.
async fn write_until(
    gateway: &str,
    stop: &Arc<AtomicBool>,
    acknowledged: &Arc<AtomicUsize>,
) -> tokio::task::JoinHandle<(Person, Vec<String>)> {
    let person = Person::register(gateway, "lee@example.com").await;
    let (stop, acknowledged) = (stop.clone(), acknowledged.clone());
    #[expect(clippy::disallowed_methods, reason = "joined at the end of the test")]
    tokio::spawn(async move {
        let mut written = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            match person.try_send(Method::POST, "/memo", Some(json!({ "content": "한 줄 더" }))).await {
                Ok(answer) if answer.status == 201 => {
                    written.push(answer.text("/id"));
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                // Away is said as such, and within the time that anything may take.
                Ok(answer) => assert!(matches!(answer.status, 503 | 504), "{} {}", answer.status, answer.json),
                Err(error) => panic!("no answer: {error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        (person, written)
    })
}

/// Ends the primary and takes away the file without which it never starts again.
fn lose_the_primary(stack: &Stack) {
    let record = std::fs::read(stack.data().join("postgres.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    let control = format!("{}/postgres/data/global/pg_control", record["directory"].as_str().unwrap());
    std::fs::rename(&control, format!("{control}.lost")).unwrap();
    let [primary] = Stack::pids_in(&stack.status, "postgres")[..] else { panic!("one primary") };
    Stack::kill(primary);
}
