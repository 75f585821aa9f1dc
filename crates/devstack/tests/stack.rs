//! `maru-dev` as a person uses it, with PostgreSQL, Redis and object storage but without the services.

#![expect(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a helper of a test may end it")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, getsid, kill_process, test_kill_process};
use serde_json::Value;

/// A stack of its own, gone with all its data at the end of the test.
struct Stack {
    data: PathBuf,
}

impl Stack {
    fn new(name: &str) -> Self {
        let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stack-{name}-{}", std::process::id()));
        Self { data }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maru-dev"));
        command.args(arguments).env("MARU_DATA_DIR", &self.data).env("MARU_PORT", "auto");
        for key in ["DATABASE_URL", "REDIS_URL", "S3_ENDPOINT", "MARU_ENV"] {
            command.env_remove(key);
        }
        command.output().expect("maru-dev runs")
    }

    fn up(&self) {
        let output = self.run(&["up", "--detach", "--parts-only"]);
        assert!(output.status.success(), "{}", text(&output));
    }

    fn status(&self) -> Value {
        let output = self.run(&["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no document: {}", text(&output)))
    }

    fn pid(&self, name: &str) -> Pid {
        let pid = self.status()["pids"][name].as_i64().expect("a process id");
        Pid::from_raw(i32::try_from(pid).expect("a small number")).expect("not zero")
    }

    /// Asks for the status until it says ready; a part that died takes a moment to come back.
    fn wait_until_ready(&self) {
        let begun = Instant::now();
        while !self.run(&["status"]).status.success() {
            assert!(begun.elapsed() < Duration::from_secs(20), "{}", text(&self.run(&["status"])));
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.run(&["reset", "--yes"]);
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Kills a process and waits for its end, which is a moment after the signal.
fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).expect("it runs");
    let begun = Instant::now();
    while !has_ended(pid) {
        assert!(begun.elapsed() < Duration::from_secs(10), "{pid:?} does not end");
        std::thread::yield_now();
    }
}

/// Whether it has ended; nobody may have collected it yet.
fn has_ended(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    test_kill_process(pid).is_err() || stat.contains(") Z ")
}

#[test]
fn a_stack_starts_refuses_a_second_one_and_stops() {
    let stack = Stack::new("life");
    assert!(text(&stack.run(&["status"])).contains("Maru is not running"));
    stack.up();
    let before = stack.status();
    assert!(before["ready"].as_object().expect("parts").values().all(|ready| ready == true), "{before}");
    let second = stack.run(&["up", "--parts-only"]);
    assert!(!second.status.success());
    let sentence = text(&second);
    assert!(sentence.contains("already running, pid") && sentence.contains("maru-dev down"), "{sentence}");

    let processes = ["maru_dev", "postgres", "redis"].map(|name| stack.pid(name));
    for part in &processes[1..] {
        assert_eq!(getsid(Some(*part)).expect("it runs"), *part, "the terminal's Ctrl-C is not for the parts");
    }
    assert!(stack.run(&["down"]).status.success());
    assert!(processes.into_iter().all(has_ended));

    stack.up();
    let after = stack.status();
    assert_eq!(after["database_urls"], before["database_urls"], "ports and passwords are kept");
    assert_eq!(after["s3"], before["s3"]);
}

#[test]
fn a_part_that_dies_comes_back() {
    let stack = Stack::new("restart");
    stack.up();
    let (postgres, redis) = (stack.pid("postgres"), stack.pid("redis"));
    kill(postgres);
    kill(redis);
    stack.wait_until_ready();
    assert_ne!(stack.pid("postgres"), postgres);
    assert_ne!(stack.pid("redis"), redis);
}

#[test]
fn what_a_killed_stack_left_is_ended_by_the_next_command() {
    let stack = Stack::new("reap");
    stack.up();
    let (postgres, redis) = (stack.pid("postgres"), stack.pid("redis"));
    kill(stack.pid("maru_dev"));
    stack.up();
    assert!(has_ended(postgres) && has_ended(redis));

    let (postgres, redis) = (stack.pid("postgres"), stack.pid("redis"));
    kill(stack.pid("maru_dev"));
    let down = stack.run(&["down"]);
    assert!(text(&down).contains("postgres"), "{}", text(&down));
    assert!(has_ended(postgres) && has_ended(redis));
}

#[test]
fn keys_and_passwords_appear_in_no_log_and_on_no_terminal() {
    let stack = Stack::new("secrets");
    let shown = text(&stack.run(&["up", "--detach", "--parts-only"])) + &text(&stack.run(&["status"]));
    let document = stack.status();
    let url = document["database_urls"]["auth"].as_str().expect("a URL");
    let password = url.split(':').nth(2).and_then(|rest| rest.split('@').next()).expect("a password");
    let keys: Value =
        serde_json::from_slice(&std::fs::read(stack.data.join("secrets.json")).expect("keys")).expect("a document");
    let mut written = shown;
    for entry in std::fs::read_dir(stack.data.join("log")).expect("logs") {
        written += &std::fs::read_to_string(entry.expect("an entry").path()).expect("a log");
    }
    for secret in
        [password, keys["jwt_secret"].as_str().expect("a key"), keys["s3_secret_access_key"].as_str().expect("a key")]
    {
        assert!(!written.contains(secret), "a secret was shown");
    }
}
