//! Building the services.
//!
//! `maru-dev up` builds what changed before it starts it, in the profile it was built with itself and while databases
//! start beside it. A `maru-dev` that was copied out of a build directory builds nothing.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

use crate::{
    fault::Fault,
    locate,
    log_file::{LogFile, lines_of},
    progress::Progress,
    services::{GATEWAY, SERVICES},
    settings::Settings,
};

/// A place in a build directory of cargo.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    target: PathBuf,
    profile: String,
}

/// Builds the services, if this program lies in a build directory and cargo is here, and the scripted model if it is
/// wanted.
pub(crate) async fn build(settings: &Settings, progress: &Progress, scripted_llm: bool) -> Result<(), Fault> {
    let (Some(place), Some(cargo)) = (place_of(settings), locate::in_search_path("cargo")) else { return Ok(()) };
    // The programs only, with the features that `make run` has built them with: another choice would build twice.
    let packages = [GATEWAY].into_iter().chain(SERVICES).chain(["devstack"]);
    build_some(settings, progress, &place, &cargo, packages.flat_map(|package| ["-p", package]).collect()).await?;
    if scripted_llm {
        // On its own, for the same reason.
        build_some(settings, progress, &place, &cargo, vec!["-p", "testkit"]).await?;
    }
    Ok(())
}

async fn build_some(
    settings: &Settings,
    progress: &Progress,
    place: &Place,
    cargo: &Path,
    packages: Vec<&str>,
) -> Result<(), Fault> {
    let log = LogFile::open(&settings.logs(), "build")?;
    let mut command = Command::new(cargo);
    command.args(["build", "--bins", "--color", "never", "--profile", &place.profile]);
    command.args(packages);
    command.arg("--target-dir").arg(&place.target).current_dir(&settings.root);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    progress.step("building what changed");
    let mut child = command.spawn().map_err(|error| Fault::io("run cargo", &error))?;
    let compiled = std::sync::atomic::AtomicUsize::new(0);
    let copy = lines_of(&mut child, |line| {
        log.write(line);
        if let Some(name) = line.trim_start().strip_prefix("Compiling ") {
            let count = compiled.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            let name = name.split_whitespace().next().unwrap_or_default();
            progress.detail(format!("building (crate {count}, {name})"));
        }
    });
    let (status, ()) = tokio::join!(child.wait(), copy);
    let status = status.map_err(|error| Fault::io("wait for cargo", &error))?;
    if status.success() {
        return Ok(());
    }
    let recent = log.recent();
    if recent.iter().any(|line| line.contains("No space left on device")) {
        return Err(Fault::new("the disk is full (the build failed)", "free some space and run this again"));
    }
    let mend = format!("mend what the lines above name (all of them: {}/build.log)", settings.logs().display());
    Err(Fault::new("the build failed", mend).with_evidence(recent))
}

/// The build directory this program lies in.
fn place_of(settings: &Settings) -> Option<Place> {
    let directory = settings.program.parent()?;
    let target = directory.parent()?;
    // Cargo marks its directories for backup programs.
    if !target.join("CACHEDIR.TAG").is_file() || !settings.root.join("Cargo.toml").is_file() {
        return None;
    }
    let profile = match directory.file_name()?.to_str()? {
        "debug" => "dev",
        other => other,
    };
    Some(Place { target: target.to_path_buf(), profile: profile.to_owned() })
}
