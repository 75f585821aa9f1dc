//! Packages of npm, for tests that want a program which others have written.
//!
//! They need Node.js, and once the package registry; where one of them is missing the test that wants a package says so
//! and passes: everything that must hold is tested without it, too.

use std::{fs, path::PathBuf, process::Command};

use crate::outside;

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
    let (directory, _one_at_a_time) = outside::claim("npm");
    let done = directory.join(format!("installed-{}", package.replace(['@', '/'], "-")));
    if done.exists() {
        return Ok(directory);
    }
    let mut npm = Command::new("npm");
    npm.args(["install", "--prefix", "."]).args(OPTIONS).arg(package).current_dir(&directory);
    outside::run(&mut npm, "npm", &format!("install {package}"))?;
    fs::write(done, package).expect("remember that it is installed");
    Ok(directory)
}
