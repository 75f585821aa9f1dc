//! What the service writes about itself holds nothing that a person wrote.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use domain::{
    ids::{LoginId, UserId},
    principal::{Principal, Role, Service},
};
use secrecy::ExposeSecret;
use serde_json::json;
use testkit::{
    Socket, Stage,
    openai::{OpenAiServer, Script},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Command,
};

use crate::{hear, say};

const CANARY: &str = "canary-in-a-coal-mine";
const MODEL_KEY: &str = "sk-a-key-nobody-may-see";
/// 32 bytes in base64.
const MASTER_KEY: &str = "a2V5IG9mIGEgdGVzdCwgb2YgdGhpcnR5LXR3byBieXQ=";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_line_holds_what_was_said_or_answered() {
    let stage = Stage::new(Service::Emotion, emotion::app::MIGRATIONS).await;
    let base = stage.base_config();
    let model = OpenAiServer::start();
    // What cannot be read, what is said, and what is refused: the client library would write each into the log.
    let script = Script { badjson: Some(1), bads: 2, ..Script::saying(&format!("들었어요: {CANARY} {CANARY}")) };
    model.next(script.clone());
    model.next(Script { err: Some((500, None)), ..script.clone() });
    model.next(Script { bads: 9, ..script });
    let mut service = Command::new(env!("CARGO_BIN_EXE_maru-emotion"))
        .arg("serve")
        .env_clear()
        .env("MARU_ENV", "development")
        .env("HOST", "127.0.0.1")
        .env("PORT", "0")
        .env("DRAIN_DELAY_MS", "0")
        // The database client's own debug lines hold every parameter.
        .env("LOG_LEVEL", "debug,async_openai=trace")
        .env("OPENAI_BASE_URL", model.url())
        .env("OPENAI_API_KEY", MODEL_KEY)
        .env("OPENAI_MODEL", "scripted")
        .env("DATABASE_URL", base.pg.database_url.expose_secret())
        .env("REDIS_URL", base.redis.redis_url.expose_secret())
        .env("REDIS_PREFIX", &base.redis.redis_prefix)
        .env("INTERNAL_PUBLIC_KEYS", &base.trust.internal_public_keys)
        .env("INTERNAL_SIGNING_KEY", stage.signing_config().internal_signing_key.expose_secret())
        .env("EMOTION_MASTER_KEY", MASTER_KEY)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(service.stdout.take().unwrap()).lines();
    let mut log = Vec::new();
    let addr: SocketAddr = loop {
        let line = tokio::time::timeout(Duration::from_secs(30), lines.next_line()).await.unwrap().unwrap().unwrap();
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
    say(&mut socket, CANARY).await;
    assert_eq!(hear(&mut socket).await.1["error"]["code"], "reply_interrupted", "this one was garbled in the middle");
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
    for secret in [CANARY.to_owned(), numbers.join(", "), token, MASTER_KEY.to_owned(), MODEL_KEY.to_owned()] {
        let told: Vec<_> = log.iter().filter(|line| line.contains(&secret)).collect();
        assert!(told.is_empty() && !errors.contains(&secret), "{told:?}");
    }
}
