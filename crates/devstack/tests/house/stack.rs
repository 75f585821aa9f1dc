//! A stack of this test's own.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Duration,
};

use serde_json::Value;

/// Two of each: what is promised must hold across replicas.
pub(crate) const TWO_OF_EACH: &str = "auth=2,session=2,ticketing=2,emotion=2,memo=2";

/// A running stack; it stops, and its data is deleted, when this is dropped.
pub(crate) struct Stack {
    data: PathBuf,
    /// `maru-dev status --json`, as it was when everything was ready.
    pub(crate) status: Value,
}

impl Stack {
    /// Starts the stack and waits until it is ready.
    pub(crate) fn up(replicas: &str) -> Self {
        let name = format!("maru-house-{}-{}", std::process::id(), std::thread::current().name().unwrap_or("main"));
        let data = std::env::temp_dir().join(name.replace("::", "-"));
        let mut stack = Self { data, status: Value::Null };
        let replicas = format!("--replicas={replicas}");
        let started = stack.dev(&["up", "--detach", "--skip-build", &replicas]);
        assert!(started.status.success(), "{}", text(&started));
        stack.status = stack.read_status();
        stack
    }

    /// Runs a command of `maru-dev` on this stack.
    pub(crate) fn dev(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_maru-dev"))
            .args(arguments)
            .env("MARU_DATA_DIR", &self.data)
            .env("MARU_PORT", "auto")
            .env_remove("DATABASE_URL")
            .env_remove("REDIS_URL")
            .env_remove("S3_ENDPOINT")
            .env_remove("OPENAI_API_KEY")
            .output()
            .expect("maru-dev runs")
    }

    /// Reads the status document as it is now.
    pub(crate) fn read_status(&self) -> Value {
        serde_json::from_slice(&self.dev(&["status", "--json"]).stdout).expect("a status document")
    }

    /// Returns the gateway's address.
    pub(crate) fn gateway(&self) -> &str {
        self.status["gateway_url"].as_str().expect("a gateway")
    }

    /// Returns the processes of a part, as they are now.
    pub(crate) fn pids(&self, part: &str) -> Vec<i32> {
        match &self.read_status()["pids"][part] {
            Value::Array(pids) => pids.iter().filter_map(pid).collect(),
            one => pid(one).into_iter().collect(),
        }
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

    /// Returns where the stack keeps its data.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let ended = self.dev(&["reset", "--yes"]);
        assert!(ended.status.success() || std::thread::panicking(), "the stack did not end: {}", text(&ended));
        _ = std::fs::remove_dir_all(&self.data);
    }
}

fn pid(value: &Value) -> Option<i32> {
    value.as_i64().and_then(|pid| i32::try_from(pid).ok())
}

/// Returns what a command wrote.
pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Longest for a part to come back after it was killed.
pub(crate) const RECOVERY: Duration = Duration::from_secs(20);
