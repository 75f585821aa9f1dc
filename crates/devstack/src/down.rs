//! `maru-dev down` and `maru-dev reset`.

use std::{
    fs,
    io::{self, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use crate::{
    fault::Fault,
    files, home,
    lock::{self, Holder},
    process::{Identity, Stop},
    progress::Progress,
    run_directory,
    settings::Settings,
    state,
    terminal::Terminal,
};

/// How long an orderly stop may take: a drain, ten seconds of patience per stage at worst.
const ORDERLY: Duration = Duration::from_secs(45);

/// What a stack keeps in the data directory. Only these are deleted: `MARU_DATA_DIR` may name a directory with more.
const KEPT_DIRECTORIES: [&str; 5] = ["log", "postgres", "redis", "run", "s3"];
const KEPT_FILES: [&str; 4] = ["ports.json", "postgres.json", "secrets.json", "state.json"];

/// Stops the stack and ends what interrupted runs have left.
pub(crate) async fn run(settings: &Settings, terminal: &Terminal) -> Result<ExitCode, Fault> {
    let was_running = match lock::holder(&settings.run()) {
        Holder::Nobody => false,
        Holder::Running(None) => {
            return Err(Fault::new("Maru is just starting", "run this again in a second"));
        }
        Holder::Running(Some(identity)) => {
            stop(&identity, terminal).await;
            true
        }
    };
    let reaped = run_directory::reap(&settings.run()).await?;
    state::remove(settings);
    if !reaped.is_empty() {
        terminal.line(format!("Ended what an interrupted run had left: {}.", reaped.join(", ")));
    }
    terminal.line(match (was_running, reaped.is_empty()) {
        (true, _) => "Maru is stopped.",
        (false, true) => "Maru was not running.",
        (false, false) => "Nothing of Maru runs any more.",
    });
    Ok(ExitCode::SUCCESS)
}

async fn stop(identity: &Identity, terminal: &Terminal) {
    let progress = Progress::begin(terminal);
    progress.step(format!("stopping Maru (pid {})", identity.pid));
    identity.ask(Stop::Alone);
    if !identity.ended_within(ORDERLY).await {
        run_directory::insist(identity, Stop::Alone).await;
    }
}

/// Stops the stack and deletes its data, keys, ports and logs.
pub(crate) async fn reset(settings: &Settings, yes: bool, terminal: &Terminal) -> Result<ExitCode, Fault> {
    if !yes && !confirmed(settings, terminal)? {
        terminal.line("Nothing was deleted.");
        return Ok(ExitCode::FAILURE);
    }
    run(settings, terminal).await?;
    home::delete(settings)?;
    for name in KEPT_DIRECTORIES {
        files::delete_directory(&settings.data.join(name))?;
    }
    for name in KEPT_FILES {
        let _ = fs::remove_file(settings.data.join(name));
    }
    // Stays when there is something else in it.
    let _ = fs::remove_dir(&settings.data);
    terminal.line("All data of this stack is deleted; the next `maru-dev up` begins anew.");
    Ok(ExitCode::SUCCESS)
}

fn confirmed(settings: &Settings, terminal: &Terminal) -> Result<bool, Fault> {
    if !io::stdin().is_terminal() {
        return Err(Fault::new("nobody is here to confirm the deletion", "say so with `maru-dev reset --yes`"));
    }
    terminal.line(format!("This deletes every account, file and log of the stack in {}.", settings.data.display()));
    terminal.line("Type `yes` to go on:");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(|error| Fault::io("read the answer", &error))?;
    Ok(answer.trim() == "yes")
}
