//! `maru-dev up --detach`: the same stack without a terminal.
//!
//! A second `maru-dev` runs the stack in a session of its own, so that closing the terminal does not reach it; this one
//! shows its progress and leaves when everything is ready.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use tokio::process::{Child, Command};

use crate::{
    fault::Fault,
    files,
    lock::Lock,
    process::{Identity, Stop},
    progress::{Progress, step_of_line},
    settings::Settings,
    signals::Interrupts,
    state::{self, State},
    summary,
    terminal::Terminal,
};

/// The usual exit code of a program that was interrupted.
const INTERRUPTED: u8 = 130;

/// How often the other process is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// Starts the stack in the background and returns when it is ready. `arguments` are those of the other `up`.
pub(crate) async fn run(settings: &Settings, arguments: &[String], terminal: &Terminal) -> Result<ExitCode, Fault> {
    // Only to refuse here what the other process would refuse into its log.
    drop(Lock::take(&settings.run())?);
    state::remove(settings);
    let interrupts = Interrupts::listen()?;
    let begun = Instant::now();
    let mut log = OtherLog::begin(settings)?;
    let mut other = start(settings, arguments, &log.path)?;
    let progress = Progress::begin(terminal);
    let outcome = tokio::select! {
        outcome = watch(settings, &mut other, &mut log, &progress) => Some(outcome),
        () = interrupts.stop.cancelled() => None,
    };
    drop(progress);
    if let Some(outcome) = outcome {
        summary::show(terminal, &outcome?, begun.elapsed(), true);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(identity) = other.id().and_then(Identity::of) {
        identity.ask(Stop::Alone);
        if interrupts.kill.run_until_cancelled(other.wait()).await.is_none() {
            // It takes a second signal as we do.
            identity.ask(Stop::Alone);
            let _ = other.wait().await;
        }
    }
    Ok(ExitCode::from(INTERRUPTED))
}

/// Leaves the session of the terminal. Called by the other process at its start.
pub(crate) fn leave_terminal() {
    // It fails only where there is no terminal to leave.
    let _ = rustix::process::setsid();
}

fn start(settings: &Settings, arguments: &[String], log: &Path) -> Result<Child, Fault> {
    let doing = |error| Fault::io(format!("write {}", log.display()), &error);
    let output = File::options().append(true).open(log).map_err(doing)?;
    let errors = output.try_clone().map_err(doing)?;
    let mut command = Command::new(&settings.program);
    command.args(arguments).stdin(Stdio::null()).stdout(output).stderr(errors);
    command.spawn().map_err(|error| Fault::io(format!("run {}", settings.program.display()), &error))
}

/// Waits until the other process has written what it runs, or has ended.
async fn watch(
    settings: &Settings,
    other: &mut Child,
    log: &mut OtherLog,
    progress: &Progress,
) -> Result<State, Fault> {
    let pid = other.id();
    loop {
        let status = other.try_wait().map_err(|error| Fault::io("watch the stack", &error))?;
        for line in log.fresh_lines() {
            match step_of_line(&line) {
                Some(step) => progress.step(step),
                None => log.other_lines.push(line),
            }
        }
        if let Some(status) = status {
            return Err(log.fault(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())));
        }
        if let Some(state) = state::read(settings).filter(|state| Some(state.pids.maru_dev) == pid) {
            return Ok(state);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The log of the other process, followed as it grows.
struct OtherLog {
    path: PathBuf,
    read: u64,
    pending: String,
    other_lines: Vec<String>,
}

impl OtherLog {
    /// Begins with an empty file.
    fn begin(settings: &Settings) -> Result<Self, Fault> {
        files::private_directory(&settings.logs())?;
        let path = settings.logs().join("maru-dev.log");
        fs::write(&path, "").map_err(|error| Fault::io(format!("write {}", path.display()), &error))?;
        Ok(Self { path, read: 0, pending: String::new(), other_lines: Vec::new() })
    }

    fn fresh_lines(&mut self) -> Vec<String> {
        let mut fresh = Vec::new();
        if let Ok(mut file) = File::open(&self.path) {
            let _ = file.seek(SeekFrom::Start(self.read)).and_then(|_| file.read_to_end(&mut fresh));
        }
        self.read = self.read.saturating_add(fresh.len() as u64);
        self.pending.push_str(&String::from_utf8_lossy(&fresh));
        let Some(end) = self.pending.rfind('\n') else { return Vec::new() };
        let rest = self.pending.split_off(end + 1);
        let whole = std::mem::replace(&mut self.pending, rest);
        whole.lines().map(str::to_owned).collect()
    }

    /// What the other process said before it ended; its last sentence is the fault.
    fn fault(&self, code: i32) -> Fault {
        let said = |line: &String| line.strip_prefix("maru-dev: ").and_then(|text| text.split_once(": ")).is_some();
        let Some(place) = self.other_lines.iter().rposition(said) else {
            let what = format!("the stack ended with exit code {code} before it was ready");
            return Fault::new(what, format!("see {}", self.path.display())).with_evidence(self.other_lines.clone());
        };
        let (before, after) = self.other_lines.split_at(place);
        let sentence = after.first().and_then(|line| line.strip_prefix("maru-dev: ")).unwrap_or_default();
        let (what, mend) = sentence.split_once(": ").unwrap_or((sentence, ""));
        Fault::new(what, mend).with_evidence(before.iter().map(|line| line.trim_start().to_owned()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sentence_of_the_other_process_is_the_fault() {
        let log = OtherLog {
            path: PathBuf::from("/x"),
            read: 0,
            pending: String::new(),
            other_lines: vec!["    a log line".to_owned(), "maru-dev: port 1 is taken: use another".to_owned()],
        };
        let fault = log.fault(1);
        assert_eq!(fault.to_string(), "port 1 is taken: use another");
        assert_eq!(fault.evidence(), ["a log line"]);
    }
}
