//! Packages of npm, for tests that want a program which others have written.
//!
//! They need Node.js, and once the package registry; where one of them is missing the test that wants a package says so
//! and passes: everything that must hold is tested without it, too.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// What npm is told beside: to run no script of a package, and to give up soon where there is no network.
const OPTIONS: [&str; 5] =
    ["--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0", "--fetch-timeout=10000"];

/// Installs a package, `name@version`, below `target`, once for all tests; returns where programs find it.
///
/// # Errors
/// Says why it is not there: no npm, or no registry to fetch it from.
pub async fn install(package: &'static str) -> Result<PathBuf, String> {
    tokio::task::spawn_blocking(move || install_here(package)).await.expect("the installation does not panic")
}

fn install_here(package: &str) -> Result<PathBuf, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/npm");
    fs::create_dir_all(&directory).expect("make a directory below target");
    let _one_at_a_time = lock(&directory);
    let done = directory.join(format!("installed-{}", package.replace(['@', '/'], "-")));
    if done.exists() {
        return Ok(directory);
    }
    let output = Command::new("npm")
        .args(["install", "--prefix", "."])
        .args(OPTIONS)
        .arg(package)
        .current_dir(&directory)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("npm cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("npm cannot install {package}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    fs::write(done, package).expect("remember that it is installed");
    Ok(directory)
}

/// Waits until no other test works in a directory; released with the file. Tests run side by side in processes of their own.
pub(crate) fn lock(directory: &Path) -> File {
    let lock = File::create(directory.join("lock")).expect("make a lock file");
    lock.lock().expect("wait for the other tests");
    lock
}
