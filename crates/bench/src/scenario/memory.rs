//! How much memory each service of the running platform holds.

use serde_json::json;

use super::Verdict;
use crate::{
    cpu,
    figures::float,
    platform::Platform,
    report::{Bound, Goal, Report, Table},
    trouble::Trouble,
};

/// What an idle service may hold, in MB.
const GOAL: f64 = 20.0;

/// The processes of the platform that have a goal.
const SERVICES: [&str; 6] = ["gateway", "auth", "session", "ticketing", "emotion", "memo"];

/// Reads and reports.
pub(crate) async fn run() -> Result<Verdict, Trouble> {
    let status = Platform::ask().await?;
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
