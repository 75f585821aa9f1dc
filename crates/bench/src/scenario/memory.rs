//! How much memory each service of the running platform holds.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Deserialize;
use serde_json::json;
use tokio::process::Command;

use super::Verdict;
use crate::{
    cpu,
    figures::float,
    report::{Bound, Goal, Report, Table, target_directory},
    trouble::Trouble,
};

/// What an idle service may hold, in MB.
const GOAL: f64 = 20.0;

/// The processes of the platform that have a goal.
const SERVICES: [&str; 6] = ["gateway", "auth", "session", "ticketing", "emotion", "memo"];

/// What is needed of `maru-dev status --json`.
#[derive(Debug, Deserialize)]
struct Status {
    pids: BTreeMap<String, Pids>,
}

/// One process, or the replicas of a service.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Pids {
    One(u32),
    Several(Vec<u32>),
}

impl Pids {
    fn list(&self) -> &[u32] {
        match self {
            Self::One(pid) => std::slice::from_ref(pid),
            Self::Several(pids) => pids,
        }
    }
}

/// Reads and reports.
pub(crate) async fn run() -> Result<Verdict, Trouble> {
    let status = ask().await?;
    let mut report = Report::open("memory").await;
    let mut table = Table::new("Resident memory", &["process", "pid", "MB", "build"]);
    let mut figures = Vec::new();
    for (name, pids) in &status.pids {
        for pid in pids.list() {
            let Some(kb) = cpu::resident_kb(*pid) else {
                report.note(format!("{name} ({pid}) cannot be read: it is gone, or this is no Linux"));
                continue;
            };
            let megabytes = float(kb) / 1024.0;
            let build = build_of(*pid);
            table.row([name.clone(), pid.to_string(), format!("{megabytes:.1}"), build.to_owned()]);
            figures.push(json!({ "process": name, "pid": pid, "megabytes": megabytes, "build": build }));
            if SERVICES.contains(&name.as_str()) {
                report.goal(Goal { what: format!("{name} MB"), measured: megabytes, bound: Bound::AtMost(GOAL) });
                if build == "debug" {
                    report.note(format!("{name} is a debug build: the goal is of release builds"));
                }
            }
        }
    }
    report.table(table);
    report.figures(json!(figures));
    report.publish()?;
    Ok(Verdict::Passed)
}

async fn ask() -> Result<Status, Trouble> {
    let program = find_maru_dev()?;
    let output = Command::new(&program).args(["status", "--json"]).kill_on_drop(true).output().await?;
    serde_json::from_slice(&output.stdout).map_err(|fault| {
        let said = String::from_utf8_lossy(&output.stderr);
        Trouble::Missing(format!("the platform does not run ({fault}): start it with `make run` first\n{said}"))
    })
}

/// Finds `maru-dev` beside this program, else among what was built.
fn find_maru_dev() -> Result<PathBuf, Trouble> {
    let beside = std::env::current_exe()?.with_file_name("maru-dev");
    let target = target_directory();
    [beside, target.join("release/maru-dev"), target.join("debug/maru-dev")]
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| Trouble::Missing("maru-dev is not built: start the platform with `make run` first".to_owned()))
}

/// Returns how a process's program was built, by where it lies.
fn build_of(pid: u32) -> &'static str {
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let is_below = |name: &str| program.components().any(|part| part.as_os_str() == name);
    match (is_below("release"), is_below("debug")) {
        (true, _) => "release",
        (_, true) => "debug",
        _ => "-",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_with_lists_and_single_pids() {
        let json = r#"{ "gateway_url": "http://127.0.0.1:8080", "offline_llm": true,
            "pids": { "gateway": [11], "auth": [12, 13], "postgres": 14, "maru_dev": 15 } }"#;
        let status: Status = serde_json::from_str(json).unwrap();
        assert_eq!(status.pids["auth"].list(), [12, 13]);
        assert_eq!(status.pids["postgres"].list(), [14]);
    }
}
