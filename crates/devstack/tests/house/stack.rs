//! A stack of this test's own.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use reqwest::Method;
use serde_json::Value;
use testkit::smtp::Mail;

use crate::{attacks::say, person::Person};

/// Several of each, gateways too: what is promised must hold across replicas.
pub(crate) const SEVERAL_OF_EACH: &str = "gateway=2,auth=2,session=2,ticketing=3,emotion=2,memo=2";

/// What everybody passes through.
pub(crate) const GATEWAY: &str = "gateway";
/// In the order of an upgrade: those that are asked before those that ask.
pub(crate) const PARTS: [&str; 6] = ["auth", "session", "ticketing", "emotion", "memo", GATEWAY];

/// The argument that makes Redis a cluster.
pub(crate) const CLUSTER: &str = "--redis-cluster";
/// The argument that gives PostgreSQL a standby.
pub(crate) const STANDBY: &str = "--postgres-standby";

/// A place for a stack, and what runs there; it stops, and its data is deleted, when this is dropped.
pub(crate) struct Stack {
    data: PathBuf,
    /// `maru-dev status --json`, as it was when everything was ready.
    pub(crate) status: Value,
}

impl Stack {
    /// Starts the stack and waits until it is ready.
    pub(crate) fn up(replicas: &str) -> Self {
        Self::up_with(replicas, &[])
    }

    /// Starts the stack with more in its environment.
    pub(crate) fn up_with(replicas: &str, environment: &[(&str, &str)]) -> Self {
        Self::up_as(&[&format!("--replicas={replicas}")], environment)
    }

    /// Starts the stack with these arguments, and more in its environment.
    pub(crate) fn up_as(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut stack = Self::new();
        stack.start(arguments, environment);
        stack
    }

    /// Makes a place for a stack; nothing runs yet.
    pub(crate) fn new() -> Self {
        let name = format!("maru-house-{}-{}", std::process::id(), std::thread::current().name().unwrap_or("main"));
        let data = std::env::temp_dir().join(name.replace("::", "-"));
        Self { data, status: Value::Null }
    }

    /// Starts it, or starts it again, and waits until it is ready. What the tests run on it runs on too: Redis
    /// as a cluster, PostgreSQL with a standby.
    pub(crate) fn start(&mut self, arguments: &[&str], environment: &[(&str, &str)]) {
        let mut up = self.command(&["up", "--detach", "--skip-build"]);
        up.args(arguments);
        for (argument, url, sign) in [
            (CLUSTER, "MARU_TEST_REDIS_URL", "redis+cluster:"),
            (STANDBY, "MARU_TEST_DATABASE_URL", "target_session_attrs="),
        ] {
            let of_the_tests = testkit::settings::optional(url).unwrap_or_default();
            if of_the_tests.contains(sign) && !arguments.contains(&argument) {
                up.arg(argument);
            }
        }
        let started = up.envs(environment.iter().copied()).output().expect("maru-dev runs");
        assert!(started.status.success(), "{}", text(&started));
        self.status = self.read_status();
    }

    /// Runs a command of `maru-dev` on this stack.
    pub(crate) fn dev(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("maru-dev runs")
    }

    /// Runs a command of `maru-dev` on this stack that must succeed, and returns what it wrote.
    pub(crate) fn must(&self, arguments: &[&str]) -> String {
        let output = self.dev(arguments);
        let written = text(&output);
        assert!(output.status.success(), "{arguments:?}: {written}");
        written
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maru-dev"));
        command.args(arguments).env("MARU_DATA_DIR", &self.data).env("MARU_PORT", "auto").env_remove("MARU_PROGRAMS");
        for key in ["DATABASE_URL", "REDIS_URL", "S3_ENDPOINT", "OPENAI_API_KEY", "MAIL_URL", "GOOGLE_CLIENT_ID"] {
            command.env_remove(key);
        }
        command
    }

    /// Reads the status document as it is now.
    pub(crate) fn read_status(&self) -> Value {
        serde_json::from_slice(&self.dev(&["status", "--json"]).stdout).expect("a status document")
    }

    /// Returns the address that people use, which is the first gateway's.
    pub(crate) fn gateway(&self) -> &str {
        self.status["gateway_url"].as_str().expect("a gateway")
    }

    /// Returns the addresses of all gateways.
    pub(crate) fn gateways(&self) -> Vec<&str> {
        urls(&self.status["gateway_urls"])
    }

    /// Returns the addresses of the gateways' probes, in the same order.
    pub(crate) fn probes(&self) -> Vec<&str> {
        urls(&self.status["gateway_admin_urls"])
    }

    /// Reads which processes there are, without asking any of them how it is.
    pub(crate) fn state(&self) -> Value {
        let text = std::fs::read(self.data.join("state.json")).expect("the state of the house");
        serde_json::from_slice(&text).expect("a document")
    }

    /// Returns where the replicas of a part say whether they are ready.
    pub(crate) fn probes_of(&self, part: &str) -> Vec<&str> {
        if part == GATEWAY { self.probes() } else { urls(&self.status["services"][part]) }
    }

    /// Returns whether every process of every part finds all that it leans on in order.
    pub(crate) async fn is_well(&self) -> bool {
        for probe in PARTS.iter().flat_map(|part| self.probes_of(part)) {
            let answer = Person::stranger(probe).try_send(Method::GET, "/readyz", None).await;
            if !answer.is_ok_and(|answer| answer.json["status"] == "ok") {
                return false;
            }
        }
        true
    }

    /// Returns the processes of a part, as they are now.
    pub(crate) fn pids(&self, part: &str) -> Vec<i32> {
        Self::pids_in(&self.read_status(), part)
    }

    /// Returns the processes of a part in a status document.
    pub(crate) fn pids_in(status: &Value, part: &str) -> Vec<i32> {
        match &status["pids"][part] {
            Value::Array(pids) => pids.iter().filter_map(pid).collect(),
            one => pid(one).into_iter().collect(),
        }
    }

    /// Returns the processes of Redis: one, or those of a cluster.
    pub(crate) fn redis(&self) -> Vec<i32> {
        ["redis", "redis_nodes"].iter().flat_map(|part| self.pids(part)).collect()
    }

    /// Reads the environment of the first replica of a service.
    pub(crate) fn environment(&self, service: &str) -> BTreeMap<String, String> {
        let [replica, ..] = self.pids(service)[..] else { panic!("no {service}") };
        let environment = std::fs::read(format!("/proc/{replica}/environ")).expect("a process of ours");
        let pairs = environment.split(|byte| *byte == 0).filter_map(|pair| {
            let (name, value) = std::str::from_utf8(pair).ok()?.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        });
        pairs.collect()
    }

    /// Returns the program of a service.
    pub(crate) fn program(service: &str) -> PathBuf {
        Path::new(env!("CARGO_BIN_EXE_maru-dev")).with_file_name(format!("maru-{service}"))
    }

    /// Sends a signal to a process.
    pub(crate) fn signal(pid: i32, signal: &str) {
        let sent = Command::new("kill").args([signal, &pid.to_string()]).status().expect("kill runs");
        assert!(sent.success(), "kill {signal} {pid}");
    }

    /// Kills a process and waits for its end, which is a moment after the signal.
    pub(crate) fn kill(pid: i32) {
        Self::signal(pid, "-KILL");
        let begun = std::time::Instant::now();
        let runs = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        while runs() {
            assert!(begun.elapsed() < RECOVERY, "{pid} does not end");
            std::thread::yield_now();
        }
    }

    /// Returns everything the stack has logged so far.
    pub(crate) fn logs(&self) -> String {
        let mut all = String::new();
        let mut folders = vec![self.data.join("log")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    all.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()));
                }
            }
        }
        all
    }

    /// Returns the newest letter to an address that `is_wanted`, once it is there.
    pub(crate) async fn letter(&self, to: &str, is_wanted: impl Fn(&Mail) -> bool) -> Mail {
        let begun = std::time::Instant::now();
        loop {
            let mut found = self.letters(to);
            found.retain(|(_, mail)| is_wanted(mail));
            found.sort_by_key(|(written, _)| *written);
            if let Some((_, mail)) = found.pop() {
                return mail;
            }
            assert!(begun.elapsed() < RECOVERY, "no letter to {to}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn letters(&self, to: &str) -> Vec<(std::time::SystemTime, Mail)> {
        let entries = std::fs::read_dir(self.data.join("mail")).into_iter().flatten().flatten();
        let letters = entries.filter_map(|entry| {
            let data = std::fs::read(entry.path()).ok()?;
            let mail = Mail { from: String::new(), to: Vec::new(), data };
            // Read in the middle of being written, it has no end yet and is looked at again.
            mail.header("to").contains(to).then_some((entry.metadata().ok()?.modified().ok()?, mail))
        });
        letters.collect()
    }

    /// Runs a command of a service's own program in the surroundings of one of its replicas.
    pub(crate) fn beside(&self, service: &str, arguments: &[&str]) -> Output {
        let mut program = Command::new(Self::program(service));
        program
            .args(arguments)
            .env_clear()
            .envs(self.environment(service))
            .output()
            .expect("the service's program runs")
    }

    /// Fails unless ticketing's own audit finds everything in order; returns how many checks it has made.
    pub(crate) fn assert_nothing_sold_is_broken(&self) -> usize {
        let verified = self.beside("ticketing", &["verify"]);
        let findings = text(&verified);
        assert!(verified.status.success(), "{findings}");
        let checks = findings.lines().filter(|line| line.starts_with("ok ")).count();
        assert!(checks >= 18 && !findings.contains("BROKEN"), "{findings}");
        checks
    }

    /// Fails unless the services' own audits find everything in order.
    pub(crate) fn assert_sound(&self) {
        self.assert_nothing_sold_is_broken();
        let audited = self.must(&["auth", "audit", "verify"]);
        assert!(audited.contains("the audit chain is whole"), "{audited}");
    }

    /// Logs in a demo account that has this role.
    pub(crate) async fn demo_person(&self, role: &str) -> Person {
        let logins = self.status["demo_logins"].as_array().expect("demo logins");
        let login = logins.iter().find(|login| login["role"] == role).expect("one of each role");
        let field = |name: &str| login[name].as_str().expect("a text");
        Person::login(self.gateway(), field("email"), field("password")).await
    }

    /// Reads the keys of the house, as only its owner can.
    pub(crate) fn secrets(&self) -> Value {
        let text = std::fs::read(self.data.join("secrets.json")).expect("the keys of the house");
        serde_json::from_slice(&text).expect("a document")
    }

    /// Returns where the stack keeps its data.
    pub(crate) fn data(&self) -> &Path {
        &self.data
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

fn show_faults(logs: &Path) {
    for entry in std::fs::read_dir(logs).into_iter().flatten().flatten() {
        let log = std::fs::read_to_string(entry.path()).unwrap_or_default();
        for line in log.lines().filter(|line| line.contains("ERROR") || line.contains("FATAL")).take(5) {
            say(&format!("{}: {line}", entry.file_name().display()));
        }
    }
}

fn urls(value: &Value) -> Vec<&str> {
    value.as_array().expect("addresses").iter().map(|url| url.as_str().expect("an address")).collect()
}

fn pid(value: &Value) -> Option<i32> {
    value.as_i64().and_then(|pid| i32::try_from(pid).ok())
}

/// Returns what a command wrote.
pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Longest for something to come back after it was taken away.
pub(crate) const RECOVERY: Duration = Duration::from_secs(30);
