//! The processes a scenario starts, kept together so that every one of them is ended.

use std::{
    ffi::OsStr,
    io,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Stdio,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::{report, trouble::Trouble};

/// How long a process may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// The ports to take from: below the range from which the system takes them for outgoing connections.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Everything started, in the order of starting.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    children: Mutex<Vec<Child>>,
}

impl Processes {
    /// Starts a process that writes into `target/bench/<name>.log`, and returns its id.
    pub(crate) fn start(&self, name: &str, command: &mut Command) -> Result<u32, Trouble> {
        let log = std::fs::File::create(report::directory()?.join(format!("{name}.log")))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // The last resort; `stop_all` asks first.
            .kill_on_drop(true)
            .spawn()
            .map_err(|fault| Trouble::Broken(format!("{name} does not start: {fault}")))?;
        let pid = child.id().ok_or_else(|| Trouble::Broken(format!("{name} ended at once")))?;
        self.children.lock().unwrap_or_else(PoisonError::into_inner).push(child);
        Ok(pid)
    }

    /// Returns how a process ended, or none while it runs.
    pub(crate) fn ending(&self, pid: u32) -> Option<String> {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        let child = children.iter_mut().find(|child| child.id() == Some(pid))?;
        child.try_wait().ok().flatten().map(|status| status.to_string())
    }

    /// Ends every process, the last started first, and waits until it is gone.
    pub(crate) async fn stop_all(&self) {
        let children = std::mem::take(&mut *self.children.lock().unwrap_or_else(PoisonError::into_inner));
        for mut child in children.into_iter().rev() {
            stop(&mut child).await;
        }
    }
}

async fn stop(child: &mut Child) {
    // None if it has ended and has been waited for.
    let Some(pid) = child.id() else { return };
    // Asked rather than killed: a killed nginx would leave its workers behind.
    ask_to_end(pid);
    if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// Asks a process to end, if it is still there.
pub(crate) fn ask_to_end(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// Returns a free port of 127.0.0.1, another one at every call.
pub(crate) fn free_port() -> Result<u16, Trouble> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Runs side by side begin at different places.
    let first = u16::try_from(std::process::id() % u32::from(PORTS.end - PORTS.start)).unwrap_or(0);
    for _ in PORTS {
        let offset = (first + NEXT.fetch_add(1, Ordering::Relaxed)) % (PORTS.end - PORTS.start);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, PORTS.start + offset)).is_ok() {
            return Ok(PORTS.start + offset);
        }
    }
    Err(Trouble::Broken(format!("no port of {PORTS:?} is free")))
}

/// Returns the first of `candidates` that can be run with `argument`, or says how to install it.
pub(crate) async fn find_program<'a>(
    candidates: &[&'a str],
    argument: &str,
    package: &str,
) -> Result<&'a str, Trouble> {
    for candidate in candidates {
        let mut tried = Command::new(candidate);
        tried.arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        match tried.status().await {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
            // wrk answers `-v` with its usage and 1: that it runs is enough.
            Ok(_) => return Ok(candidate),
            Err(fault) => return Err(fault.into()),
        }
    }
    Err(Trouble::Missing(format!(
        "{package} is not installed: run `apt-get install {package}` (macOS: `brew install {package}`)"
    )))
}

/// Returns the end of a process's log, for a sentence about why it does not work.
pub(crate) fn log_tail(name: &str) -> String {
    let text = report::directory()
        .and_then(|directory| std::fs::read_to_string(directory.join(format!("{name}.log"))))
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(8)..).unwrap_or_default().join("\n")
}

/// Returns a command with an empty environment but for the way to programs: nothing of a person's own settings.
pub(crate) fn clean_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
    command
}

/// Checks that a program of this workspace has been built.
pub(crate) fn built(path: &Path, package: &str) -> Result<(), Trouble> {
    if path.is_file() {
        return Ok(());
    }
    let path = path.display();
    Err(Trouble::Missing(format!("{path} is not there: build it with `cargo build --release -p {package}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_different_and_in_range() {
        let (first, second) = (free_port().unwrap(), free_port().unwrap());
        assert_ne!(first, second);
        assert!(PORTS.contains(&first) && PORTS.contains(&second));
    }

    #[tokio::test]
    async fn a_missing_program_is_told_with_its_remedy() {
        let fault = find_program(&["maru-no-such-program"], "-v", "wrk").await.unwrap_err();
        assert_eq!(fault.exit_code(), 2);
        assert!(fault.to_string().contains("apt-get install wrk"), "{fault}");
    }

    #[tokio::test]
    async fn stopping_ends_what_was_started() {
        let processes = Processes::default();
        let pid = processes.start("test-sleep", Command::new("sleep").arg("600")).unwrap();
        assert_eq!(processes.ending(pid), None);
        processes.stop_all().await;
        assert!(!Path::new(&format!("/proc/{pid}/stat")).exists());
    }
}
