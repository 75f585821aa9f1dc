//! A stack of this test's own, which may be started, stopped and thrown away several times.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio_postgres::{Client, NoTls};

use crate::app::App;

/// Longest for something to come back.
pub(crate) const RECOVERY: Duration = Duration::from_secs(30);

/// A data directory and what runs on it; stopped and deleted when this is dropped.
pub(crate) struct Stack {
    data: PathBuf,
    /// `maru-dev status --json`, as it was when everything was ready.
    pub(crate) status: Value,
}

impl Stack {
    /// A place for a stack; nothing runs yet.
    pub(crate) fn new(name: &str) -> Self {
        let data = env::temp_dir().join(format!("maru-restore-{name}-{}", std::process::id()));
        Self { data, status: Value::Null }
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn up(&mut self, arguments: &[&str], environment: &[(&str, &str)]) {
        let mut command = self.command(&["up", "--detach", "--skip-build"]);
        let started = command.args(arguments).envs(environment.iter().copied()).output().expect("maru-dev runs");
        assert!(started.status.success(), "{}", text(&started));
        self.status = serde_json::from_slice(&self.dev(&["status", "--json"]).stdout).expect("a status document");
    }

    /// Runs a command of `maru-dev` on it.
    pub(crate) fn dev(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("maru-dev runs")
    }

    /// Runs a command of `maru-dev` on it, which must succeed.
    pub(crate) fn must(&self, arguments: &[&str]) -> String {
        let output = self.dev(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        text(&output)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maru-dev"));
        command.args(arguments).env("MARU_DATA_DIR", &self.data).env("MARU_PORT", "auto");
        for key in ["DATABASE_URL", "REDIS_URL", "S3_ENDPOINT", "OPENAI_API_KEY", "MAIL_URL", "MARU_PROGRAMS"] {
            command.env_remove(key);
        }
        command
    }

    /// The gateway's address.
    pub(crate) fn gateway(&self) -> &str {
        self.status["gateway_url"].as_str().expect("a gateway")
    }

    /// Where it keeps its data.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The demo organizer.
    pub(crate) async fn organizer(&self) -> App {
        let logins = self.status["demo_logins"].as_array().expect("demo logins");
        let login = logins.iter().find(|login| login["role"] == "organizer").expect("an organizer");
        App::login_with(self.gateway(), login["email"].as_str().unwrap(), login["password"].as_str().unwrap()).await
    }

    /// Runs a command of a service's own program in the surroundings of its first replica.
    pub(crate) fn beside(&self, service: &str, arguments: &[&str]) -> Output {
        let replica = self.status["pids"][service][0].as_u64().expect("a process");
        let environment = std::fs::read(format!("/proc/{replica}/environ")).expect("a process of ours");
        let pairs = environment.split(|byte| *byte == 0).filter_map(|pair| {
            let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        });
        let program = Path::new(env!("CARGO_BIN_EXE_maru-dev")).with_file_name(format!("maru-{service}"));
        Command::new(program).args(arguments).env_clear().envs(pairs).output().expect("the service's program runs")
    }

    /// Fails unless the services' own audits find everything in order.
    pub(crate) fn assert_sound(&self) {
        let verified = text(&self.beside("ticketing", &["verify"]));
        let sound = verified.lines().filter(|line| line.starts_with("ok ")).count();
        assert!(sound >= 18 && !verified.contains("BROKEN"), "{verified}");
        let audited = self.must(&["auth", "audit", "verify"]);
        assert!(audited.contains("the audit chain is whole"), "{audited}");
    }

    /// Ends a process at once, and waits for its end.
    pub(crate) fn kill(pid: u64) {
        assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().expect("kill runs").success());
        let begun = Instant::now();
        while std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
            assert!(begun.elapsed() < RECOVERY, "{pid} does not end");
            std::thread::yield_now();
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What the services said about it is gone with the stack.
            show_faults(&self.data.join("log"));
        }
        let ended = self.dev(&["reset", "--yes"]);
        assert!(ended.status.success() || std::thread::panicking(), "the stack did not end: {}", text(&ended));
        _ = std::fs::remove_dir_all(&self.data);
    }
}

#[expect(clippy::print_stderr, reason = "for whoever reads why a test failed")]
fn show_faults(logs: &Path) {
    for entry in std::fs::read_dir(logs).into_iter().flatten().flatten() {
        let log = std::fs::read_to_string(entry.path()).unwrap_or_default();
        for line in log.lines().filter(|line| line.contains("ERROR") || line.contains("FATAL")).take(5) {
            eprintln!("{}: {line}", entry.file_name().display());
        }
    }
}

/// Connects to a database.
pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(connection);
    client
}

/// What a command wrote.
pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
