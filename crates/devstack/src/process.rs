//! Processes and their identity.
//!
//! A process id alone names nothing: after a crash the system may have given it to a stranger. Every record therefore
//! holds the id, the time the process started and its name, and a process is signalled only while all three agree.

use std::{process::Command, time::Duration};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

/// How often an ending process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One process, told apart from every other that had or will have its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Process id.
    pub(crate) pid: u32,
    /// When it started, in the system's own notation.
    started: String,
    /// Its name as the system shows it.
    name: String,
}

/// How a process is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stop {
    /// SIGTERM to its process group, SIGKILL to the group when it does not listen.
    Group,
    /// SIGTERM to the process alone, then SIGKILL: its group may be a person's shell job.
    Alone,
    /// PostgreSQL: SIGINT (disconnect everyone, write a checkpoint), then SIGQUIT. Its backends have groups of their
    /// own and end by themselves when the postmaster is gone.
    Postgres,
}

impl Identity {
    /// The process with this id, unless it has ended (a zombie has).
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let (name, started) = look_up(pid)?;
        Some(Self { pid, started, name })
    }

    /// This process.
    pub(crate) fn own() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// Whether this very process still runs.
    pub(crate) fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Its name as the system shows it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Asks it to end.
    pub(crate) fn ask(&self, stop: Stop) {
        match stop {
            Stop::Group | Stop::Alone => self.signal(stop, Signal::TERM),
            Stop::Postgres => self.signal(stop, Signal::INT),
        }
    }

    /// Asks it to end without waiting for anyone.
    pub(crate) fn press(&self, stop: Stop) {
        match stop {
            Stop::Group | Stop::Alone => self.signal(stop, Signal::KILL),
            Stop::Postgres => self.signal(stop, Signal::QUIT),
        }
    }

    /// Ends it.
    pub(crate) fn kill(&self, stop: Stop) {
        self.signal(stop, Signal::KILL);
    }

    /// Waits until it has ended; false when it has not within `limit`.
    pub(crate) async fn ended_within(&self, limit: Duration) -> bool {
        let watch = async {
            while self.is_alive() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(limit, watch).await.is_ok()
    }

    fn signal(&self, stop: Stop, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        if let (Some(pid), true) = (pid, self.is_alive()) {
            // A failure means that it ended in between, which is what was asked for.
            let _ = match stop {
                Stop::Group => kill_process_group(pid, signal).or_else(|_| kill_process(pid, signal)),
                Stop::Alone | Stop::Postgres => kill_process(pid, signal),
            };
        }
    }
}

#[cfg(target_os = "linux")]
fn look_up(pid: u32) -> Option<(String, String)> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn look_up(pid: u32) -> Option<(String, String)> {
    let output = Command::new("ps").args(["-o", "stat=,lstart=,comm=", "-p", &pid.to_string()]).output().ok()?;
    parse_ps(&String::from_utf8_lossy(&output.stdout))
}

/// Name and start time from `/proc/<pid>/stat`. The name stands in parentheses and may hold any character, also a
/// closing parenthesis, so the fields are counted from the last one.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "Linux only"))]
fn parse_stat(stat: &str) -> Option<(String, String)> {
    let (before, after) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1;
    let mut fields = after.split_ascii_whitespace();
    let state = fields.next()?;
    // The state is field 3 of the file, the start time field 22.
    let started = fields.nth(18)?;
    (!matches!(state, "Z" | "X")).then(|| (name.to_owned(), started.to_owned()))
}

/// Name and start time from `ps -o stat=,lstart=,comm=`; the start time is five words ("Fri Nov 21 02:14:00 2026").
#[cfg_attr(target_os = "linux", cfg_attr(not(test), expect(dead_code, reason = "everywhere but on Linux")))]
fn parse_ps(output: &str) -> Option<(String, String)> {
    let mut words = output.split_whitespace();
    let state = words.next()?;
    let started: Vec<&str> = words.by_ref().take(5).collect();
    let path = words.collect::<Vec<_>>().join(" ");
    let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    (!state.starts_with('Z')).then(|| (name.to_owned(), started.join(" ")))
}

/// Where the program `name` of a process works, if the system tells. Used to recognise a database by its directory.
pub(crate) fn working_directory(pid: u32) -> Option<std::path::PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// Runs a short program and returns its standard output; `None` when it cannot be run or fails.
pub(crate) fn output_of(program: &std::path::Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(std::process::Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a) b(c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 100 2 18446744073709551615";
        assert_eq!(parse_stat(stat), Some(("a) b(c".to_owned(), "987654".to_owned())));
    }

    #[test]
    fn a_zombie_has_ended() {
        let stat = "42 (a) Z 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 987654 100 2 18446744073709551615";
        assert_eq!(parse_stat(stat), None);
        assert_eq!(parse_ps("Z+   Fri Nov 21 02:14:00 2026 (postgres)\n"), None);
    }

    #[test]
    fn ps_tells_name_and_start() {
        assert_eq!(
            parse_ps("Ss   Fri Nov 21 02:14:00 2026 /opt/homebrew/bin/postgres\n"),
            Some(("postgres".to_owned(), "Fri Nov 21 02:14:00 2026".to_owned()))
        );
        assert_eq!(parse_ps("\n"), None);
    }

    #[test]
    fn a_recycled_id_is_not_the_recorded_process() {
        let own = Identity::own().expect("this process runs");
        assert!(own.is_alive());
        assert!(!Identity { started: "1".to_owned(), ..own.clone() }.is_alive());
        assert!(!Identity { name: "postgres".to_owned(), ..own }.is_alive());
    }
}
