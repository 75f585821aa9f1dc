//! What a test sees and does behind the service's back: rows, and the binary in a process of its own.

use std::{net::SocketAddr, process::Stdio, sync::Arc, time::Duration};

use diesel::{
    QueryableByName, sql_query,
    sql_types::{BigInt, Text},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use domain::principal::{Principal, Service};
use secrecy::ExposeSecret;
use serde_json::Value;
use testkit::Stage;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child as Process, Command},
    sync::Mutex,
};

use crate::SECRET;

/// Longest to wait for a process to listen, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

#[derive(QueryableByName)]
struct Shown {
    #[diesel(sql_type = Text)]
    shown: String,
}

/// Counts the rows of a table, or of a table and a condition: `logins WHERE revoked_at IS NULL`.
pub(crate) async fn count(stage: &Stage, rows: &str) -> i64 {
    let mut conn = stage.pg().conn().await.unwrap();
    let counted: Counted =
        sql_query(format!("SELECT count(*) AS count FROM {rows}")).get_result(&mut *conn).await.unwrap();
    counted.count
}

/// Returns every row of a table, or of a table and a condition, as text.
pub(crate) async fn dump(stage: &Stage, rows: &str) -> Vec<String> {
    let mut conn = stage.pg().conn().await.unwrap();
    let table = rows.split(' ').next().unwrap_or_default();
    let shown: Vec<Shown> =
        sql_query(format!("SELECT {table}::text AS shown FROM {rows}")).load(&mut *conn).await.unwrap();
    shown.into_iter().map(|row| row.shown).collect()
}

/// Runs statements.
pub(crate) async fn execute(stage: &Stage, sql: &str) {
    try_to(stage, sql).await.unwrap();
}

/// Runs statements that may be refused.
pub(crate) async fn try_to(stage: &Stage, sql: &str) -> Result<(), diesel::result::Error> {
    let mut conn = stage.pg().conn().await.unwrap();
    conn.batch_execute(sql).await
}

/// Makes messages that wait in the outbox due now.
pub(crate) async fn hurry(stage: &Stage, topic: &str) {
    execute(stage, &format!("UPDATE outbox SET due_at = clock_timestamp() WHERE topic = '{topic}'")).await;
}

/// `maru-auth` in a process of its own; killed when it is dropped.
pub(crate) struct Child {
    process: Process,
    addr: SocketAddr,
    http: reqwest::Client,
    log: Arc<Mutex<Vec<String>>>,
    readers: Vec<tokio::task::JoinHandle<()>>,
}

/// Describes a process on a stage's database, Redis and keys.
pub(crate) fn command(stage: &Stage, environment: &str) -> Command {
    let base = stage.base_config();
    let mut command = Command::new(env!("CARGO_BIN_EXE_maru-auth"));
    command
        .env_clear()
        .env("MARU_ENV", environment)
        .env("HOST", "127.0.0.1")
        .env("PORT", "0")
        .env("DRAIN_DELAY_MS", "0")
        .env("RATE_LIMITS", "generous")
        .env("JWT_SECRET", SECRET)
        .env("DATABASE_URL", base.pg.database_url.expose_secret())
        .env("REDIS_URL", base.redis.redis_url.expose_secret())
        .env("REDIS_PREFIX", &base.redis.redis_prefix)
        .env("INTERNAL_PUBLIC_KEYS", &base.trust.internal_public_keys)
        .env("INTERNAL_SIGNING_KEY", stage.signing_config().internal_signing_key.expose_secret())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs one of the binary's commands to its end: whether it went well, and everything it said.
pub(crate) async fn run(stage: &Stage, environment: &str, arguments: &[&str]) -> (bool, String) {
    let output = tokio::time::timeout(PATIENCE, command(stage, environment).args(arguments).output());
    let output = output.await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.success(), said)
}

impl Child {
    /// Starts the binary with more settings and waits until it listens.
    pub(crate) async fn start(stage: &Stage, settings: &[(&str, &str)]) -> Self {
        let mut command = command(stage, "development");
        command.arg("serve").envs(settings.iter().copied());
        let mut process = command.spawn().unwrap();
        let log = Arc::default();
        let readers = vec![
            read(process.stdout.take().unwrap(), Arc::clone(&log)),
            read(process.stderr.take().unwrap(), Arc::clone(&log)),
        ];
        let addr = tokio::time::timeout(PATIENCE, listening(&log)).await;
        assert!(addr.is_ok(), "it does not listen: {:?}", log.lock().await);
        let addr = addr.unwrap();
        Self { process, addr, http: testkit::http_client(), log, readers }
    }

    /// Posts JSON as the gateway does for a person, or for nobody.
    pub(crate) async fn post(
        &self,
        stage: &Stage,
        person: Option<Principal>,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> (u16, Value) {
        let token = stage.signer().mint(Service::Auth, person, chassis::clock::Clock::system().now()).unwrap();
        let mut request = self.http.post(format!("http://{}{path}", self.addr)).bearer_auth(token).json(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    /// Ends it without a word, as a power cut does.
    pub(crate) async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    /// Ends it as a deployment does, and returns everything it has said.
    pub(crate) async fn stop(mut self) -> Vec<String> {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.process.id().unwrap()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        tokio::time::timeout(PATIENCE, self.process.wait()).await.unwrap().unwrap();
        for reader in self.readers {
            reader.await.unwrap();
        }
        std::mem::take(&mut *self.log.lock().await)
    }
}

async fn listening(log: &Mutex<Vec<String>>) -> SocketAddr {
    loop {
        for line in log.lock().await.iter() {
            let line: Value = serde_json::from_str(line).unwrap_or_default();
            let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
            if text("message") == "serving" {
                return text("addr").parse().unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn read(from: impl AsyncRead + Send + Unpin + 'static, log: Arc<Mutex<Vec<String>>>) -> tokio::task::JoinHandle<()> {
    let mut lines = BufReader::new(from).lines();
    #[expect(clippy::disallowed_methods, reason = "ends with the process it reads from")]
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            log.lock().await.push(line);
        }
    })
}
