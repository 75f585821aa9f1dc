//! What the service writes about itself holds nothing that a person wrote.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use domain::{
    ids::{LoginId, UserId},
    principal::{Principal, Role, Service},
};
use secrecy::ExposeSecret;
use serde_json::json;
use testkit::{Socket, Stage};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Command,
};

use crate::{hear, say};

const CANARY: &str = "canary-in-a-coal-mine";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_line_holds_what_was_said_or_answered() {
    let stage = Stage::new(Service::Emotion, emotion::app::MIGRATIONS).await;
    let base = stage.base_config();
    let mut service = Command::new(env!("CARGO_BIN_EXE_maru-emotion"))
        .arg("serve")
        .env_clear()
        .env("MARU_ENV", "development")
        .env("HOST", "127.0.0.1")
        .env("PORT", "0")
        .env("DRAIN_DELAY_MS", "0")
        // The database client's own debug lines hold every parameter.
        .env("LOG_LEVEL", "debug")
        .env("DATABASE_URL", base.pg.database_url.expose_secret())
        .env("REDIS_URL", base.redis.redis_url.expose_secret())
        .env("REDIS_PREFIX", &base.redis.redis_prefix)
        .env("INTERNAL_PUBLIC_KEYS", &base.trust.internal_public_keys)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(service.stdout.take().unwrap()).lines();
    let mut log = Vec::new();
    let addr: SocketAddr = loop {
        let line = tokio::time::timeout(Duration::from_secs(10), lines.next_line()).await.unwrap().unwrap().unwrap();
        let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
        log.push(line);
        if entry["message"] == "serving" {
            break entry["addr"].as_str().unwrap().parse().unwrap();
        }
    };
    let person =
        Principal { user_id: stage.clock.id::<UserId>(), login_id: stage.clock.id::<LoginId>(), role: Role::User };
    let token = stage.signer().mint(Service::Emotion, Some(person), stage.clock.now()).unwrap();
    let path = format!("/ws/emotion?user_id={}", person.user_id);
    let mut socket = Socket::open(addr, &path, Some(&token), &[]).await;
    socket.next_json().await;
    say(&mut socket, CANARY).await;
    let (reply, done) = hear(&mut socket).await;
    assert!(reply.contains(CANARY) && done["done"] == true, "the reply repeats what was said");
    socket.send_json(&json!({ "user_input": CANARY, "step_type": CANARY })).await;
    assert_eq!(socket.next_json().await["error"]["code"], "unknown_step_type");

    let pid = rustix::process::Pid::from_raw(i32::try_from(service.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(socket.closed().await, Some(1001));
    while let Some(line) = lines.next_line().await.unwrap() {
        log.push(line);
    }
    let mut errors = String::new();
    service.stderr.take().unwrap().read_to_string(&mut errors).await.unwrap();
    assert!(service.wait().await.unwrap().success(), "{errors}");
    assert!(log.iter().any(|line| line.contains("reply ended")), "the log is a log");
    // As text, and as the numbers that a debug form of bytes is.
    let numbers: Vec<_> = CANARY.bytes().map(|byte| byte.to_string()).collect();
    for secret in [CANARY.to_owned(), numbers.join(", "), token] {
        let told: Vec<_> = log.iter().filter(|line| line.contains(&secret)).collect();
        assert!(told.is_empty() && !errors.contains(&secret), "{told:?}");
    }
}
