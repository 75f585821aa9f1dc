//! Programs of Node.js that Maru is measured beside.
//!
//! Their sources are part of this program and their packages come from the registry, in exact versions. They are put
//! together below `target/bench`: nothing is installed among the sources.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use crate::{
    probe::Probe,
    process::{Processes, find_program, free_port},
    report::{self, progress},
    trouble::Trouble,
};

/// Longest that npm may take: a slow network, and packages that are not in its cache.
const INSTALLATION: Duration = Duration::from_mins(5);
/// What npm is told: to run no script of a package, and to keep to what it is asked.
const OPTIONS: [&str; 5] = ["install", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"];
/// What says for which `package.json` all packages are there.
const INSTALLED: &str = ".installed";
/// The file that Node.js starts with.
const MAIN: &str = "server.mjs";
/// The path that a peer answers with 200 as soon as it listens.
const READY: &str = "/livez";

/// A peer as it stands in the sources.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Package {
    /// Names its directory and its log.
    pub(crate) name: &'static str,
    /// `package.json` with exact versions.
    pub(crate) manifest: &'static str,
    /// `server.mjs`: listens on `PORT` of 127.0.0.1.
    pub(crate) main: &'static str,
}

/// A peer that runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    pub(crate) pid: u32,
    pub(crate) port: u16,
}

impl Peer {
    /// Installs a peer if need be, starts it with `variables`, and waits until it listens.
    pub(crate) async fn start(
        package: Package,
        variables: &[(&str, String)],
        processes: &Processes,
    ) -> Result<Self, Trouble> {
        let node = find_program(&["node"], "--version", "nodejs").await?;
        let directory = install(package).await?;
        let port = free_port()?;
        let mut command = Command::new(node);
        command.arg(MAIN).current_dir(&directory).env("NODE_ENV", "production").env("PORT", port.to_string());
        for (name, value) in variables {
            command.env(name, value);
        }
        let pid = processes.start(package.name, &mut command)?;
        let url = format!("http://127.0.0.1:{port}{READY}");
        Probe::new()?.ready(processes, (package.name, pid), &url).await?;
        Ok(Self { pid, port })
    }
}

/// Puts a peer together, and returns where.
async fn install(package: Package) -> Result<PathBuf, Trouble> {
    let directory = report::directory()?.join("peers").join(package.name);
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join(MAIN), package.main)?;
    std::fs::write(directory.join("package.json"), package.manifest)?;
    if is_installed(&directory, package.manifest) {
        return Ok(directory);
    }
    progress(&format!("installing the packages of {}", package.name))?;
    let npm = find_program(&["npm"], "--version", "npm").await?;
    let mut command = Command::new(npm);
    command.args(OPTIONS).current_dir(&directory).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(INSTALLATION, command.output())
        .await
        .map_err(|_late| Trouble::Broken(format!("npm does not come to an end in {}", directory.display())))??;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Trouble::Missing(format!("npm cannot install the packages of {}: {said}", package.name)));
    }
    std::fs::write(directory.join(INSTALLED), package.manifest)?;
    Ok(directory)
}

fn is_installed(directory: &Path, manifest: &str) -> bool {
    std::fs::read_to_string(directory.join(INSTALLED)).is_ok_and(|installed| installed == manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_there_for_one_manifest_and_no_other() {
        let directory = report::directory().unwrap().join("peers/test-none");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(INSTALLED), "{}").unwrap();
        assert!(is_installed(&directory, "{}"));
        assert!(!is_installed(&directory, "{ \"version\": \"2\" }"));
    }
}
