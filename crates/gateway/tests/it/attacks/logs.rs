//! What a client writes does not become a line in the log, and what it shows does not become part of one.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use chassis::token::KeyPair;
use domain::principal::Service;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

use crate::{
    scripted::{echo, nobody},
    stage::{SECRET, token},
    tickets::{GOOD, person},
};

/// Starts the program itself, saying as much as it can.
async fn program() -> Child {
    let keys = KeyPair::generate("gateway.1").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_maru-gateway"));
    command.arg("serve").env_clear().envs([
        ("HOST", "127.0.0.1"),
        ("PORT", "0"),
        ("ADMIN_PORT", "0"),
        ("LOG_LEVEL", "debug"),
        ("LOG_FORMAT", "json"),
        ("MARU_ENV", "development"),
        ("REDIS_URL", "redis://127.0.0.1:1"),
        ("DRAIN_DELAY_MS", "0"),
        ("JWT_SECRET", SECRET),
        ("INTERNAL_SIGNING_KEY", keys.private_pem.expose_secret()),
    ]);
    for service in Service::BEHIND_GATEWAY {
        // One is away, so that failures are logged too.
        let addr = if service == Service::Memo { nobody().await } else { echo(service.name()) };
        command.env(format!("{}_URLS", service.name().to_uppercase()), format!("http://{addr}"));
    }
    command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_40_every_line_of_the_log_is_one_object_and_holds_no_secret() {
    let mut program = program().await;
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let mut logged = Vec::new();
    let addr: SocketAddr = loop {
        let line = lines.next_line().await.unwrap().unwrap();
        let entry: Value = serde_json::from_str(&line).unwrap();
        logged.push(line);
        if entry["message"] == "serving" {
            break entry["addr"].as_str().unwrap().parse().unwrap();
        }
    };
    let access = token(person(), Duration::from_mins(5));
    let breakout = "\",\"level\":\"FATAL\",\"message\":\"pwned";
    let requests = [
        format!("GET /api/v1/events?q={breakout} HTTP/1.1\r\nuser-agent: \x1b[31mred{breakout}\r\n"),
        "GET /api/v1/events/%0d%0aINJECTED%1b%5b31m HTTP/1.1\r\nuser-agent: a\tb\r\n".to_owned(),
        format!("GET /nowhere{breakout} HTTP/1.1\r\nx-request-id: {breakout}\r\n"),
        format!("GET /memo/list?token={access} HTTP/1.1\r\nauthorization: Bearer {access}\r\n"),
        format!("GET /session/list HTTP/1.1\r\ncookie: maru_at={access}; maru_rt=refresh-secret\r\n"),
        format!("GET /session/list HTTP/1.1\r\nauthorization: Bearer {access}x\r\n"),
        format!("GET /api/v1/sessions/s1/stream?ticket={GOOD} HTTP/1.1\r\n"),
        "POST /login HTTP/1.1\r\ncontent-length: 25\r\n\r\n{\"password\":\"hunter2-no\"}".to_owned(),
        format!("GET /{} HTTP/1.1\r\nuser-agent: {}\r\n", "\u{7f}", "é\u{202e}"),
    ];
    for request in requests {
        let (head, body) = request.split_once("\r\n\r\n").unwrap_or((request.trim_end(), ""));
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let request = format!("{head}\r\nhost: x\r\nconnection: close\r\ntraceparent: 00-{breakout}\r\n\r\n{body}");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    }
    program.kill().await.unwrap();
    while let Some(line) = lines.next_line().await.unwrap() {
        logged.push(line);
    }
    assert!(logged.len() > 8, "{logged:#?}");
    for line in &logged {
        let entry: Value = serde_json::from_str(line).unwrap();
        assert!(entry["level"] != "FATAL" && entry["message"] != "pwned", "{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
        for secret in [access.as_str(), GOOD, "refresh-secret", "hunter2", SECRET, "INJECTED"] {
            assert!(!line.contains(secret), "{secret}: {line}");
        }
    }
}
